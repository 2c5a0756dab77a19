"""Adapters for SkyRL, rllm, molt and slime, against calls recorded from their sources: the packages are not installed.

skyrl 0.3.0 needs Python 3.12; rllm, molt and slime are on no index. The versions read are in each adapter's docstring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from rlvrscope.adapters import molt, rllm, skyrl, slime
from rlvrscope.objectives import OBJECTIVES, Objective, advantages

REWARDS = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
of_objectives = pytest.mark.parametrize(
    "objective", [OBJECTIVES[name] for name in ("grpo-n", "nsr", "w-reinforce")], ids=lambda objective: objective.name
)


@of_objectives
def test_skyrl_calls_it_as_compute_advantages_and_returns_does(objective: Objective):
    """Keywords of skyrl 0.3.0's call; rewards on the last token, rows in any order."""
    order = np.random.default_rng(0).permutation(REWARDS.size)
    mask = torch.ones(REWARDS.size, 5, dtype=torch.float64)
    mask[3, 2:] = 0.0
    rewards = torch.zeros_like(mask)
    rewards[:, 1] = torch.as_tensor(REWARDS.ravel()[order])
    advantage, returns = skyrl.estimator(objective)(
        token_level_rewards=rewards, response_mask=mask, index=np.array([f"p{row // 4}" for row in order]),
        values=None, grpo_norm_by_std=True, gamma=1.0, lambd=1.0, config=None,
    )  # fmt: skip
    expected = torch.as_tensor(advantages(REWARDS, objective).ravel()[order])
    assert torch.equal(advantage, returns)
    torch.testing.assert_close(advantage, expected[:, None] * mask)


@of_objectives
def test_rllm_calls_it_with_one_array_a_group(objective: Objective):
    groups = [*REWARDS, np.array([1, 0])]
    by_group, returns = rllm.estimator(objective)(rewards=groups, algorithm_config=None, traj_groups=[])
    assert by_group is returns
    for values, expected in zip(by_group[:3], advantages(REWARDS, objective), strict=True):
        np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(by_group[3], advantages(np.array([[1.0, 0.0]]), objective)[0])
    assert rllm.estimator(objective)(rewards=[], algorithm_config=None) == ([], [])


@dataclass
class Context:
    """The fields of molt's AdvantageContext that the adapter reads."""

    sample_to_rollout: torch.Tensor
    exp_len: list[int]
    action_masks: list[torch.Tensor]


@of_objectives
def test_molt_calls_it_with_rows_of_groups_and_its_context(objective: Objective):
    """12 rollouts in interleaved groups; the last one left two samples, in two experiences of 7 and 6 samples."""
    groups = [list(range(group, 12, 3)) for group in range(3)]
    rewards = torch.empty(12, dtype=torch.float64)
    for rows, values in zip(groups, REWARDS, strict=True):
        rewards[rows] = torch.as_tensor(values)
    masks = [torch.ones(7, 3, dtype=torch.float64), torch.ones(6, 3, dtype=torch.float64)]
    masks[0][2, 1:] = 0.0
    context = Context(torch.tensor([*range(12), 11]), [7, 6], masks)
    values, returns = molt.estimator(objective)(rewards, groups, context)
    expected = torch.empty(12, dtype=torch.float64)
    for rows, group in zip(groups, advantages(REWARDS, objective), strict=True):
        expected[rows] = torch.as_tensor(group)
    torch.testing.assert_close(values[0], expected[:7, None] * masks[0])
    torch.testing.assert_close(values[1], expected[[7, 8, 9, 10, 11, 11], None] * masks[1])
    assert values[0].data_ptr() != returns[0].data_ptr()  # molt may whiten one in place


@dataclass
class Sample:
    """The part of slime's Sample that the adapter reads."""

    group_index: int
    reward: dict[str, float]

    def get_reward_value(self, args: dict[str, str]) -> float:
        return self.reward[args["reward_key"]]


@of_objectives
def test_slime_calls_it_with_all_samples_of_a_step(objective: Objective):
    samples = [Sample(row, {"acc": reward}) for row, group in enumerate(REWARDS) for reward in group]
    raw, values = slime.reward_post_process(objective)({"reward_key": "acc"}, samples)
    assert raw == REWARDS.ravel().tolist()
    assert values == advantages(REWARDS, objective).ravel().tolist()
