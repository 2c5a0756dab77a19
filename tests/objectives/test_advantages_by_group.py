"""Advantages of ragged groups: by hand, against a loop over `advantages`, invariances, both array libraries."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvrscope import InputError
from rlvrscope.objectives import (
    OBJECTIVES,
    BatchBalance,
    Focal,
    InverseMean,
    Objective,
    PassAtK,
    Quantile,
    advantages,
    advantages_by_group,
)

OBJECTIVES_OF_ANY_SIZE = [
    objective
    for objective in OBJECTIVES.values()
    if objective.reads is None and not isinstance(objective.shape, PassAtK | BatchBalance)
]
REWARDS = st.sampled_from([0.0, 1.0, 0.1, 1 / 3, -2.5])
rollouts = st.lists(st.tuples(REWARDS, st.integers(-3, 3)), min_size=1, max_size=24)


def split(drawn: list[tuple[float, int]], objective: Objective) -> tuple[np.ndarray, np.ndarray]:
    rewards_B, group_B = np.array([reward for reward, _ in drawn]), np.array([group for _, group in drawn])
    return np.abs(rewards_B) if isinstance(objective.shape, InverseMean) else rewards_B, group_B


def group_by_group(rewards_B: np.ndarray, group_B: np.ndarray, objective: Objective) -> np.ndarray:
    """`advantages` of one group after the other; a lone rollout of a relative objective has 0."""
    result_B = np.zeros_like(rewards_B)
    for group in np.unique(group_B):
        members = group_B == group
        if members.sum() > 1 or not objective.is_relative:
            result_B[members] = advantages(rewards_B[members][None], objective)[0]
    return result_B


def test_ragged_groups_by_hand():
    # Group 7 at rows 0, 2, 5: r = (1, 0, 0), mean 1/3, deviations (2/3, -1/3, -1/3); sum of squares 6/9, sample
    # variance 1/3, std 1/sqrt(3): A = (2, -1, -1)/sqrt(3). Group -1 at rows 1, 4: r = (0, 1), mean 1/2, variance 1/2,
    # std 1/sqrt(2): A = (-1, 1)/sqrt(2). Group 3, row 3, is alone: 0.
    rewards_B, group_B = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0]), np.array([7, -1, 7, 3, -1, 7])
    a, b = 1 / math.sqrt(3), 1 / math.sqrt(2)
    got = advantages_by_group(rewards_B, group_B, OBJECTIVES["grpo"].replace(std_eps=1e-12))
    np.testing.assert_allclose(got, [2 * a, -b, -a, 0.0, b, -a], rtol=1e-11)
    assert got[3] == 0.0


def test_without_a_comparison_a_lone_rollout_keeps_its_signal():
    # psr: s = +1 where right, no baseline, no scale: 1; reinforce: r itself.
    assert advantages_by_group(np.array([1.0]), np.array([0]), OBJECTIVES["psr"]).tolist() == [1.0]
    assert advantages_by_group(np.array([0.7]), np.array([0]), OBJECTIVES["reinforce"]).tolist() == [0.7]


@pytest.mark.parametrize("objective", OBJECTIVES_OF_ANY_SIZE, ids=lambda o: o.name)
@given(drawn=rollouts)
def test_equals_a_loop_over_groups_bit_for_bit(objective: Objective, drawn: list[tuple[float, int]]):
    rewards_B, group_B = split(drawn, objective)
    got = advantages_by_group(rewards_B, group_B, objective)
    np.testing.assert_array_equal(got, group_by_group(rewards_B, group_B, objective))


@pytest.mark.parametrize("size", [2, 8, 33, 300])
def test_large_groups_equal_a_loop_bit_for_bit_on_both_libraries(size: int):
    rng = np.random.default_rng(size)
    rewards_B = rng.normal(size=7 * size + 1)
    group_B = rng.permutation(np.append(np.repeat(np.arange(7), size), 99))
    for objective in (OBJECTIVES["grpo"], OBJECTIVES["rloo"], OBJECTIVES["qae"]):
        got = advantages_by_group(rewards_B, group_B, objective)
        np.testing.assert_array_equal(got, group_by_group(rewards_B, group_B, objective))
        tensor_B = advantages_by_group(torch.tensor(rewards_B), torch.tensor(group_B), objective)
        for group in range(7):
            members = torch.tensor(group_B == group)
            alone = advantages(torch.tensor(rewards_B)[members][None], objective)[0]
            assert torch.equal(tensor_B[members], alone)


@pytest.mark.parametrize("objective", OBJECTIVES_OF_ANY_SIZE, ids=lambda o: o.name)
@given(drawn=rollouts, data=st.data())
def test_order_of_rows_and_names_of_groups_do_not_matter(
    objective: Objective, drawn: list[tuple[float, int]], data: st.DataObject
):
    rewards_B, group_B = split(drawn, objective)
    whole = advantages_by_group(rewards_B, group_B, objective)
    labels = dict(zip(range(-3, 4), data.draw(st.permutations([5, -9, 0, 2**40, 1, 7, 12])), strict=True))
    renamed_B = np.array([labels[group] for group in group_B.tolist()])
    np.testing.assert_array_equal(advantages_by_group(rewards_B, renamed_B, objective), whole)
    order = np.array(data.draw(st.permutations(range(len(rewards_B)))))
    permuted = advantages_by_group(rewards_B[order], group_B[order], objective)
    well_posed = [len(set(rewards_B[group_B == group])) > 1 for group in group_B[order]]  # else a ratio of roundings
    np.testing.assert_allclose(permuted[well_posed], whole[order][well_posed], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES_OF_ANY_SIZE, ids=lambda o: o.name)
@given(drawn=rollouts)
def test_torch_gives_the_same_numbers(objective: Objective, drawn: list[tuple[float, int]]):
    rewards_B, group_B = split(drawn, objective)
    expected = advantages_by_group(rewards_B, group_B, objective)
    for labels in (torch.tensor(group_B), torch.tensor(group_B, dtype=torch.int32), group_B):
        got = advantages_by_group(torch.tensor(rewards_B), labels, objective)
        assert isinstance(got, torch.Tensor)
        assert got.dtype == torch.float64
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_precision_is_kept(dtype: torch.dtype):
    rewards_B, group_B = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0], dtype=dtype), torch.tensor([0, 0, 1, 1, 1])
    got = advantages_by_group(rewards_B, group_B, OBJECTIVES["grpo"])
    assert got.dtype == dtype
    assert torch.equal(got[:2], advantages(rewards_B[None, :2], OBJECTIVES["grpo"])[0])


@pytest.mark.parametrize("shape", [PassAtK(2), Focal(1.5), Quantile(0.4)], ids=repr)
def test_shapes_work_on_groups_of_different_sizes(shape: PassAtK | Focal | Quantile):
    rewards_B = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    group_B = np.array([1, 1, 1, 2, 2, 2, 2])
    objective = OBJECTIVES["grpo"].replace(shape=shape)
    got = advantages_by_group(rewards_B, group_B, objective)
    np.testing.assert_array_equal(got, group_by_group(rewards_B, group_B, objective))
    assert (got != 0.0).any()


def test_a_function_is_called_once_for_each_size(tmp_path: Path):
    (tmp_path / "own.py").write_text(
        "calls = []\ndef halve(rewards_PG, advantages_PG):\n"
        "    calls.append(rewards_PG.shape)\n    return advantages_PG / 2 + 0 * len(calls)\n"
        "def shapes(rewards_PG, advantages_PG):\n    return advantages_PG * 0 + rewards_PG.shape[0]\n"
    )
    rewards_B, group_B = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 1, 2, 2, 2])
    half = OBJECTIVES["grpo"].replace(shape=f"{tmp_path}/own.py:halve")
    expected = group_by_group(rewards_B, group_B, OBJECTIVES["grpo"]) / 2
    np.testing.assert_array_equal(advantages_by_group(rewards_B, group_B, half), expected)
    number_of_groups = OBJECTIVES["grpo"].replace(shape=f"{tmp_path}/own.py:shapes")
    assert advantages_by_group(rewards_B, group_B, number_of_groups).tolist() == [2, 2, 2, 2, 1, 1, 1]


@pytest.mark.parametrize("k", [1, 2])
def test_pass_at_k_names_a_group_that_is_too_small(k: int):
    objective = OBJECTIVES["pass-at-k"].replace(shape=PassAtK(k))
    message = rf"needs groups of at least {k + 1} rollouts; group 41 has 1\. Leave the group out, or lower k"
    with pytest.raises(InputError, match=message):
        advantages_by_group(np.array([1.0, 0.0, 1.0, 1.0]), np.array([5, 5, 41, 5]), objective)


@pytest.mark.parametrize(
    ("rewards_B", "group_B", "message"),
    [
        (np.zeros((2, 2)), np.zeros(4, int), r"shape \(rollouts,\), not empty; got \(2, 2\)"),
        (np.zeros(0), np.zeros(0, int), r"not empty; got \(0,\)"),
        (np.zeros(3, int), np.zeros(3, int), "floating point; got int64"),
        (np.array([0.0, np.nan]), np.zeros(2, int), r"rewards_B\[1\] is nan"),
        (np.zeros(3), np.zeros(2, int), r"integer for each of the 3 rewards; got int64 of shape \(2,\)"),
        (np.zeros(3), np.zeros(3), "got float64 of shape"),
        ([0.0, 1.0], np.zeros(2, int), "all NumPy or all torch; got builtins"),
    ],
)
def test_bad_input_is_refused(rewards_B: np.ndarray, group_B: np.ndarray, message: str):
    with pytest.raises(InputError, match=message):
        advantages_by_group(rewards_B, group_B, OBJECTIVES["grpo"])
