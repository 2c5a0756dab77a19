"""Problems and the verdicts on their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from rlvrscope.errors import InputError

Outcome = Literal["correct", "wrong", "no_answer", "rejected", "timeout", "error"]
OUTCOMES: tuple[Outcome, ...] = ("correct", "wrong", "no_answer", "rejected", "timeout", "error")


@dataclass(frozen=True)
class Problem:
    """A question with its gold answer, and the verifier that tells whether an answer is right.

    id: the same however the problems are ordered. prompt: the question, without a template around it. verifier: a name
    of `rlvrscope.verify.VERIFIERS`, or your own as file.py:NAME. cluster: problems that belong together, such as
    variants of one. metadata: what the verifier or the template needs besides (docs: Verifying answers).

    Raises InputError for an empty id or answer.
    """

    id: str
    prompt: str
    answer: str
    verifier: str = "math"
    cluster: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise InputError(f"a problem needs an id, a text; got {self.id!r}")
        if not isinstance(self.answer, str) or not self.answer.strip():
            raise InputError(f"problem {self.id!r} needs a gold answer, a text; got {self.answer!r}")
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))


@dataclass(frozen=True)
class Verdict:
    """What a verifier says of one text.

    outcome: correct, wrong, no_answer (there is none where the task wants it), rejected (an answer that breaks a rule:
    tricks, characters, limits), timeout, or error (the verifier failed). score: in [0, 1]. extracted: the answer as
    found in the text. path: what decided. reason: why, in words. seconds: how long it took; not compared.
    """

    outcome: Outcome
    score: float = 0.0
    extracted: str | None = None
    verifier: str = ""
    version: str = ""
    path: str = ""
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)
