"""Prompts to train on and to evaluate on, and the rewards of completions: what a TRL run needs of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.seeding import generator

Rewards = Callable[[Sequence[Problem], Sequence[str]], Sequence[float]]
"""(problems, completions) -> a reward in [0, 1] for each completion."""


@dataclass(frozen=True)
class TaskPrompts:
    """training, held_out: problems whose prompts are complete, templates included. stop: where completions end."""

    training: Sequence[Problem]
    held_out: Sequence[Problem]
    rewards: Rewards
    stop: Sequence[str] = ()
    right: Callable[[Problem], Sequence[str]] | None = None
    """All right completions of a problem, their stop included; None where they can't be listed."""

    def drawn(self, count: int, per_step: int, steps: int, seed: int) -> list[Problem]:
        """Problems of every step in order: `count` of the training ones, each pass in a new order, none twice a step.

        Raises InputError if there are fewer.
        """
        if len(self.training) < count:
            raise InputError(f"the task has {len(self.training)} training prompts; got train.prompts = {count}")
        chosen = generator(seed, "prompts").permutation(len(self.training))[:count]
        usable = count - count % per_step
        order = [
            int(chosen[place])
            for number in range(-(-steps * per_step // usable))
            for place in generator(seed, "pass", number).permutation(count)[:usable]
        ]
        return [self.training[place] for place in order[: steps * per_step]]

    def evaluated(self, count: int, seed: int) -> list[Problem]:
        """Problems to evaluate on. Raises InputError if there are fewer held-out ones."""
        if len(self.held_out) < count:
            raise InputError(f"the task has {len(self.held_out)} held-out prompts; got evaluate.prompts = {count}")
        chosen = generator(seed, "held out").permutation(len(self.held_out))[:count]
        return [self.held_out[place] for place in np.sort(chosen).tolist()]
