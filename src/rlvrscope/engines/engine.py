"""What an engine is: requests go in, completions come out. Adding one is one file beside this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from rlvrscope.problem import Problem

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class Request:
    """One cell to fill. prompt: whole, in its template. seed: the cell's own, from 0 to 2^63 - 1."""

    problem: Problem
    index: int
    prompt: str
    seed: int


@dataclass(frozen=True)
class Completion:
    """What the model said, without the prompt.

    tokens: of the completion. finish: why it ended, "stop" or "length" (the limit), or the server's word. logp: the sum
    of its tokens' log-probabilities in nats, of the kind that the engine's identity names. note: what was unusual, such
    as a batch that was halved for lack of memory, so that the text may differ from another time's.
    """

    text: str
    tokens: int | None = None
    finish: str = "stop"
    logp: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Failure:
    """A cell that could not be filled, and why, in one line. It is tried again by the next command."""

    reason: str


Result = tuple[Request, Completion | Failure]


class Engine(Protocol):
    """Draws samples from one model."""

    @property
    def identity(self) -> Mapping[str, Fact]:
        """What tells this population of samples from another; a store refuses to mix two.

        At least "engine", "model" (a name to show), "model_hash" (of the weights, or None where only the server knows),
        what shapes the distribution ("temperature", "top_p", the limit of tokens) and "logprobs": "raw" (the model's
        own, at temperature 1, untruncated), "processed" (those drawn from) or None. Not what leaves the distribution
        alone: addresses, batch sizes, keys.
        """
        ...

    @property
    def honours_seeds(self) -> bool:
        """Whether a cell's text depends on its prompt and seed alone, whatever the order and the interruptions."""
        ...

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """A result for each request, in any order, as they come.

        Take requests from this one thread, as many at a time as make a batch or keep servers busy. They may end at any
        moment (Ctrl-C): then finish those that were taken. They come problem by problem, in order of their index. What
        fails for one cell is a Failure; WorkError is for what ends all of it.
        """
        ...

    def close(self) -> None:
        """Let go of memory and connections."""
        ...
