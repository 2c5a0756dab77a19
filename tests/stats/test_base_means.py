"""Means over bases: pairing, and intervals that hold what they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtr, stdtrit
from scipy.stats import norm

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import BaseMeans, bootstrap_mean, means_over_prompts, resample_weights
from rlvrscope.stats.base_means import quantiles_with_student


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
    found, plain = means_over_prompts(["a"], [values], weights).interval(), bootstrap_mean(values, weights)
    for end in ("estimate", "low", "high"):
        np.testing.assert_allclose(getattr(found, end), getattr(plain, end))


@pytest.mark.parametrize("bases", [4, 5, 8])
def test_without_noise_from_prompts_it_is_students_interval(bases: int):
    value_B, names = generator(0, "student", bases).normal(size=bases), tuple(map(str, range(bases)))
    found = BaseMeans(names, value_B, np.tile(value_B, (4000, 1))).interval()
    half = stdtrit(bases - 1, 0.975) * value_B.std(ddof=1) / np.sqrt(bases)
    assert found.high - value_B.mean() == pytest.approx(half, rel=0.02)
    assert value_B.mean() - found.low == pytest.approx(half, rel=0.02)


def test_bases_that_agree_add_nothing():
    draws = generator(0, "agree").normal(size=(500, 1))
    one = BaseMeans(("a",), np.zeros(1), draws).interval()
    four = BaseMeans(tuple("abcd"), np.zeros(4), np.tile(draws, 4)).interval()
    assert (one.low, one.high) == (four.low, four.high)


@pytest.mark.parametrize(("bases", "between"), [(4, 0.3), (4, 3.0), (5, 1.0)])
def test_coverage(bases: int, between: float):
    """Nominal 95 %, of all bases: they vary by `between` standard errors of the prompts."""
    rng, names, hits = generator(0, "coverage", bases, between), tuple(map(str, range(bases))), 0
    for _ in range(500):
        prompts, value_B = rng.normal(), rng.normal(0.0, between, bases)
        draws_RB = value_B + prompts + rng.normal(size=(400, 1))
        interval = BaseMeans(names, value_B + prompts, draws_RB).interval()
        hits += bool(interval.low <= 0.0 <= interval.high)
    assert hits / 500 > 0.92  # three standard errors below .95 are .921


# ---- fewer bases: about these


def runs_on_two_bases(*values: float, noise: float = 0.0) -> BaseMeans:
    """Two seeds on each of two bases."""
    draws = noise * generator(0, "noise").normal(size=4000)
    return BaseMeans.of(["a", "a", "b", "b"], [(np.float64(value), value + draws) for value in values])


def test_two_bases_of_two_seeds_by_hand():
    # Base a: 1 and 3, b: 10 and 10. Within bases squares 2 and 0, two degrees of freedom: s^2 = 1. The mean of base
    # means has the variance 1 * (1/2 + 1/2) / 4 = .25, its interval the half-width .5 t(2). How far a is from b
    # does not enter.
    found = runs_on_two_bases(1.0, 3.0, 10.0, 10.0)
    assert found.covers == "seeds"
    interval = found.interval()
    assert interval.estimate == 6.0
    assert interval.high - 6.0 == pytest.approx(0.5 * stdtrit(2, 0.975), rel=0.02)
    assert 6.0 - interval.low == pytest.approx(0.5 * stdtrit(2, 0.975), rel=0.02)


def test_both_sides_of_a_difference_vary_between_seeds():
    # Both sides have the variance .25 of above: together .5, with Welch's (.5)^2 / (.25^2 / 2 + .25^2 / 2) = 4 degrees.
    gap = runs_on_two_bases(1.0, 3.0, 10.0, 10.0).minus(runs_on_two_bases(4.0, 4.0, 5.0, 7.0))
    interval = gap.interval()
    assert interval.estimate == 1.0
    assert interval.high - 1.0 == pytest.approx(np.sqrt(0.5) * stdtrit(4, 0.975), rel=0.02)
    # Against one whose seeds agree, only the first side's spread and degrees are left.
    lone = runs_on_two_bases(1.0, 3.0, 10.0, 10.0).minus(runs_on_two_bases(4.0, 4.0, 6.0, 6.0)).interval()
    assert lone.high - lone.estimate == pytest.approx(0.5 * stdtrit(2, 0.975), rel=0.02)


@pytest.mark.parametrize(
    ("runs", "covers"),
    [
        ("a", "prompts"),
        ("aa", "prompts"),  # one degree of freedom: t is 12.7
        ("aaa", "seeds"),
        ("aabb", "seeds"),
        ("aab", "prompts"),
        ("abc", "prompts"),
        ("aabbc", "seeds"),
        ("abcd", "bases"),
    ],
)
def test_what_an_interval_speaks_of(runs: str, covers: str):
    found = BaseMeans.of(list(runs), [(np.float64(i), float(i) + np.zeros(50)) for i in range(len(runs))])
    assert found.covers == covers
    if covers == "prompts":
        interval = found.interval()
        assert interval.low == interval.high == pytest.approx(found.estimate), "no prompt differs from another"


def test_a_difference_is_about_seeds_only_if_both_sides_know_their_spread():
    known = runs_on_two_bases(1.0, 3.0, 10.0, 10.0)
    lone = BaseMeans.of(["a", "b"], [(np.float64(v), np.full(4000, v)) for v in (2.0, 3.0)])
    assert known.minus(lone).covers == "prompts"
    with_none_shared = known.minus(BaseMeans.of(["b", "b"], [(np.float64(v), np.full(4000, v)) for v in (2.0, 3.0)]))
    assert with_none_shared.bases == ("b",)
    assert with_none_shared.covers == "prompts", "one base of two seeds is left"


def test_arrays_of_numbers_have_their_own_spread():
    values = np.array([[1.0, 5.0], [3.0, 5.0], [10.0, 6.0], [10.0, 8.0]])
    both = BaseMeans.of(["a", "a", "b", "b"], [(row, np.tile(row, (4000, 1))) for row in values]).interval()
    for column in (0, 1):
        alone = runs_on_two_bases(*values[:, column]).interval()
        np.testing.assert_allclose([both.low[column], both.high[column]], [alone.low, alone.high])


@pytest.mark.parametrize("between_seeds", [0.3, 1.0, 3.0])
def test_coverage_on_these_bases(between_seeds: float):
    """Nominal 95 %: two bases, however far apart, two seeds each. The truth is the mean of these two."""
    rng, hits = generator(0, "these", between_seeds), 0
    for _ in range(500):
        prompts, noise_R = rng.normal(), rng.normal(size=400)
        values = [base + prompts + rng.normal(0.0, between_seeds) for base in (-40.0, -40.0, 40.0, 40.0)]
        interval = BaseMeans.of(["a", "a", "b", "b"], [(np.float64(v), v + noise_R) for v in values]).interval()
        hits += bool(interval.low <= 0.0 <= interval.high)
    assert hits / 500 > 0.92  # three standard errors below .95 are .921


@pytest.mark.parametrize(("sd", "error", "df"), [(1.0, 0.5, 3.0), (0.2, 1.0, 2.0), (1.0, 0.01, 7.0)])
def test_quantiles_of_a_sum_are_those_of_the_convolution(sd: float, error: float, df: float):
    """Normal draws plus e t: the distribution function is the mean of t's over the draws, here by quadrature."""
    draws = sd * norm.ppf((np.arange(4000) + 0.5) / 4000)
    ends = quantiles_with_student(draws, np.array(error), np.array(df), [0.025, 0.975])
    below = [stdtr(df, (end - draws) / error).mean() for end in ends]
    np.testing.assert_allclose(below, [0.025, 0.975], atol=2e-4)


def test_swapping_the_sides_mirrors_the_interval():
    rng = generator(0, "mirror")
    draws_RB = rng.gamma(2.0, size=(999, 5))
    one = BaseMeans(tuple("abcde"), draws_RB.mean(axis=0), draws_RB)
    other = BaseMeans(tuple("abcde"), -draws_RB.mean(axis=0), -draws_RB)
    np.testing.assert_allclose(one.interval().low, -other.interval().high, rtol=0, atol=1e-12)
    np.testing.assert_allclose(one.interval().high, -other.interval().low, rtol=0, atol=1e-12)


def test_bad_requests_are_refused():
    weights = resample_weights(40, 10, generator(0))
    with pytest.raises(InputError, match="at least one run"):
        BaseMeans.of([], [])
    with pytest.raises(InputError, match="weights are for 40 prompts; a run has 39"):
        means_over_prompts(["a"], [np.zeros(39)], weights)
    with pytest.raises(InputError, match="between 0 and 1; got 95"):
        means_over_prompts(["a"], [np.zeros(40)], weights).interval(95)
