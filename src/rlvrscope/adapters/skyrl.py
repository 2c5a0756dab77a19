"""SkyRL: an objective as an advantage estimator.

Register it before the trainer starts: `register_advantage_estimator("grpo-n")(skyrl.estimator(OBJECTIVES["grpo-n"]))`,
then `trainer.algorithm.advantage_estimator=grpo-n`. The loss and its clip range stay SkyRL's own settings.
Signature read in skyrl 0.3.0, skyrl/backends/skyrl_train/utils/ppo_utils.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlvrscope.objectives import Objective, advantages_by_group


def estimator(objective: Objective) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return the estimator: (token_level_rewards (B, T), response_mask (B, T), index (B,)) -> (advantages, returns)."""

    def estimate(
        token_level_rewards: Tensor, response_mask: Tensor, index: Sequence[Hashable], **_: Any
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            labels_B = np.unique(np.asarray(index, dtype=str), return_inverse=True)[1]
            advantages_B = advantages_by_group(token_level_rewards.sum(dim=-1), labels_B, objective)
            advantages_BT = advantages_B.unsqueeze(-1) * response_mask
        return advantages_BT, advantages_BT

    return estimate
