"""What the lab asks of a task. A task is one file: a frozen recipe section with these members."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
Split = Literal["train", "held_out"]


class Task(Protocol):
    """Problems with a fixed prompt and completion length whose every right completion can be listed."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def prompt_length(self) -> int: ...
    @property
    def completion_length(self) -> int: ...

    def prompts(self, count: int, split: Split, rng: np.random.Generator) -> Tokens:
        """(P, prompt_length): different prompts of one split. Raises InputError if there are not that many."""
        ...

    def demonstrations(self, count: int, rng: np.random.Generator) -> Tokens:
        """(B, prompt_length + completion_length): worked examples of the train split, to pre-train on."""
        ...

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> NDArray[np.float64]:
        """(B,): the score of each completion, 1.0 for right."""
        ...

    def solutions(self, prompt_T: Tokens) -> Tokens:
        """(Y, completion_length): every right completion of a prompt, none twice."""
        ...

    def text(self, tokens_T: Tokens) -> str:
        """Tokens as a person would read them."""
        ...
