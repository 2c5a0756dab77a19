"""Advantages: hand-derived values, brute force, invariances, both array libraries."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlvrscope import InputError
from rlvrscope.objectives import OBJECTIVES, Objective, advantages

ALL = [objective for objective in OBJECTIVES.values() if objective.shape is None]  # shapes: test_shape.py
RELATIVE = [objective for objective in ALL if objective.baseline != "none"]
groups = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 7)), elements=st.floats(-10, 10, allow_subnormal=False)
)


def test_grpo_by_hand():
    # r = (1, 0, 0, 0): mean 1/4, deviations (3/4, -1/4, -1/4, -1/4), sum of squares 3/4.
    # Sample variance (3/4)/3 = 1/4, std 1/2: A = (3/2, -1/2, -1/2, -1/2). Population std sqrt(3)/4: A_1 = sqrt(3).
    rewards = np.array([[1.0, 0.0, 0.0, 0.0]])
    sample = OBJECTIVES["grpo"].replace(std_eps=1e-12)
    np.testing.assert_allclose(advantages(rewards, sample), [[1.5, -0.5, -0.5, -0.5]], rtol=1e-11)
    population = advantages(rewards, sample.replace(std_ddof=0))
    np.testing.assert_allclose(population, [[math.sqrt(3), *[-1 / math.sqrt(3)] * 3]], rtol=1e-11)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # r = (1, 0, 0, 0), as above; eps 1e-6 moves the scaled ones by 2e-6.
        ("grpo-n", [0.0, -0.5, -0.5, -0.5]),
        ("grpo-p", [1.5, 0.0, 0.0, 0.0]),
        ("gspo-n", [0.0, -0.5, -0.5, -0.5]),
        ("dr-grpo", [0.75, -0.25, -0.25, -0.25]),  # r - mean
        ("rloo", [1.0, -1 / 3, -1 / 3, -1 / 3]),  # r - mean of the others
        ("wapo", [0.75, 0.0, 0.0, 0.0]),  # positives of r - mean
        ("psr", [1.0, 0.0, 0.0, 0.0]),  # +1 on right only
        ("nsr", [0.0, -1.0, -1.0, -1.0]),  # -1 on wrong only
        ("w-reinforce", [0.1, -1.0, -1.0, -1.0]),  # 0.1 PSR + NSR
        ("reinforce", [1.0, 0.0, 0.0, 0.0]),  # r
        ("f-grpo", [1.125, -0.375, -0.375, -0.375]),  # GRPO's times 1 - 1/4
        ("qae", [2.0, 0.0, 0.0, 0.0]),  # (r - 0) / (1/2), as 1/4 <= 1 - 0.4
    ],
)
def test_catalogue_by_hand(name: str, expected: list[float]):
    got = advantages(np.array([[1.0, 0.0, 0.0, 0.0]]), OBJECTIVES[name])
    np.testing.assert_allclose(got, [expected], atol=4e-6)


def brute_force(rewards: list[float], objective: Objective) -> list[float]:
    """The definition, one rollout at a time."""
    signal = rewards
    if objective.signal == "signed":
        signal = [1.0 if reward >= objective.threshold else -1.0 for reward in rewards]
    if objective.baseline != "none" and len(set(signal)) == 1:
        return [0.0] * len(signal)
    deviation = statistics.stdev if objective.std_ddof else statistics.pstdev
    scale = deviation(signal) + objective.std_eps if objective.scale == "group_std" else 1.0
    found = []
    for i, value in enumerate(signal):
        others = [other for j, other in enumerate(signal) if j != i]
        baseline = {"group_mean": statistics.fmean(signal), "leave_one_out": statistics.fmean(others), "none": 0.0}
        advantage = (value - baseline[objective.baseline]) / scale
        found.append(advantage * (objective.positive_weight if advantage > 0 else objective.negative_weight))
    return found


@pytest.mark.parametrize("objective", [*ALL, OBJECTIVES["grpo"].replace(std_ddof=0)], ids=lambda o: o.name)
@given(rewards_PG=groups)
def test_equals_brute_force(objective: Objective, rewards_PG: np.ndarray):
    expected = [brute_force(row, objective) for row in rewards_PG.tolist()]
    # Where all rewards but rounding are equal, the ratio of two roundings is not a number to agree on.
    well_posed = np.ptp(rewards_PG, axis=1) > 1e-3
    np.testing.assert_allclose(
        advantages(rewards_PG, objective)[well_posed], np.array(expected)[well_posed], rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("objective", ALL, ids=lambda o: o.name)
@given(rewards_PG=groups, seed=st.integers(0, 99))
def test_follows_permutations_of_a_group(objective: Objective, rewards_PG: np.ndarray, seed: int):
    order = np.random.default_rng(seed).permutation(rewards_PG.shape[1])
    np.testing.assert_allclose(
        advantages(rewards_PG[:, order], objective), advantages(rewards_PG, objective)[:, order], rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("objective", RELATIVE, ids=lambda o: o.name)
@given(rewards_PG=hnp.arrays(np.float64, (2, 5), elements=st.integers(-8, 8).map(float)), shift=st.integers(-64, 64))
def test_a_constant_added_to_a_group_changes_nothing(objective: Objective, rewards_PG: np.ndarray, shift: int):
    shifted = advantages(rewards_PG + shift, objective)
    np.testing.assert_allclose(shifted, advantages(rewards_PG, objective), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("objective", RELATIVE, ids=lambda o: o.name)
@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.0, 1.0, -7.3])
def test_equal_rewards_give_exactly_zero(objective: Objective, value: float):
    # 8 x 0.1: the mean is off by rounding, and (r - mean) / eps would be -0.0074 of a push on noise.
    assert (advantages(np.full((3, 8), value), objective) == 0.0).all()


@pytest.mark.parametrize(
    ("name", "right", "wrong"), [("psr", 1.0, 0.0), ("nsr", 0.0, -1.0), ("w-reinforce", 0.1, -1.0)]
)
def test_without_a_baseline_equal_groups_keep_their_signal(name: str, right: float, wrong: float):
    got = advantages(np.array([[1.0, 1.0], [0.0, 0.0]]), OBJECTIVES[name])
    np.testing.assert_allclose(got, [[right, right], [wrong, wrong]])


@pytest.mark.parametrize("objective", ALL, ids=lambda o: o.name)
@given(rewards_PG=groups)
def test_torch_gives_the_same_numbers(objective: Objective, rewards_PG: np.ndarray):
    got = advantages(torch.from_numpy(rewards_PG), objective)
    assert isinstance(got, torch.Tensor)
    assert got.dtype == torch.float64
    well_posed = np.ptp(rewards_PG, axis=1) > 1e-3
    np.testing.assert_allclose(
        got.numpy()[well_posed], advantages(rewards_PG, objective)[well_posed], rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "objective", [*ALL, OBJECTIVES["psr"].replace(name="x", scale="group_std")], ids=lambda o: o.name
)
@given(data=st.data())
def test_advantages_are_finite_whatever_the_rewards(objective: Objective, dtype: torch.dtype, data: st.DataObject):
    finest = st.one_of(st.floats(-1e4, 1e4), st.sampled_from([0.0, 1e-200, 1e-40, 0.1, 1.0]))
    rewards = torch.tensor(data.draw(hnp.arrays(np.float64, (2, 4), elements=finest))).to(dtype)
    got = advantages(rewards, objective)
    assert got.dtype == dtype
    assert torch.isfinite(got).all()


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        (np.zeros((0, 4)), r"got \(0, 4\)"),
        (np.full((1, 2), np.inf, dtype=np.float16), "is inf"),
        ([[1.0, 0.0]], "all NumPy or all torch; got builtins"),
        (np.zeros(4), r"shape \(problems, rollouts\); got \(4,\)"),
        (np.zeros((2, 1)), "at least 2"),
        (np.zeros((2, 4), dtype=int), "floating point; got int64"),
        (np.array([[0.0, np.nan]]), r"rewards_PG\[0, 1\] is nan"),
        (np.array([[0.0, 1.0], [np.inf, 0.0]]), r"rewards_PG\[1, 0\] is inf"),
    ],
)
def test_bad_rewards_are_refused(rewards: np.ndarray, message: str):
    with pytest.raises(InputError, match=message):
        advantages(rewards, OBJECTIVES["grpo"])
