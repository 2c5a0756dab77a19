"""Slopes over windows of every length, and what counts as one."""

from __future__ import annotations

import numpy as np
import pytest

from rlvrscope.monitor.trend import LOST_CORRELATION, Lasting, Trend
from rlvrscope.seeding import generator


def trend_of(values: np.ndarray, wanders: bool = False) -> Trend:
    trend = Trend(wanders=wanders)
    for value in values:
        trend.add(float(value))
    return trend


@pytest.mark.parametrize("trend", [0.0, 10.0, 50.0])
def test_steep_slopes_are_those_of_least_squares(trend: float):
    values = 7.0 + np.linspace(0.0, trend, 60) + generator(0).normal(size=60)
    series = trend_of(values)
    assert series.windows == [8, 13, 20, 31, 47]
    expected = {}
    for index, window in enumerate(series.windows):
        (slope, _), covariance = np.polyfit(np.arange(window), values[-window:], 1, cov=True)
        assert series.mean(window) == pytest.approx(values[-window:].mean())
        if abs(z := slope / np.sqrt(covariance[0, 0])) >= 5.0:
            expected[index] = (window, pytest.approx(slope * (window - 1)), pytest.approx(z))
    assert {index: tuple(slope) for index, slope in series._steep_slopes()} == expected
    assert len(expected) == {0.0: 0, 10.0: 2, 50.0: 4}[trend]


def wandering(correlation: float, rows: int, seed: int) -> np.ndarray:
    values = generator(seed).normal(size=rows)
    for row in range(1, rows):
        values[row] += correlation * values[row - 1]
    return values


def test_errors_grow_by_the_correlation_of_the_residuals():
    values = 3.0 + np.linspace(0.0, 30.0, 300) + wandering(0.6, 300, seed=4)
    plain, wide = trend_of(values), trend_of(values, wanders=True)
    slopes = dict(plain._steep_slopes())
    assert len(slopes) >= 4
    for index, slope in wide._steep_slopes():
        line = np.polyfit(np.arange(slope.window), values[-slope.window :], 1)
        rest = values[-slope.window :] - np.polyval(line, np.arange(slope.window))
        correlation = np.clip(rest[1:] @ rest[:-1] / (rest @ rest) + LOST_CORRELATION / slope.window, 0.0, 0.95)
        assert slope.z == pytest.approx(slopes[index].z * np.sqrt((1.0 - correlation) / (1.0 + correlation)))
        assert slope.rise == slopes[index].rise
    assert max(slope.z for slope in dict(wide._steep_slopes()).values()) > 5.0, "the trend is clear all the same"


def test_a_series_that_wanders_has_few_slopes():
    """40 series of 500 rows around a constant, lag-1 autocorrelation .5."""
    rises = {False: 0, True: 0}
    for seed in range(40):
        for wanders in rises:
            trend, lasting = Trend(wanders=wanders), Lasting()
            rose = [lasting.update(row, _added(trend, value)) for row, value in enumerate(wandering(0.5, 500, seed))]
            rises[wanders] += any(rose)
    assert rises[False] >= 15
    assert rises[True] <= 5


def _added(trend: Trend, value: float) -> bool:
    trend.add(float(value))
    return trend.clearest(1) is not None


def test_the_fall_is_the_largest_from_a_height_before():
    trend = trend_of(np.concatenate([np.linspace(0, 1, 30), np.linspace(1, 0.4, 30), np.linspace(0.4, 2, 30)]))
    assert trend._fall[0] == pytest.approx(0.6, abs=0.1)
    assert trend.highest[0] == pytest.approx(2.0, abs=0.3)


def test_noise_and_what_exceeds_a_limit():
    """Noise of a series with a trend; a limit is exceeded where the noise can't explain it."""
    rng = generator(2)
    values = np.linspace(0, 5, 2000) + 0.5 * rng.normal(size=2000)
    assert trend_of(values).noise == pytest.approx(0.5, rel=0.05)
    assert trend_of(np.full(20, 0.95)).exceeds(0.9, 3.0)
    assert not trend_of(np.full(20, 0.85)).exceeds(0.9, 3.0)
    ones = trend_of(np.concatenate([rng.random(100) < 0.7, np.ones(12)]).astype(float))
    assert ones.mean(8) == 1.0
    assert not ones.exceeds(0.9, 3.0), "twelve ones in a row, of a series that is 0 or 1"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_slope_must_be_clear_and_large(sign: int):
    noise = 0.01 * generator(1).normal(size=80)
    trend = trend_of(sign * np.linspace(0, 1, 80) + noise)
    assert trend.clearest(sign) is not None
    assert trend.clearest(-sign) is None
    assert trend.clearest(sign, min_rise=1.5) is None


def test_noise_has_a_lasting_slope_in_few_runs():
    """The level of THRESHOLD and PATIENCE: at most 5 % of 1,000 rows of noise."""
    fired = 0
    for seed in range(40):
        trend, rows = Trend(), 0
        for value in generator(seed, "noise").normal(size=300):
            trend.add(value)
            rows = rows + 1 if trend.clearest(1) is not None else 0
            if rows == 3:
                fired += 1
                break
    assert fired <= 2
