"""Posterior of pass@k on these problems, with an interval and a stated prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.intervals import check_confidence
from rlvrscope.stats.passk import check_ks, pass_at_k_exact, pass_at_k_posterior
from rlvrscope.stats.sample_size import fit_beta

DRAWS = 4000
_CHUNK = 4_000_000
"""Float64 entries in memory at once: 32 MB."""


@dataclass(frozen=True)
class Posterior:
    """Posterior mean and central interval of pass@k, averaged over these problems; (K,) arrays.

    prior: (a, b) of the Beta distribution of success rates that was assumed. fitted: whether it was fitted to the
    counts. extrapolated: ks beyond the fewest samples, where the result depends mostly on the prior.
    """

    ks: tuple[int, ...]
    estimate: Floats
    low: Floats
    high: Floats
    prior: tuple[float, float]
    fitted: bool
    extrapolated: tuple[int, ...]


def posterior_curve(
    counts: GroupCounts,
    ks: Sequence[int],
    prior: tuple[float, float] | None = None,
    confidence: float = 0.95,
    *,
    rng: np.random.Generator,
) -> Posterior:
    """Posterior of pass@k of these problems, at any k; runs pooled.

        p ~ Beta(a + c, b + n - c) for each problem, from p ~ Beta(a, b);   mean over problems of 1 - (1 - p)^k

    prior: (a, b); by default fitted to the counts (`fit_beta`, empirical Bayes). The uniform prior (1, 1) is far off at
    large k: a problem with 0 of 64 right gets pass@64 = .5. The interval is for these problems, not for new ones, and
    holds as far as the prior does. Raises InputError for a prior that is not positive, and as `fit_beta` does.
    """
    check_confidence(confidence)
    if prior is not None and not all(0.0 < value < np.inf for value in prior):
        raise InputError(f"a Beta prior needs two numbers above 0; got {prior}")
    a, b = fit_beta(counts) if prior is None else prior
    n_P, c_P = counts.pooled
    ks_K = check_ks(ks)
    mean_RK = np.empty((DRAWS, len(ks_K)))
    rows = max(1, _CHUNK // (len(n_P) * len(ks_K)))
    for start in range(0, DRAWS, rows):
        size = min(rows, DRAWS - start), len(n_P)
        drawn_RP = rng.beta(a + c_P, b + n_P - c_P, size)
        mean_RK[start : start + rows] = pass_at_k_exact(drawn_RP, ks).mean(axis=1)
    tail = (1.0 - confidence) / 2.0
    low_K, high_K = np.quantile(mean_RK, [tail, 1.0 - tail], axis=0)
    return Posterior(
        ks=tuple(ks_K.tolist()),
        estimate=pass_at_k_posterior(n_P, c_P, ks, (a, b)).mean(axis=0),
        low=low_K,
        high=high_K,
        prior=(a, b),
        fitted=prior is None,
        extrapolated=tuple(ks_K[ks_K > n_P.min()].tolist()),
    )
