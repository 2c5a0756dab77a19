"""Means over bases: pairing, and intervals that hold what they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit

from massflow import InputError
from massflow.seeding import generator
from massflow.stats import BaseMeans, bootstrap_mean, over_prompts, resample_weights
from massflow.stats.bases import student_draws


def test_bases_count_alike_however_many_seeds_they_have():
    # Base a: seeds at 1 and 3, mean 2; base b: 5. Their mean is 3.5.
    found = BaseMeans.of(["a", "b", "a"], [(np.float64(v), np.full(4, v)) for v in (1.0, 5.0, 3.0)])
    np.testing.assert_array_equal(found.value_B, [2.0, 5.0])
    np.testing.assert_array_equal(found.draws_RB, [[2.0, 5.0]] * 4)
    assert found.estimate == 3.5


def test_differences_are_paired_by_name():
    one = BaseMeans(("a", "b"), np.array([1.0, 2.0]), np.array([[1.0, 2.0]]))
    other = BaseMeans(("b", "c", "a"), np.array([20.0, 30.0, 10.0]), np.array([[20.0, 30.0, 10.0]]))
    gap = one.minus(other)
    assert gap.bases == ("a", "b")
    np.testing.assert_array_equal(gap.value_B, [-9.0, -18.0])
    np.testing.assert_array_equal(gap.draws_RB, [[-9.0, -18.0]])
    with pytest.raises(InputError, match="a base in common"):
        one.minus(BaseMeans(("d",), np.zeros(1), np.zeros((1, 1))))


def test_one_base_has_the_bootstrap_interval_over_prompts():
    rng = generator(0, "one")
    values, weights = rng.random((50, 3)), resample_weights(50, 400, rng)
    found, plain = over_prompts(["a"], [values], weights).interval(), bootstrap_mean(values, weights)
    for end in ("estimate", "low", "high"):
        np.testing.assert_allclose(getattr(found, end), getattr(plain, end))


@pytest.mark.parametrize("bases", [2, 3, 5])
def test_without_noise_from_prompts_it_is_students_interval(bases: int):
    value_B, names = generator(0, "student", bases).normal(size=bases), tuple(map(str, range(bases)))
    found = BaseMeans(names, value_B, np.tile(value_B, (4000, 1))).interval()
    half = stdtrit(bases - 1, 0.975) * value_B.std(ddof=1) / np.sqrt(bases)
    assert found.high - value_B.mean() == pytest.approx(half, rel=0.02)
    assert value_B.mean() - found.low == pytest.approx(half, rel=0.02)


def test_bases_that_agree_add_nothing():
    draws = generator(0, "agree").normal(size=(500, 1))
    one = BaseMeans(("a",), np.zeros(1), draws).interval()
    two = BaseMeans(("a", "b"), np.zeros(2), np.tile(draws, 2)).interval()
    assert (one.low, one.high) == (two.low, two.high)


@pytest.mark.parametrize(("bases", "between"), [(2, 0.3), (2, 3.0), (5, 1.0)])
def test_coverage(bases: int, between: float):
    """Nominal 95 %: bases vary by `between` standard errors of the prompts. Never short of it, also with two bases."""
    rng, names, hits = generator(0, "coverage", bases, between), tuple(map(str, range(bases))), 0
    for _ in range(500):
        prompts, value_B = rng.normal(), rng.normal(0.0, between, bases)
        draws_RB = value_B + prompts + rng.normal(size=(400, 1))
        interval = BaseMeans(names, value_B + prompts, draws_RB).interval()
        hits += bool(interval.low <= 0.0 <= interval.high)
    assert hits / 500 > 0.93  # three standard errors below .95 are .921, and the interval is on the safe side


def test_student_draws_are_its_quantiles_in_another_order():
    draws = student_draws(1000, 4)
    np.testing.assert_allclose(np.sort(draws), stdtrit(4, (np.arange(1000) + 0.5) / 1000))
    assert abs(np.corrcoef(draws, np.arange(1000))[0, 1]) < 0.1
    np.testing.assert_array_equal(draws, student_draws(1000, 4))


def test_bad_requests_are_refused():
    weights = resample_weights(40, 10, generator(0))
    with pytest.raises(InputError, match="at least one run"):
        BaseMeans.of([], [])
    with pytest.raises(InputError, match="weights are for 40 prompts; a run has 39"):
        over_prompts(["a"], [np.zeros(39)], weights)
    with pytest.raises(InputError, match="between 0 and 1; got 95"):
        over_prompts(["a"], [np.zeros(40)], weights).interval(95)
