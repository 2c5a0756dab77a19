"""pass@k beyond the samples: by hand, against known distributions, and what it cannot know."""

from __future__ import annotations

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import extrapolated_pass_at_k, pass_at_k, pass_at_k_exact
from rlvrscope.stats.counts import GroupCounts


def test_two_known_rates_are_found():
    # Half of 4000 problems at .02, half at .3: pass@256 of 64 samples each, (1 - .98^256 + 1 - .7^256) / 2 = .997.
    rng = generator(0, "two rates")
    success_P = np.repeat([0.02, 0.3], 2000)
    counts = GroupCounts(range(4000), [64] * 4000, rng.binomial(64, success_P))
    truth = pass_at_k_exact(success_P, [1, 64, 256]).mean(axis=0)
    np.testing.assert_allclose(extrapolated_pass_at_k(counts, [1, 64, 256]), truth, atol=0.006)


def test_within_the_samples_it_is_near_the_unbiased_estimate():
    rng = generator(0, "within")
    counts = GroupCounts(range(300), [32] * 300, rng.binomial(32, rng.beta(0.3, 0.7, 300)))
    ks = [1, 2, 4, 8, 16]
    np.testing.assert_allclose(
        extrapolated_pass_at_k(counts, ks), pass_at_k(counts.n, counts.c, ks).mean(axis=0), atol=0.005
    )


def test_what_was_never_solved_is_mostly_given_up():
    # Rates far below 1 / n do not show: 64 samples of problems at 1e-4, of which pass@100,000 is 1.
    rng = generator(0, "rare")
    counts = GroupCounts(range(200), [64] * 200, rng.binomial(64, np.repeat([1e-4, 0.5], 100)))
    assert extrapolated_pass_at_k(counts, [100_000])[0] < 0.9


def test_a_problem_without_samples_is_refused():
    with pytest.raises(InputError, match="'b' has none"):
        extrapolated_pass_at_k(GroupCounts("ab", [4, 0], [1, 0]), [1])
