"""Sampling noise: what other samples of the same problems from the same models would show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.passk import Floats, pass_at_k
from rlvrscope.stats.variation import Spread, carriers


def noise_factors(counts: GroupCounts, ks: Sequence[int]) -> Floats:
    """(U P, K): x such that sum x x^T is the covariance of the mean's sampling noise, the problems staying as they are.

    The jackknife over a problem's samples: leaving out a right one gives pass@k(n - 1, c - 1), a wrong one
    pass@k(n - 1, c), so its variance is (n - 1) / n * c (n - c) / n * (difference of the two)^2, on average a little
    too large. NaN where n <= k. Source: Efron and Stein, Annals of Statistics 9 (1981).
    """
    n_UP, c_UP = counts.grid
    n_N, c_N = n_UP.ravel(), c_UP.ravel()
    fewer_N = np.maximum(n_N - 1, 0)
    without_right = pass_at_k(fewer_N, np.clip(c_N - 1, 0, fewer_N), ks)
    without_wrong = pass_at_k(fewer_N, np.minimum(c_N, fewer_N), ks)
    scale_N = np.sqrt(fewer_N * c_N * (n_N - c_N)) / np.maximum(n_N, 1)
    share_N = np.repeat(counts.run_share / n_UP.shape[1], n_UP.shape[1])
    return (share_N * scale_N)[:, None] * (without_wrong - without_right)


def noise_spread(estimate_K: Floats, factors_NK: Floats) -> Spread:
    """Sampling noise alone, from `noise_factors`; its carriers are the problems from which the noise comes."""
    se_K = np.sqrt((factors_NK**2).sum(axis=0))
    endless_K = np.full_like(se_K, np.inf)
    carriers_K = carriers(factors_NK, np.ones(len(factors_NK), dtype=np.int64))
    return Spread(estimate_K, se_K, endless_K, carriers_K, endless_K)


def noise_draws(factors_NK: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """(R, K) joint draws of the sampling noise: normal, with its covariance. NaN columns stay NaN."""
    draws_RK = np.full((resamples, factors_NK.shape[1]), np.nan)
    known_K = np.isfinite(factors_NK).all(axis=0)
    if known_K.any():
        covariance_KK = factors_NK[:, known_K].T @ factors_NK[:, known_K]
        zero_K = np.zeros(len(covariance_KK))
        draws_RK[:, known_K] = rng.multivariate_normal(zero_K, covariance_KK, resamples, "ignore", method="eigh")
    return draws_RK
