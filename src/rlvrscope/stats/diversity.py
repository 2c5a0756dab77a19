"""Diversity of sampled answers: how many different ones k samples hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.passk import check_ks, pass_at_k


def distinct_at_k(times_P: Sequence[Collection[int]], num_samples_P: Sequence[int], ks: Sequence[int]) -> Floats:
    """Expected number of different answers among k samples of each problem, unbiased for k <= n.

        sum over answers a of 1 - C(n - n_a, k) / C(n, k)

    that is, the sum of pass@k of the answers, each as the only right one (rarefaction: Hurlbert 1971). Samples without
    an answer are drawn and add none. It says nothing of answers that n samples did not show.

    times_P: how often each answer of a problem came, n_a. num_samples_P: n. Returns (P, K); NaN where n < k.
    Raises InputError for more answers than samples.

    >>> distinct_at_k([[2, 1, 1], [4]], [4, 4], [1, 2, 4]).round(3).tolist()
    [[1.0, 1.833, 3.0], [1.0, 1.0, 1.0]]
    """
    ks_K = check_ks(ks)
    if any(sum(times) > n for times, n in zip(times_P, num_samples_P, strict=True)):
        raise InputError("a problem has more answers than samples")
    problem_A = np.repeat(np.arange(len(times_P)), [len(times) for times in times_P])
    n_P = np.asarray(num_samples_P, dtype=np.int64)
    times_A = np.fromiter((n for times in times_P for n in times), np.int64, len(problem_A))
    distinct_PK = np.zeros((len(n_P), len(ks_K)))
    np.add.at(distinct_PK, problem_A, pass_at_k(n_P[problem_A], times_A, ks))
    return np.where(n_P[:, None] >= ks_K, distinct_PK, np.nan)
