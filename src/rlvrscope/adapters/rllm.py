"""rllm: an objective as an advantage estimator, for each of its backends.

`register_adv_estimator("grpo-n")(rllm.estimator(OBJECTIVES["grpo-n"]))`; the loss stays rllm's or the backend's.
Signature read in rllm-org/rllm at 18c8622, rllm/trainer/algorithms/advantage.py; older trees call the decorator
`register_rllm_adv_estimator`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.objectives import Objective, advantages_by_group

Groups = list[Floats]
"""One array of rewards, or of advantages, for each group of trajectories."""


def estimator(objective: Objective) -> Callable[..., tuple[Groups, Groups]]:
    """Return the estimator: (rewards by group, algorithm_config) -> (advantages by group, returns by group)."""

    def estimate(rewards: Sequence[Floats], algorithm_config: Any = None, **_: Any) -> tuple[Groups, Groups]:
        del algorithm_config
        if not rewards:
            return [], []
        sizes = [len(group) for group in rewards]
        labels_B = np.repeat(np.arange(len(sizes)), sizes)
        advantages_B = advantages_by_group(np.concatenate(rewards).astype(np.float64), labels_B, objective)
        by_group = np.split(advantages_B, np.cumsum(sizes)[:-1])
        return by_group, by_group

    return estimate
