"""Intervals and bands: Wilson's formula, sup-t critical values, p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats.intervals import check_confidence, critical_z, maxima, p_values, score_interval


def wilson(successes: int, trials: int, z: float) -> tuple[float, float]:
    """The textbook's formula for a share of successes."""
    p = successes / trials
    centre = p + z**2 / (2 * trials)
    half = z * math.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    return (centre - half) / (1 + z**2 / trials), (centre + half) / (1 + z**2 / trials)


@pytest.mark.parametrize(("successes", "trials"), [(14, 30), (1, 30), (29, 30), (250, 500), (0, 30), (30, 30)])
def test_binary_data_give_wilsons_interval(successes: int, trials: int):
    # se^2 = m (1 - m) / N makes the effective number N itself; at 0 and 1, where se = 0, it is the number of problems.
    m, z = np.array([successes / trials]), np.array([1.96])
    low, high = score_interval(m, np.sqrt(m * (1 - m) / trials), z, trials)
    np.testing.assert_allclose([low[0], high[0]], wilson(successes, trials, 1.96), atol=1e-15)


def test_wilson_by_hand():
    # No success in N = 4 at z = 2: z^2 / N = 1, so the interval is 0 .. (1/2 + 1/2) / 2 = 1/2.
    low, high = score_interval(np.zeros(1), np.zeros(1), np.array([2.0]), 4)
    assert (low[0], high[0]) == (0.0, pytest.approx(0.5))
    # m = 1/2, se = 1/4: N = 1/4 * 16 = 4. Half-width sqrt(1/4 + 1/4) / 2 = sqrt(2) / 4 about 1/2.
    low, high = score_interval(np.array([0.5]), np.array([0.25]), np.array([2.0]), 99)
    np.testing.assert_allclose([low[0], high[0]], [0.5 - math.sqrt(2) / 4, 0.5 + math.sqrt(2) / 4])


@given(st.floats(0.0, 1.0), st.one_of(st.just(0.0), st.floats(1e-3, 1.0)), st.floats(0.0, 8.0), st.integers(1, 1000))
def test_the_interval_holds_the_estimate_inside_the_unit_interval(m: float, share: float, z: float, count: int):
    se = share * math.sqrt(m * (1.0 - m))  # no mean of values in [0, 1] has a larger one
    low, high = score_interval(np.array([m]), np.array([se]), np.array([z]), count)
    assert 0.0 <= low[0] <= m <= high[0] <= 1.0
    lower, higher = score_interval(np.array([m]), np.array([se]), np.array([z + 1.0]), count)
    assert lower[0] <= low[0] + 1e-12
    assert higher[0] >= high[0] - 1e-12


@given(st.floats(0.01, 0.99), st.floats(0.001, 0.2))
def test_success_and_failure_are_treated_alike(m: float, se: float):
    low, high = score_interval(np.array([m, 1 - m]), np.array([se, se]), np.array([1.96, 1.96]), 50)
    np.testing.assert_allclose(low, 1.0 - high[::-1], atol=1e-12)


def test_an_undefined_estimate_or_error_has_no_interval():
    low, high = score_interval(np.array([np.nan, 0.5]), np.array([0.1, np.nan]), np.array([2.0, 2.0]), 9)
    assert np.isnan([low, high]).all()


def test_largest_deviation_by_hand():
    # Standard deviations 1 and 2, correlation .6: the draws are x and .6 x + .8 y. A constant and an undefined column
    # say nothing, wherever they are.
    covariance = np.full((4, 4), np.nan)
    covariance[:3, :3] = [[1.0, 0.0, 1.2], [0.0, 0.0, 0.0], [1.2, 0.0, 4.0]]
    normal = np.array([[1.0, 1.0, 9.0, 9.0], [1.0, 0.0, 9.0, 9.0], [0.0, -2.0, 9.0, 9.0]])
    np.testing.assert_allclose(maxima(covariance, normal), [1.4, 1.0, 1.6], rtol=1e-8)
    np.testing.assert_array_equal(maxima(np.zeros((2, 2)), normal), np.zeros(3))


def test_equal_columns_are_one():
    normal = generator(0, "equal").normal(size=(1000, 3))
    np.testing.assert_allclose(maxima(np.ones((3, 3)), normal), np.abs(normal[:, 0]), atol=1e-4)


def test_critical_values_by_hand():
    # Pointwise: the normal quantile. Jointly: the maxima's quantile, never below the pointwise one.
    assert critical_z(None, 0.05) == pytest.approx(1.9599640)
    assert critical_z(np.linspace(0.0, 4.0, 1001), 0.1) == pytest.approx(3.6)
    assert critical_z(np.zeros(100), 0.05) == pytest.approx(1.9599640)


def test_independent_columns_need_sidaks_level():
    # Ten independent normal columns: all within z with probability (1 - 2 sf(z))^10 = .95 at z = 2.8 (Sidak).
    normal = generator(0, "sidak").normal(size=(40_000, 10))
    z = critical_z(maxima(np.diag(np.arange(1.0, 11.0)), normal), 0.05)
    assert z == pytest.approx(norm.isf((1 - 0.95**0.1) / 2), abs=0.03)


def test_pointwise_p_values_are_normal():
    np.testing.assert_allclose(p_values(np.array([0.0, 2.0, np.nan]), None), [1.0, 2 * float(norm.sf(2.0)), np.nan])


def test_joint_p_values_count_the_draws_beyond():
    # Of nine maxima 1 .. 9, three are at least 7: (1 + 3) / (1 + 9). None is at least 10: 1 / 10, not 0.
    p = p_values(np.array([7.0, 10.0, 0.5, np.nan]), np.arange(1.0, 10.0))
    np.testing.assert_allclose(p, [0.4, 0.1, 1.0, np.nan])


def test_a_p_value_is_the_least_alpha_whose_band_leaves_zero_out():
    # Within one draw in 999: between two draws the band's quantile is interpolated.
    drawn = np.abs(generator(0, "p").normal(size=(999, 4))).max(axis=1)
    for z in np.linspace(0.5, 4.0, 15):
        p = p_values(np.array([z]), drawn)[0]
        if 2e-3 < p < 0.99:
            assert critical_z(drawn, p + 2e-3) < z < critical_z(drawn, p - 2e-3)


@given(st.floats(0.0, 6.0), st.floats(0.0, 6.0))
def test_larger_scores_have_smaller_p_values(one: float, other: float):
    drawn = np.linspace(0.0, 4.0, 200)
    for maxima_R in (None, drawn):
        small, large = p_values(np.array(sorted([one, other])), maxima_R)
        assert 0.0 <= large <= small <= 1.0
        assert p_values(np.array([one]), drawn)[0] >= p_values(np.array([one]), None)[0]


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.1, 95, math.nan])
def test_a_confidence_outside_its_range_is_refused(confidence: float):
    with pytest.raises(InputError, match=f"between 0 and 1; got {confidence}"):
        check_confidence(confidence)
