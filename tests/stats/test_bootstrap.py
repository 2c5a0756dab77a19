"""The bootstrap over problems."""

from __future__ import annotations

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import bootstrap_mean, percentile_interval, resample_weights


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


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="at least 2 problems"):
        resample_weights(1, 10, generator(0))
    with pytest.raises(InputError, match="between 0 and 1; got 95"):
        percentile_interval(np.zeros(1), np.zeros((4, 1)), confidence=95)
    with pytest.raises(InputError, match="weights are for 40 problems"):
        bootstrap_mean(np.zeros(39), np.full((2, 40), 1 / 40))
    with pytest.raises(InputError, match="must be finite"):
        bootstrap_mean(np.full(40, np.nan), np.full((2, 40), 1 / 40))
