"""What the lab asks of a task. A task is one file: a frozen recipe section with these members."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from rlvrscope.config import Section

Tokens = NDArray[np.int64]
Split = Literal["train", "held_out"]

RIGHT = 0.5
"""A completion is right if its reward is at least this: what `solutions` lists and pass@k counts."""


def _at_least_right(reward: float) -> float:
    if not RIGHT <= reward <= 1.0:
        raise ValueError(
            f"must be from {RIGHT} to 1, for a right answer that scores less counts as wrong; got {reward}"
        )
    return reward


CommonReward = Annotated[float, AfterValidator(_at_least_right)]
"""What a right completion without a rare operation scores, where one with a rare operation scores 1."""

Weight = Annotated[float, Field(gt=0.0, le=1.0)]
HeldOutShare = Annotated[float, Field(gt=0.0, lt=1.0)]


class Task(Protocol):
    """Problems with a fixed prompt and completion length whose every right completion can be listed."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def prompt_length(self) -> int: ...
    @property
    def completion_length(self) -> int: ...

    def pretraining(self) -> Section:
        """The settings that shape demonstrations, the others at their defaults: with them a base is made anew."""
        ...

    def prompts(self, count: int, split: Split, rng: np.random.Generator) -> Tokens:
        """(P, prompt_length): different prompts of one split. Raises InputError if there are not that many."""
        ...

    def demonstrations(self, count: int, rng: np.random.Generator) -> Tokens:
        """(B, prompt_length + completion_length): worked examples of the train split, to pre-train on."""
        ...

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> NDArray[np.float64]:
        """(B,): the score of each completion: 1 for the best, at least RIGHT for a right one, 0 for a wrong one."""
        ...

    def solutions(self, prompt_T: Tokens) -> Tokens:
        """(Y, completion_length): every right completion of a prompt, none twice."""
        ...

    def text(self, tokens_T: Tokens) -> str:
        """Tokens as a person would read them."""
        ...


AnySection = TypeVar("AnySection", bound=Section)


def with_defaults(section: AnySection, *fields: str) -> AnySection:
    """The section with these fields at their defaults."""
    return section.model_copy(update={field: type(section).model_fields[field].default for field in fields})


def read_out(tokens_T: Tokens, names: list[str]) -> str:
    """Tokens by name, with a space between; `?` for one that has none."""
    return " ".join(names[token] if 0 <= token < len(names) else "?" for token in tokens_T)
