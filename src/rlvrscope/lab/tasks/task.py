"""The interface of a lab task. A task is one file: a frozen recipe section with these members."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, TypeVar

import numpy as np
from pydantic import AfterValidator, Field

from rlvrscope.arrays import Floats, Ints
from rlvrscope.config import Section

Tokens = Ints
Split = Literal["train", "held_out"]

MIN_CORRECT_REWARD = 0.5
"""Least reward of a correct completion: `solutions` lists these, and pass@k counts them."""


def _at_least_correct(reward: float) -> float:
    if not MIN_CORRECT_REWARD <= reward <= 1.0:
        raise ValueError(
            f"must be between {MIN_CORRECT_REWARD} and 1, because a lower score counts as wrong; got {reward}"
        )
    return reward


CommonReward = Annotated[float, AfterValidator(_at_least_correct)]
"""Reward of a correct completion without a rare operation; with one it is 1."""

Weight = Annotated[float, Field(gt=0.0, le=1.0)]
HeldOutShare = Annotated[float, Field(gt=0.0, lt=1.0)]


class Task(Protocol):
    """Problems whose correct completions can be enumerated. Token arrays are padded with PAD on the right."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def prompt_length(self) -> int: ...
    @property
    def completion_length(self) -> int:
        """Tokens of a completion, or most tokens where there are stops."""
        ...

    @property
    def stops(self) -> tuple[int, ...]:
        """Tokens that end a completion; none: every completion has `completion_length` tokens."""
        ...

    def prompts(self, count: int, split: Split, rng: np.random.Generator) -> Tokens:
        """(P, prompt_length) distinct prompts of one split. Raises InputError if there are too few."""
        ...

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> Floats:
        """(B,) reward of each completion: 1 for the best, at least MIN_CORRECT_REWARD for a correct one, else 0."""
        ...

    def solutions(self, prompt_T: Tokens) -> Tokens:
        """(X, completion_length) all correct completions of a prompt."""
        ...

    def well_formed(self, completions_BT: Tokens) -> float:
        """Share of completions that have the form of an answer, right or wrong; NaN if the task defines no form."""
        ...

    def answer_numbers(self, completions_XT: Tokens) -> Ints:
        """(X,) number of the answer that each correct completion of a prompt spells, from 0, in ascending order."""
        ...

    def unlisted(self, prompt_T: Tokens) -> Tokens:
        """(X, completion_length) prefixes that any correct completion has which `solutions` does not list.

        No prefix begins with another, so the sum of their masses bounds the mass that `solutions` misses.
        """
        ...

    def text(self, tokens_T: Tokens) -> str:
        """Tokens as readable text."""
        ...


class DemonstratedTask(Task, Protocol):
    """A task that a base can be trained on from scratch."""

    def pretraining(self) -> Section:
        """Return the settings that determine demonstrations, and so the base; the others are at their defaults."""
        ...

    def demonstrations(self, count: int, rng: np.random.Generator) -> Tokens:
        """(B, prompt_length + completion_length) solved examples of the train split, for pre-training."""
        ...


class TokenTask(Section):
    """A task in tokens of its own: completions have one length, and every answer one spelling."""

    @property
    def stops(self) -> tuple[int, ...]:
        return ()

    def answer_numbers(self, completions_XT: Tokens) -> Ints:
        return np.arange(len(completions_XT))

    def unlisted(self, prompt_T: Tokens) -> Tokens:  # noqa: ARG002
        return np.zeros((0, 1), dtype=np.int64)

    def well_formed(self, completions_BT: Tokens) -> float:  # noqa: ARG002
        return np.nan


AnySection = TypeVar("AnySection", bound=Section)


def with_defaults(section: AnySection, *fields: str) -> AnySection:
    """Return the section with these fields at their defaults."""
    return section.model_copy(update={field: type(section).model_fields[field].default for field in fields})


def read_out(tokens_T: Tokens, names: list[str]) -> str:
    """Names of the tokens, separated by spaces; `?` for an unknown token."""
    return " ".join(names[token] if 0 <= token < len(names) else "?" for token in tokens_T)
