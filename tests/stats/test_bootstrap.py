"""The bootstrap over problems and the comparison at matched pass@1."""

from __future__ import annotations

import numpy as np
import pytest

from massflow import InputError
from massflow.seeding import generator
from massflow.stats import bootstrap_mean, pass_at_k_exact, pass_at_matched_gain, percentile_interval, resample_weights


def test_resampled_means_equal_means_of_resampled_problems():
    values = generator(0, "values").random((7, 2))
    weights = resample_weights(7, 50, generator(0, "weights"))
    counts = np.rint(weights * 7).astype(int)
    assert (counts.sum(axis=1) == 7).all()
    direct = np.array([np.repeat(values, row, axis=0).mean(axis=0) for row in counts])
    got = bootstrap_mean(values, weights, confidence=0.9)
    np.testing.assert_allclose(got.estimate, values.mean(axis=0))
    np.testing.assert_allclose([got.low, got.high], np.quantile(direct, [0.05, 0.95], axis=0))


def test_interval_width_is_that_of_the_standard_error():
    values = generator(0, "normal").normal(size=400)
    got = bootstrap_mean(values, resample_weights(400, 4000, generator(1, "weights")))
    assert (got.high - got.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.06)


def test_coverage_over_new_problems():
    """Nominal 95 % for the mean success of new problems: 400 studies of 100 problems with Beta(1, 1) success."""
    rng = generator(0, "coverage")
    hits = 0
    for _ in range(400):
        got = bootstrap_mean(rng.random(100), resample_weights(100, 400, rng))
        hits += bool(got.low <= 0.5 <= got.high)
    assert 0.92 <= hits / 400 <= 0.98


def straight(start: float, end: float, evaluations: int = 5, problems: int = 40) -> np.ndarray:
    """Success probabilities that all go in a straight line."""
    return np.repeat(np.linspace(start, end, evaluations)[:, None], problems, axis=1)


def test_matched_gain_by_hand():
    # pass@1 goes .2, .3, .4; a gain of .05 is halfway to the second evaluation, where pass@2 is the mean of
    # 1 - .8^2 = .36 and 1 - .7^2 = .51.
    weights = resample_weights(40, 20, generator(0, "w"))
    got = pass_at_matched_gain([straight(0.2, 0.4, 3)], 2, 0.05, weights)
    assert got.estimate == pytest.approx((0.36 + 0.51) / 2)
    np.testing.assert_allclose(got.draws_R, got.estimate)
    assert (got.runs_reaching, got.runs, got.reached_share) == (1, 1, 1.0)


def test_a_slower_run_on_the_same_path_is_no_better():
    """At equal steps the slower run keeps more of pass@k; matched, it is the same."""
    rng = generator(0, "paths")
    start, end = rng.beta(1, 3, 60), np.tile([0.95, 0.001], 30)  # sharpening: half gain, half are lost
    path = lambda steps, reach: np.array([start + reach * i / (steps - 1) * (end - start) for i in range(steps)])  # noqa: E731
    fast, slow = path(201, 1.0), path(201, 0.5)
    weights = resample_weights(60, 100, rng)
    gain = 0.4 * (end - start).mean()
    matched = [pass_at_matched_gain([run], 16, gain, weights).estimate for run in (fast, slow)]
    assert matched[0] == pytest.approx(matched[1], abs=1e-4)
    finals = [pass_at_k_exact(run[-1], [16]).mean() for run in (fast, slow)]
    assert finals[1] - finals[0] > 0.1


def test_a_run_that_never_gets_there_is_undefined_and_counted():
    weights = resample_weights(40, 20, generator(0, "w"))
    got = pass_at_matched_gain([straight(0.2, 0.22), straight(0.2, 0.21)], 2, 0.05, weights)
    assert np.isnan(got.estimate)
    assert (got.runs_reaching, got.runs, got.reached_share) == (0, 2, 0.0)
    # One run gets there and the mean does not: .2 -> .24.
    mixed = pass_at_matched_gain([straight(0.2, 0.27), straight(0.2, 0.21)], 2, 0.05, weights)
    assert np.isnan(mixed.estimate)
    assert (mixed.runs_reaching, mixed.runs) == (1, 2)


def test_matched_runs_are_averaged_before_they_are_matched():
    # Mean pass@1 .2, .3; pass@2 of the second evaluation is the mean of 1 - .6^2 = .64 and 1 - .8^2 = .36.
    weights = resample_weights(40, 20, generator(0, "w"))
    got = pass_at_matched_gain([straight(0.2, 0.4, 2), straight(0.2, 0.2, 2)], 2, 0.1, weights)
    assert got.estimate == pytest.approx(0.5)


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="at least 2 problems"):
        resample_weights(1, 10, generator(0))
    with pytest.raises(InputError, match="between 0 and 1; got 95"):
        percentile_interval(np.zeros(1), np.zeros((4, 1)), confidence=95)
    with pytest.raises(InputError, match="at least one run"):
        pass_at_matched_gain([], 2, 0.05, np.ones((1, 1)))
