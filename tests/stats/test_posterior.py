"""The posterior of pass@k: by hand, what it covers, and how far the prior carries it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import pass_at_k_exact, pass_at_k_posterior, posterior_curve
from rlvrscope.stats.counts import GroupCounts


def test_one_problem_at_one_sample_is_the_textbooks():
    # k = 1: p ~ Beta(2 + 3, 3 + 5 - 3) has the mean 1/2 and its own quantiles.
    posterior = posterior_curve(GroupCounts("a", [5], [3]), [1], (2.0, 3.0), rng=generator(0))
    assert posterior.estimate[0] == pytest.approx(0.5)
    np.testing.assert_allclose([posterior.low[0], posterior.high[0]], beta.ppf([0.025, 0.975], 5, 5), atol=0.02)
    assert (posterior.prior, posterior.fitted, posterior.extrapolated) == ((2.0, 3.0), False, ())


def test_the_mean_is_the_closed_form_at_any_prior():
    counts = GroupCounts("abc", [8, 8, 16], [0, 3, 16])
    posterior = posterior_curve(counts, [1, 8, 100], (0.3, 0.7), rng=generator(0))
    expected = pass_at_k_posterior(counts.n, counts.c, [1, 8, 100], (0.3, 0.7)).mean(axis=0)
    np.testing.assert_allclose(posterior.estimate, expected)
    assert posterior.extrapolated == (100,)
    # 0 of 64 right: at k = 64 the uniform prior says 1/2, Beta(.1, .5) says 1 - B(.1, 128.5) / B(.1, 64.5) = .067.
    assert pass_at_k_posterior([64], [0], [64])[0, 0] == pytest.approx(65 / 129 * 129 / 130, rel=0.01)
    assert pass_at_k_posterior([64], [0], [64], (0.1, 0.5))[0, 0] == pytest.approx(0.067, abs=0.001)


def test_a_fitted_prior_covers_these_problems_and_a_uniform_one_does_not():
    rng, covered = generator(0, "posterior"), np.zeros(2)
    for _ in range(60):
        success_P = rng.beta(0.1, 0.5, 150)
        counts = GroupCounts(range(150), [64] * 150, rng.binomial(64, success_P))
        truth = pass_at_k_exact(success_P, [16])[:, 0].mean()
        for column, prior in enumerate((None, (1.0, 1.0))):
            posterior = posterior_curve(counts, [16], prior, rng=rng)
            covered[column] += bool(posterior.low[0] <= truth <= posterior.high[0])
    assert covered[0] >= binom.ppf(0.001, 60, 0.95)
    assert covered[1] == 0


@pytest.mark.parametrize("prior", [(0.0, 1.0), (1.0, -1.0), (1.0, np.inf), (np.nan, 1.0)])
def test_a_prior_that_is_none_is_refused(prior: tuple[float, float]):
    with pytest.raises(InputError, match="two numbers above 0"):
        posterior_curve(GroupCounts("ab", [4, 4], [1, 2]), [1], prior, rng=generator(0))
