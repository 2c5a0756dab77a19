"""slime: an objective in place of its normalisation of rewards.

A file of yours names it, `post_process = slime.reward_post_process(OBJECTIVES["grpo-n"])`, and slime calls it with
--custom-reward-post-process-path yours.post_process --advantage-estimator grpo (or gspo): these broadcast the rewards
that it returns over the tokens. Not --custom-advantage-function-path: that is called on each rank with its part of the
samples, which may cut groups in two. Leave --normalize-advantages off, or slime whitens the result. Each sample counts
as a rollout of its group, also where one rollout left several.
Call read in THUDM/slime at 00c2d6d, slime/ray/rollout.py and slime/backends/megatron_utils/loss.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from rlvrscope.objectives import Objective, advantages_by_group


class Sample(Protocol):
    group_index: int | None

    def get_reward_value(self, args: Any) -> float: ...


PostProcess = Callable[[Any, Sequence[Sample]], tuple[list[float], list[float]]]


def reward_post_process(objective: Objective) -> PostProcess:
    """Return the function: (args, all samples of the step) -> (raw rewards, advantages)."""

    def post_process(args: Any, samples: Sequence[Sample]) -> tuple[list[float], list[float]]:
        raw = [float(sample.get_reward_value(args)) for sample in samples]
        labels_B = np.unique([str(sample.group_index) for sample in samples], return_inverse=True)[1]
        return raw, advantages_by_group(np.array(raw), labels_B, objective).tolist()

    return post_process
