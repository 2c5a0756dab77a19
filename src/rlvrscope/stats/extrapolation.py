"""pass@k beyond the samples: an extrapolation by the distribution of success rates that fits the counts best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.passk import pass_at_k_exact

ITERATIONS = 2000
POINTS_PER_DECADE = 40


def extrapolated_pass_at_k(counts: GroupCounts, ks: Sequence[int]) -> Floats:
    """(K,) pass@k at any k, also beyond n: an extrapolation, without an interval.

        sum over rates p of w(p) (1 - (1 - p)^k),   w maximises sum over problems of log sum_p w(p) Binomial(c; n, p)

    w: nonparametric maximum likelihood on a grid of rates, by expectation maximisation; runs pooled. Up to n it is near
    `pass_at_k`. Beyond, it depends on rates below 1 / n, about which n samples say next to nothing: problems never
    solved are mostly given the rate 0, so it may err either way, and no interval can be trusted. The difference of two
    models' values shares that. Raises InputError for a problem without samples.
    Source: Kiefer and Wolfowitz, Annals of Mathematical Statistics 27 (1956); Laird, JASA 73 (1978).

    >>> extrapolated_pass_at_k(GroupCounts("ab", [8, 8], [0, 4]), [1, 64]).round(2).tolist()
    [0.25, 0.5]
    """
    n_P, c_P = counts.pooled
    if (n_P < 1).any():
        raise InputError(
            f"an extrapolation needs samples of every problem; {counts.problems[int(n_P.argmin())]!r} has none"
        )
    (n_D, c_D), number_D = _distinct(n_P, c_P)
    lowest = -2.0 - np.log10(float(n_P.max()))
    rare = np.logspace(lowest, -1.0, int(POINTS_PER_DECADE * (-1.0 - lowest)))
    rate_J = np.concatenate([[0.0], rare, np.linspace(0.1, 0.9, 200)[1:], 1.0 - rare[::-1], [1.0]])
    ways_D = gammaln(n_D + 1.0) - gammaln(c_D + 1.0) - gammaln(n_D - c_D + 1.0)
    log_DJ = ways_D[:, None] + xlogy(c_D[:, None], rate_J) + xlog1py((n_D - c_D)[:, None], -rate_J)
    likelihood_DJ = np.exp(log_DJ)
    share_D = number_D / number_D.sum()
    weight_J = np.full(len(rate_J), 1.0 / len(rate_J))
    for _ in range(ITERATIONS):
        weight_J *= (share_D / (likelihood_DJ @ weight_J)) @ likelihood_DJ
    return weight_J @ pass_at_k_exact(rate_J, ks) / weight_J.sum()


def _distinct(n_P: np.ndarray, c_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows_DN, number_D = np.unique(np.stack([n_P, c_P], axis=1), axis=0, return_counts=True)
    return rows_DN.T, number_D
