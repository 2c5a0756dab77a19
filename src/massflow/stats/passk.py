"""pass@k: from counts of samples, and from an exactly known success probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from massflow.errors import InputError
from massflow.types import check_counts

_CHUNK = 4_000_000
"""Float64 entries held at once: 32 MB."""


def pass_at_k(num_samples_P: ArrayLike, num_correct_P: ArrayLike, ks: Sequence[int]) -> NDArray[np.float64]:
    """The unbiased estimate of pass@k for each problem: the chance that k of its samples hold a correct one.

        1 - C(n - c, k) / C(n, k) = 1 - prod_{i < k} (1 - c / (n - i)),   1 where n - c < k, NaN where n < k

    num_samples_P, num_correct_P: (P,), whole numbers with 0 <= c <= n. Returns (P, K).
    Raises InputError naming the first problem whose counts are impossible, or a k below 1.
    Source: Codex (arXiv 2107.03374, eq. 1), as a sum of log1p for accuracy at large n.
    """
    n_P, c_P = check_counts(num_samples_P, num_correct_P)
    ks_K = _check_ks(ks)
    result_PK = np.empty((len(n_P), len(ks_K)))
    rows = max(1, _CHUNK // max(1, int(n_P.max(initial=0))))
    for start in range(0, len(n_P), rows):
        part = slice(start, start + rows)
        result_PK[part] = _pass_at_k(n_P[part], c_P[part], ks_K)
    return result_PK


def pass_at_k_exact(success_P: ArrayLike, ks: Sequence[int]) -> NDArray[np.float64]:
    """pass@k where the probability p that one sample is correct is known: 1 - (1 - p)^k.

    success_P: any shape, probabilities; a new last axis runs over ks. Raises InputError for p outside [0, 1].
    """
    success = np.asarray(success_P, dtype=np.float64)
    if not ((success >= 0.0) & (success <= 1.0)).all():
        raise InputError("success probabilities must lie in [0, 1]")
    with np.errstate(divide="ignore"):  # p = 1: log1p(-1) = -inf, and pass@k = 1
        return -np.expm1(_check_ks(ks) * np.log1p(-success)[..., None])


def _pass_at_k(n_P: NDArray[np.int64], c_P: NDArray[np.int64], ks_K: NDArray[np.int64]) -> NDArray[np.float64]:
    most = max(1, min(int(ks_K.max()), int(n_P.max())))  # beyond n all is undefined
    draws = np.arange(most)
    left_PD = n_P[:, None] - draws
    possible_PD = left_PD > c_P[:, None]  # a draw of only wrong samples can still go on
    share_PD = np.divide(c_P[:, None], left_PD, out=np.zeros(left_PD.shape), where=possible_PD)
    pass_PK = -np.expm1(np.cumsum(np.log1p(-share_PD), axis=1))[:, np.minimum(ks_K, most) - 1]
    pass_PK[(n_P - c_P)[:, None] < ks_K] = 1.0
    pass_PK[n_P[:, None] < ks_K] = np.nan
    return pass_PK


def _check_ks(ks: Sequence[int]) -> NDArray[np.int64]:
    ks_K = np.asarray(ks)
    whole = np.isfinite(ks_K) & (ks_K >= 1) & (ks_K == np.floor(ks_K))
    if ks_K.ndim != 1 or not len(ks_K) or not whole.all():
        raise InputError(f"ks must be whole numbers from 1 up, at least one; got {list(np.atleast_1d(ks_K))}")
    return ks_K.astype(np.int64)
