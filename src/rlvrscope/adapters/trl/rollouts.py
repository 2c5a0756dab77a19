"""Rollouts as TRL generates them: prompts and rewards of whole groups, from all processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from accelerate.utils import gather_object
from torch import Tensor

from rlvrscope.arrays import Floats


@dataclass(frozen=True)
class Rollouts:
    """B = P x G rollouts of one generation, group by group.

    ids: of the prompt of each rollout. rewards_B: weighted sum over the reward functions; NaN where none scored it.
    """

    group_size: int
    ids: Sequence[str]
    rewards_B: Floats

    @property
    def num_groups(self) -> int:
        return len(self.ids) // self.group_size

    def groups(self) -> tuple[list[str], Floats]:
        """Prompt ids, (P,), and rewards, (P, G), of the groups in which every rollout has a reward."""
        rewards_PG = self.rewards_B.reshape(-1, self.group_size)
        whole = np.flatnonzero(np.isfinite(rewards_PG).all(axis=1)).tolist()
        return [self.ids[group * self.group_size] for group in whole], rewards_PG[whole]


def watch_rollouts(trainer: Any, receive: Callable[[Rollouts], None], *, training: bool) -> None:
    """Call `receive` after every generation for training, or for evaluation, on every process."""
    calculate = trainer._calculate_rewards

    def watched(inputs: Sequence[dict[str, Any]], prompts: list[Any], *further: Any) -> Tensor:
        rewards_BF = calculate(inputs, prompts, *further)
        if trainer.model.training == training:
            group_size = trainer.num_generations if training else trainer.num_generations_eval
            ids = gather_object([_id(row, prompt) for row, prompt in zip(inputs, prompts, strict=True)])
            receive(Rollouts(group_size, ids, weighted_sum(trainer, rewards_BF).double().cpu().numpy()))
        return rewards_BF

    trainer._calculate_rewards = watched


def weighted_sum(trainer: Any, rewards_BF: Tensor) -> Tensor:
    """Reward of each rollout, (B,): the weighted sum over F functions; NaN where none scored it."""
    rewards_B = (rewards_BF * trainer.reward_weights.to(rewards_BF.device)).nansum(dim=1)
    rewards_B[rewards_BF.isnan().all(dim=1)] = float("nan")
    return rewards_B


def _id(row: dict[str, Any], prompt: Any) -> str:
    """The row's `id` column, or a hash of its prompt, a text or a conversation."""
    if row.get("id") is not None:
        return str(row["id"])
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
