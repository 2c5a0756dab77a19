"""max@k: the best of k graded samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.passk import check_ks, pass_at_k


def max_at_k(scores_PG: Sequence[Sequence[float]], ks: Sequence[int]) -> Floats:
    """Expected largest score among k samples of each problem, unbiased for k <= n.

        sum_i s_(i) C(i - 1, k - 1) / C(n, k) = s_(1) + sum over values v of (v - the value below) pass@k(n, #{s >= v})

    s_(1) <= ... <= s_(n): the sorted scores. With scores of 0 and 1 it is pass@k. scores_PG: a row per problem, rows of
    any length. Returns (P, K); NaN where a problem has n < k. Raises InputError for a score that is not finite.

    >>> max_at_k([[0.0, 0.5, 1.0]], [1, 2, 3]).round(3).tolist()
    [[0.5, 0.833, 1.0]]
    """
    ks_K = check_ks(ks)
    result_PK = np.full((len(scores_PG), len(ks_K)), np.nan)
    for row, scores in enumerate(scores_PG):
        values_V, times_V = np.unique(np.asarray(scores, dtype=np.float64), return_counts=True)
        if not np.isfinite(values_V).all():
            raise InputError(f"problem {row} has a score that is not finite: {values_V[~np.isfinite(values_V)][0]}")
        if not len(values_V):
            continue
        n = len(scores)
        reached_V = n - np.cumsum(times_V)[:-1]  # samples with at least the second value, the third, ...
        steps_V = np.diff(values_V)
        at_least_VK = pass_at_k(np.full(len(steps_V), n), reached_V, ks) if len(steps_V) else np.zeros((0, len(ks_K)))
        result_PK[row] = np.where(ks_K <= n, values_V[0] + steps_V @ np.nan_to_num(at_least_VK), np.nan)
    return result_PK
