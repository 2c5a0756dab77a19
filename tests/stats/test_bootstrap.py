"""The bootstrap over problems and the comparison at matched pass@1."""

from __future__ import annotations

import numpy as np
import pytest

from massflow import InputError
from massflow.seeding import generator
from massflow.stats import bootstrap_mean, pass_at_k_exact, pass_at_matched_gain, percentile_interval, resample_weights
from massflow.stats.frontier import rising


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
    assert got.reached_share == 1.0


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


def test_a_run_that_never_gets_there_leaves_the_objective_undefined():
    weights = resample_weights(40, 20, generator(0, "w"))
    got = pass_at_matched_gain([straight(0.2, 0.4), straight(0.2, 0.21)], 2, 0.05, weights)
    assert np.isnan(got.estimate)
    assert got.reached_share == 0.0
    assert got.interval() is None


def test_an_uneven_pair_of_runs_is_no_better_than_an_even_one():
    """Two runs on one path, one of them faster: matched run by run, they say the same as two equal ones."""
    rng = generator(0, "uneven")
    start, end = rng.beta(1, 3, 60), np.tile([0.95, 0.001], 30)
    path = lambda reach: np.array([start + reach * i / 200 * (end - start) for i in range(201)])  # noqa: E731
    weights = resample_weights(60, 50, rng)
    gain = 0.3 * (end - start).mean()
    even, uneven = (pass_at_matched_gain(pair, 16, gain, weights) for pair in ([path(0.7)] * 2, [path(1.0), path(0.4)]))
    assert uneven.estimate == pytest.approx(even.estimate, abs=1e-4)
    assert abs(uneven.minus(even).estimate) < 1e-4


def test_one_lucky_evaluation_is_not_taken_for_the_moment():
    # pass@1 .2, .3, .2, .3, .4: made to rise .25 (three evaluations pooled: .3, .2 -> .25, .25), .3, .4.
    success = np.repeat(np.array([0.2, 0.3, 0.2, 0.3, 0.4])[:, None], 40, axis=1)
    weights = resample_weights(40, 20, generator(0, "w"))
    got = pass_at_matched_gain([success], 2, 0.08, weights)
    # .28 lies 3/5 of the way from the third (.25, pass@2 .36) to the fourth (.3, pass@2 .51).
    assert got.estimate == pytest.approx(0.36 + 0.6 * (0.51 - 0.36))


def test_isotonic_regression_by_hand_and_by_its_definition():
    # (1, 3, 2, 4): 3 and 2 pool to 2.5. (3, 2, 1): all pool to 2.
    np.testing.assert_allclose(rising(np.array([[1.0, 3.0, 2.0, 4.0]])), [[1.0, 2.5, 2.5, 4.0]])
    np.testing.assert_allclose(rising(np.array([[3.0, 2.0, 1.0]])), [[2.0, 2.0, 2.0]])
    values = generator(0, "isotonic").normal(size=(20, 6))
    best = rising(values)
    assert (np.diff(best, axis=1) >= -1e-12).all()
    # No other rising curve is closer: sums of sorted random steps as rivals.
    rivals = np.sort(generator(1, "rivals").normal(size=(5000, 6)), axis=1)
    closest = ((values[:, None] - rivals) ** 2).sum(axis=2).min(axis=1)
    assert (((values - best) ** 2).sum(axis=1) <= closest).all()
    np.testing.assert_allclose(rising(np.sort(values, axis=1)), np.sort(values, axis=1))


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="at least 2 problems"):
        resample_weights(1, 10, generator(0))
    with pytest.raises(InputError, match="between 0 and 1; got 95"):
        percentile_interval(np.zeros(1), np.zeros((4, 1)), confidence=95)
    with pytest.raises(InputError, match="weights are for 40 problems"):
        bootstrap_mean(np.zeros(39), np.full((2, 40), 1 / 40))
    with pytest.raises(InputError, match="must be finite"):
        bootstrap_mean(np.full(40, np.nan), np.full((2, 40), 1 / 40))
    with pytest.raises(InputError, match="at least one run"):
        pass_at_matched_gain([], 2, 0.05, np.ones((1, 1)))
