"""molt: an objective as an advantage estimator.

`register_advantage_estimator("grpo-n")(molt.estimator(OBJECTIVES["grpo-n"]))`; the loss stays molt's. molt merges the
samples of a rollout only for estimators in its list `GROUP_ADVANTAGE_ESTIMATORS`: add the name there where it matters.
Signature read in NVIDIA-NeMo/labs-molt at 01432bb, molt/trainer/algorithm/advantage.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from rlvrscope.objectives import Objective, advantages_by_group


class AdvantageContext(Protocol):
    sample_to_rollout: Tensor
    exp_len: list[int]
    action_masks: list[Tensor]


def estimator(objective: Objective) -> Callable[..., tuple[list[Tensor], list[Tensor]]]:
    """Return the estimator: (rewards (R,), groups of rows, context) -> (advantages, returns), (B, L) each."""

    def estimate(
        rewards: Tensor, groups: Sequence[Sequence[int]], ctx: AdvantageContext
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels_R = np.empty(len(rewards), dtype=np.int64)
        for label, rows in enumerate(groups):
            labels_R[list(rows)] = label
        by_sample = advantages_by_group(rewards, labels_R, objective)[ctx.sample_to_rollout].split(ctx.exp_len)
        returns = [part.unsqueeze(-1) * mask for part, mask in zip(by_sample, ctx.action_masks, strict=True)]
        return [values.clone() for values in returns], returns

    return estimate
