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
    """A question with its gold answer and the verifier of answers to it.

    id: unique in a set of problems. prompt: the question, without a template. verifier: a name in
    `rlvrscope.verify.VERIFIERS`, or a plugin "file.py:NAME". cluster: label of problems that are not independent, such
    as variants of one. metadata: further input of the verifier or the template (docs: Verifying answers).

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
            raise InputError(f"a problem needs an id, a string; got {self.id!r}")
        if not isinstance(self.answer, str) or not self.answer.strip():
            raise InputError(f"problem {self.id!r} needs a gold answer, a string; got {self.answer!r}")
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))


@dataclass(frozen=True)
class Verdict:
    """A verifier's verdict on one text.

    outcome: correct, wrong, no_answer (none in the form that the task requires), rejected (breaks a rule on tricks,
    characters or limits), timeout, or error (the verifier failed). score: in [0, 1]. extracted: the answer in the
    text. path: the method that decided. reason: in words. seconds: duration, ignored in comparisons.
    """

    outcome: Outcome
    score: float = 0.0
    extracted: str | None = None
    verifier: str = ""
    version: str = ""
    path: str = ""
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)
