"""Shapes: by hand, against their definitions, what they leave alone, both array libraries, TOML."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import tomllib

import numpy as np
import pytest
import tomli_w
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlvrscope import InputError
from rlvrscope.objectives import (
    OBJECTIVES,
    Focal,
    Objective,
    PassAtK,
    Quantile,
    RateWeights,
    Shape,
    advantages,
    objective_from,
)

GRPO = OBJECTIVES["grpo"].replace(std_ddof=0, std_eps=1e-12)
TABLE = RateWeights(((0.0, 2.0), (0.5, 1.0), (0.75, 0.0)))
SHAPES = [PassAtK(1), PassAtK(3), Focal(0.0), Focal(1.0), Focal(2.5), TABLE, Quantile(0.4), Quantile(0.9)]
ONE_OF_FOUR = np.array([[1.0, 0.0, 0.0, 0.0]])
binary = hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(4, 9)), elements=st.sampled_from([0.0, 1.0]))
graded = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(4, 9)), elements=st.sampled_from([-1.0, 0.0, 0.2, 0.5, 0.8, 1])
)


def shaped(shape: Shape, rewards: np.ndarray, base: Objective = GRPO) -> np.ndarray:
    return advantages(rewards, base.replace(name="shaped", shape=shape))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        # n = 4, c = 1, k = 2: q = C(3,2)/C(4,2) = 1/2, sigma too; A+ = 1; C(2,1)/C(3,1) = 2/3, A- = (1/2 - 2/3)/(1/2).
        (PassAtK(2), [1.0, -1 / 3, -1 / 3, -1 / 3]),
        # k = 3: q = C(3,3)/C(4,3) = 1/4, sigma = sqrt(3)/4; A+ = 1/sqrt(3); C(2,2)/C(3,2) = 1/3, A- = -(1/12)/sigma.
        (PassAtK(3), [1 / math.sqrt(3), *[-1 / (3 * math.sqrt(3))] * 3]),
        # GRPO: (sqrt(3), -1/sqrt(3), ...), p = 1/4.
        (Focal(1.0), [0.75 * math.sqrt(3), *[-0.75 / math.sqrt(3)] * 3]),
        (Focal(2.0), [0.5625 * math.sqrt(3), *[-0.5625 / math.sqrt(3)] * 3]),
        (TABLE, [1.5 * math.sqrt(3), *[-1.5 / math.sqrt(3)] * 3]),  # halfway between 2 and 1
        # p = 1/4 <= 1 - .4: baseline 0, std sqrt(3)/4: only the right one counts.
        (Quantile(0.4), [4 / math.sqrt(3), 0.0, 0.0, 0.0]),
        # p = 1/4 > 1 - .9: baseline 1: only the wrong ones count.
        (Quantile(0.9), [0.0, *[-4 / math.sqrt(3)] * 3]),
    ],
    ids=repr,
)
def test_by_hand(shape: Shape, expected: list[float]):
    np.testing.assert_allclose(shaped(shape, ONE_OF_FOUR), [expected], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(("n", "k"), [(4, 2), (5, 4), (7, 3), (8, 4), (9, 2)])
def test_pass_at_k_is_the_standardised_mean_reward_of_the_sets_a_rollout_stands_in(n: int, k: int):
    """Every set of k of the n rollouts, rewarded 1 if one in it is right; the advantage of a rollout is the mean over
    the sets that hold it of (reward - mean) / population std over all sets."""
    for right in range(n + 1):
        rewards = [1.0] * right + [0.0] * (n - right)
        sets = list(itertools.combinations(range(n), k))
        worth = [max(rewards[i] for i in chosen) for chosen in sets]
        mean, spread = statistics.fmean(worth), statistics.pstdev(worth)
        expected = [
            statistics.fmean((value - mean) / spread for chosen, value in zip(sets, worth, strict=True) if i in chosen)
            if spread > 0
            else 0.0
            for i in range(n)
        ]
        np.testing.assert_allclose(shaped(PassAtK(k), np.array([rewards])), [expected], rtol=1e-9, atol=1e-12)


def test_pass_at_1_is_grpo_with_the_population_std():
    rewards = (np.arange(8) < np.arange(9)[:, None]).astype(float)
    np.testing.assert_allclose(shaped(PassAtK(1), rewards), advantages(rewards, GRPO), rtol=1e-9)


def test_pass_at_k_of_a_thousand_rollouts_is_finite_and_sums_to_zero():
    rewards = (np.arange(1024) < np.arange(1025)[:, None]).astype(float)  # float binomials overflow from n = 1030 on
    got = shaped(PassAtK(512), rewards)
    assert np.isfinite(got).all()
    assert (got[[0, 513, 600, 1024]] == 0.0).all()  # none right, or fewer than k wrong
    assert (got[1:513].max(axis=1) > 0.0).all()
    np.testing.assert_allclose(got.sum(axis=1), 0.0, atol=1e-9)


def test_right_means_at_or_above_the_threshold():
    rewards = np.array([[0.8, 0.3, 0.3, 0.1]])
    binary_rewards = (rewards >= 0.3).astype(float)
    strict = GRPO.replace(threshold=0.3)
    np.testing.assert_allclose(shaped(PassAtK(2), rewards, strict), shaped(PassAtK(2), binary_rewards))
    np.testing.assert_allclose(shaped(Focal(1.0), rewards, strict), 0.25 * advantages(rewards, GRPO))


def test_f_grpo_is_not_grpo_p_at_a_finite_group_size():
    """With gamma 1 the two meet as G grows; at p = .97 and G = 8 F-GRPO pushes nearly five times as hard."""
    p, size = 0.97, 8

    def slope(name: str) -> float:
        """E[(1/G) sum_i A_i grad log pi(a_i)] in units of grad p, as grad log pi averages grad p / p over right ones
        and -grad p / (1 - p) over wrong ones."""
        found = 0.0
        for right in range(size + 1):
            chance = math.comb(size, right) * p**right * (1 - p) ** (size - right)
            rewards = (np.arange(size) < right).astype(float)[None]
            got = advantages(rewards, OBJECTIVES[name].replace(std_ddof=0))[0]
            found += chance / size * (got[:right].sum() / p - got[right:].sum() / (1 - p))
        return found

    assert slope("f-grpo") == pytest.approx(0.36, abs=0.005)
    assert slope("grpo-p") == pytest.approx(0.076, abs=0.0005)


@given(rewards=binary, gamma=st.floats(0, 4))
def test_focal_is_a_table_of_weights(rewards: np.ndarray, gamma: float):
    n = rewards.shape[1]
    table = RateWeights(tuple((c / n, (1 - c / n) ** gamma) for c in range(n + 1)))
    np.testing.assert_allclose(shaped(Focal(gamma), rewards), shaped(table, rewards), rtol=1e-9, atol=1e-12)


def test_rate_weights_are_linear_between_points_and_constant_outside():
    table = RateWeights(((0.2, 1.0), (0.6, 3.0), (0.7, 0.0)))
    got = [table.weight(rate) for rate in (0.0, 0.2, 0.3, 0.4, 0.6, 0.65, 0.7, 1.0)]
    np.testing.assert_allclose(got, [1.0, 1.0, 1.5, 2.0, 3.0, 1.5, 0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize("level", [0.07, 0.25, 0.4, 0.5, 0.999])
@given(rewards=graded)
def test_the_quantile_is_the_least_reward_that_enough_do_not_exceed(level: float, rewards: np.ndarray):
    group = rewards[0].tolist()
    n = len(group)
    baseline = next(value for value in sorted(group) if sum(other <= value for other in group) >= level * n - 1e-9)
    spread = statistics.pstdev(group)
    expected = [(value - baseline) / spread if spread > 0 else 0.0 for value in group]
    np.testing.assert_allclose(shaped(Quantile(level), rewards)[0], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.0, 1.0, -7.3])
def test_equal_rewards_give_exactly_zero(shape: Shape, value: float):
    assert (shaped(shape, np.full((3, 8), value)) == 0.0).all()


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@given(rewards=graded, seed=st.integers(0, 99))
def test_follows_permutations_and_groups_do_not_mix(shape: Shape, rewards: np.ndarray, seed: int):
    order = np.random.default_rng(seed).permutation(rewards.shape[1])
    whole = shaped(shape, rewards)
    np.testing.assert_allclose(shaped(shape, rewards[:, order]), whole[:, order], rtol=1e-9, atol=1e-12)
    alone = np.concatenate([shaped(shape, group[None]) for group in rewards])
    np.testing.assert_allclose(alone, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@given(rewards=graded)
def test_sign_weights_have_the_last_word(shape: Shape, rewards: np.ndarray):
    whole = shaped(shape, rewards)
    negative = shaped(shape, rewards, GRPO.replace(positive_weight=0.0))
    np.testing.assert_array_equal(negative, np.minimum(whole, 0.0))
    mostly = shaped(shape, rewards, GRPO.replace(positive_weight=0.1))
    np.testing.assert_allclose(mostly, np.where(whole > 0, 0.1 * whole, whole), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@given(rewards=graded)
def test_torch_gives_the_same_numbers(shape: Shape, rewards: np.ndarray):
    objective = GRPO.replace(shape=shape)
    got = advantages(torch.from_numpy(rewards), objective)
    assert isinstance(got, torch.Tensor)
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.numpy(), advantages(rewards, objective), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_precision_keeps_its_kind(shape: Shape, dtype: torch.dtype):
    rewards = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0, 0.0]], dtype=dtype)
    objective = OBJECTIVES["grpo"].replace(shape=shape)
    got = advantages(rewards, objective)
    assert got.dtype == dtype
    expected = advantages(rewards.double(), objective).to(dtype)
    torch.testing.assert_close(got, expected, rtol=1e-2 if dtype != torch.float32 else 1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_shape_survives_toml(shape: Shape):
    objective = GRPO.replace(shape=shape)
    table = {field: value for field, value in dataclasses.asdict(objective).items() if value is not None}
    assert objective_from(tomllib.loads(tomli_w.dumps(table))) == objective
    assert hash(objective) == hash(objective.replace())


def test_a_table_sets_parameters_of_its_bases_shape():
    eight = objective_from({"base": "pass-at-k", "name": "pass-at-8", "shape": {"k": 8}})
    assert eight.shape == PassAtK(8)
    assert eight.min_group_size == 9
    other = objective_from({"base": "pass-at-k", "name": "x", "shape": {"kind": "focal", "gamma": 2}})
    assert other.shape == Focal(2)
    weights = {"kind": "rate_weights", "points": [[0, 1], [1, 0.5]]}
    assert objective_from({"base": "rloo", "name": "y", "shape": weights}).shape == RateWeights(
        ((0.0, 1.0), (1.0, 0.5))
    )


def test_pass_at_k_needs_more_than_k_rollouts():
    with pytest.raises(InputError, match=r"k = 4 needs groups of at least 5 rollouts; got 4\. Raise the group size"):
        advantages(ONE_OF_FOUR, OBJECTIVES["pass-at-k"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"k": 4}, r"shape must name its kind; got None\. Allowed: pass_at_k, focal"),
        ({"kind": "pass_at_l", "k": 4}, r"got 'pass_at_l'\. Did you mean 'pass_at_k'"),
        ({"kind": ["focal"]}, "shape must name its kind"),
        ({"kind": "pass_at_k"}, "pass_at_k needs its parameter 'k'"),
        ({"kind": "pass_at_k", "k": 4, "n": 8}, "pass_at_k has no parameter 'n'"),
        ({"kind": "pass_at_k", "k": 0}, "k must be a whole number from 1"),
        ({"kind": "pass_at_k", "k": 2.0}, r"k must be a whole number from 1 to 1e\+06; got 2\.0"),
        ({"kind": "pass_at_k", "k": True}, "k must be a whole number"),
        ({"kind": "focal", "gamma": -1.0}, "gamma must be a number from 0"),
        ({"kind": "focal", "gamma": math.nan}, "gamma must be a number from 0"),
        ({"kind": "focal", "gamma": "x"}, "gamma must be a number from 0"),
        ({"kind": "quantile", "level": 1.0}, "level must be between 0 and 1"),
        ({"kind": "quantile", "level": 1.5}, "level must be a number from 0 to 1"),
        ({"kind": "rate_weights", "points": []}, r"points must be \(rate, weight\) pairs"),
        ({"kind": "rate_weights", "points": "ab"}, r"points must be \(rate, weight\) pairs"),
        ({"kind": "rate_weights", "points": [[0, 1, 2]]}, r"points must be \(rate, weight\) pairs"),
        ({"kind": "rate_weights", "points": [[0.5, 1], [0.5, 2]]}, "rates must rise"),
        ({"kind": "rate_weights", "points": [[1.5, 1]]}, "a rate must be a number from 0 to 1"),
        ({"kind": "rate_weights", "points": [[0, -1]]}, "a weight must be a number from 0"),
        ("focal", r"shape must be 'file\.py:NAME', or a table"),
        (5, "or a table with its kind; got 5"),
        (max, "give a function as 'file.py:NAME', not the function itself; got 'max'"),
    ],
)
def test_bad_shapes_are_refused(value: object, message: str):
    with pytest.raises(InputError, match=message):
        objective_from({"base": "grpo", "name": "x", "shape": value})
