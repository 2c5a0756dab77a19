"""Interface of engines, which draw completions. Scoring existing ones: `rlvrscope.scoring`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from rlvrscope.problem import Problem
from rlvrscope.scoring import Fact

TRUNCATED = "length"
"""Finish reason of a completion that the token limit cut off."""
LIMIT_WORDS = (TRUNCATED, "max_tokens", "max_length", "model_length", "truncated")
"""Words of servers and tools for the same: OpenAI's, gateways', trainers', Mistral's for the end of the context."""
UNKNOWN_FINISH = ""
"""Finish reason of a completion whose end is not known."""
NO_TEXT = "reasoning without a text"
"""Note of a completion that stopped after its reasoning, before any text."""


@dataclass(frozen=True)
class Request:
    """One sample to draw. prompt: complete, template included. seed: the sample's own, from 0 to 2^63 - 1."""

    problem: Problem
    index: int
    prompt: str
    seed: int


@dataclass(frozen=True)
class Completion:
    """A model's text, without the prompt.

    tokens: length of the completion, reasoning included. finish: why it ended: "stop", "length" (the token limit), or
    the server's word. logp: sum of its tokens' log-probabilities in nats, of the kind that the engine's identity names.
    note: anything unusual, such as a batch halved for lack of memory. reasoning: what the model wrote before its text,
    where a server separates the two; it is not verified.
    """

    text: str
    tokens: int | None = None
    finish: str = "stop"
    logp: float | None = None
    note: str = ""
    reasoning: str = ""

    @property
    def truncated(self) -> bool:
        """True if the token limit cut it off."""
        return self.finish == TRUNCATED


@dataclass(frozen=True)
class Failure:
    """A sample that could not be drawn, with a one-line reason. The next command tries it again."""

    reason: str


Result = tuple[Request, Completion | Failure]


class Engine(Protocol):
    """Draws samples from one model."""

    @property
    def identity(self) -> Mapping[str, Fact]:
        """Facts that identify the distribution; a store refuses to mix samples of two.

        At least "engine", "model" (a name to show), "model_hash" (of the weights, or None where only the server knows),
        what shapes the distribution ("temperature", "top_p", the token limit) and "logprobs": "raw" (the model's own,
        at temperature 1, untruncated), "processed" (of the distribution drawn from) or None. Exclude what leaves the
        distribution unchanged: addresses, batch sizes, keys.
        """
        ...

    @property
    def honours_seeds(self) -> bool:
        """True if a text depends on its prompt and seed alone, whatever the order and the interruptions.

        Up to rounding: the engine documents where samples drawn together affect each other's last bits.
        """
        ...

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """Yield one result for each request, in any order.

        Requests come problem by problem, in order of their index. Take them from this one thread, as many at a time as
        fill a batch or keep servers busy. They may end at any moment (Ctrl-C): finish those already taken. Return a
        Failure for a single sample; raise WorkError for what ends the whole run.
        """
        ...

    def close(self) -> None:
        """Release memory and connections."""
        ...
