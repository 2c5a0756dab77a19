"""Interface of scorers: log-probabilities of given completions under a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rlvrscope.problem import Problem

Fact = str | int | float | bool | None
"""A fact that identifies a model or a distribution."""


@dataclass(frozen=True)
class ScoreRequest:
    """A completion to score after a prompt (complete, template included).

    ended: include the end token, as after a completion that finished by "stop". The lab reads its tokens from the
    problem and has no end token.
    """

    problem: Problem
    prompt: str
    completion: str
    ended: bool = False


@dataclass(frozen=True)
class TokenScores:
    """Log-probabilities of a completion's tokens in nats at temperature 1, each given the prompt and tokens before."""

    token_ids: tuple[int, ...]
    token_logps: tuple[float, ...]

    @property
    def tokens(self) -> int:
        return len(self.token_ids)

    @property
    def logp(self) -> float:
        """log-probability of the completion: the sum over its tokens, 0 for an empty one."""
        return math.fsum(self.token_logps)


class Scorer(Protocol):
    """Scores given completions under one model by teacher forcing."""

    @property
    def identity(self) -> Mapping[str, Fact]:
        """Facts that identify the model: at least "engine", "model" and "model_hash"."""
        ...

    def score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
        """Return scores in the order of the requests.

        Raises InputError for a prompt or completion that the model can't hold.
        """
        ...

    def close(self) -> None:
        """Release memory."""
        ...
