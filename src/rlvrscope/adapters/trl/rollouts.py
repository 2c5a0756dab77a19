"""Rollouts as TRL generates them: prompts, completions and rewards of whole groups, from all processes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
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

    training: False for those of an evaluation. step: training steps done before. ids: of the prompt of each rollout.
    rewards_B: weighted sum over the reward functions; NaN where none scored the rollout.
    """

    training: bool
    step: int
    group_size: int
    ids: Sequence[str]
    prompts: Sequence[str]
    completions: Sequence[str]
    rewards_B: Floats

    def groups(self) -> tuple[list[str], Floats]:
        """Prompt ids, (P,), and rewards, (P, G), of the groups in which every rollout has a reward."""
        rewards_PG = self.rewards_B.reshape(-1, self.group_size)
        whole = np.flatnonzero(np.isfinite(rewards_PG).all(axis=1)).tolist()
        return [self.ids[group * self.group_size] for group in whole], rewards_PG[whole]


def numbered(ids: Sequence[str]) -> list[str]:
    """Ids with a number after those that came before.

    >>> numbered(["a", "b", "a"])
    ['a', 'b', 'a#2']
    """
    seen = Counter[str]()
    unique = []
    for name in ids:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique


def watch_rollouts(trainer: Any, receive: Callable[[Rollouts], None]) -> None:
    """Call `receive` after every generation of a trainer, on every process."""
    calculate = trainer._calculate_rewards

    def watched(inputs: Sequence[dict[str, Any]], prompts: list[Any], completions: list[Any], ids: Any) -> Tensor:
        rewards_BF = calculate(inputs, prompts, completions, ids)
        training = trainer.model.training
        group_size = trainer.num_generations if training else trainer.num_generations_eval
        texts = [(_id(row, prompt), _text(prompt), _text(completion))
                 for row, prompt, completion in zip(inputs, prompts, completions, strict=True)]  # fmt: skip
        names, asked, answered = zip(*gather_object(texts), strict=True)
        rewards_B = weighted_sum(trainer, rewards_BF).double().cpu().numpy()
        receive(Rollouts(training, trainer.state.global_step, group_size, names, asked, answered, rewards_B))
        return rewards_BF

    trainer._calculate_rewards = watched


def weighted_sum(trainer: Any, rewards_BF: Tensor) -> Tensor:
    """Reward of each rollout, (B,): the weighted sum over F functions; NaN where none scored it."""
    rewards_B = (rewards_BF * trainer.reward_weights.to(rewards_BF.device)).nansum(dim=1)
    rewards_B[rewards_BF.isnan().all(dim=1)] = float("nan")
    return rewards_B


def _id(row: dict[str, Any], prompt: Any) -> str:
    """The row's `id` column, or a hash of its prompt."""
    if row.get("id") is not None:
        return str(row["id"])
    return hashlib.sha256(_text(prompt).encode()).hexdigest()[:16]


def _text(messages: Any) -> str:
    """A text as it is; a conversation as JSON."""
    return messages if isinstance(messages, str) else json.dumps(messages, ensure_ascii=False, default=str)
