"""pass@k by run and problem, what intervals are for, and the sampling noise on fixed problems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.passk import pass_at_k
from rlvrscope.stats.spread import Level, Spread, carriers
from rlvrscope.stats.units import Grid, Mask

NEW_PROBLEMS, THIS_SET = "new problems", "this set"
TARGETS = (NEW_PROBLEMS, THIS_SET)


def check_target(target: str) -> None:
    """Raises InputError for a target that is not in TARGETS."""
    if target not in TARGETS:
        raise InputError(f"target must be {NEW_PROBLEMS!r} or {THIS_SET!r}; got {target!r}")


def values(grid: Grid, ks: Sequence[int]) -> Floats:
    """(U, P, K): pass@k of each run and problem."""
    n_UP, c_UP = grid
    return pass_at_k(n_UP.ravel(), c_UP.ravel(), ks).reshape(*n_UP.shape, len(ks))


def noise_factors(grid: Grid, run_share: Floats, ks: Sequence[int], kept_PK: Mask | None = None) -> Floats:
    """(U P, K) factors x such that sum x x^T is the covariance of the mean's sampling noise on fixed problems.

    Jackknife over a problem's samples: without a correct one it has pass@k(n - 1, c - 1), without a wrong one
    pass@k(n - 1, c), so its variance is (n - 1) / n * c (n - c) / n * (difference of the two)^2, slightly too large on
    average. NaN where n <= k. kept_PK: the problems that count at each k, by default all.
    Source: Efron and Stein, Annals of Statistics 9 (1981).
    """
    n_UP, c_UP = grid
    n_N, c_N = n_UP.ravel(), c_UP.ravel()
    fewer_N = np.maximum(n_N - 1, 0)
    without_right = pass_at_k(fewer_N, np.clip(c_N - 1, 0, fewer_N), ks)
    without_wrong = pass_at_k(fewer_N, np.minimum(c_N, fewer_N), ks)
    scale_N = np.sqrt(fewer_N * c_N * (n_N - c_N)) / np.maximum(n_N, 1)
    factors_NK = (np.repeat(run_share, n_UP.shape[1]) * scale_N)[:, None] * (without_wrong - without_right)
    if kept_PK is None:
        return factors_NK / n_UP.shape[1]
    return np.where(np.tile(kept_PK, (len(n_UP), 1)), factors_NK, 0.0) / np.maximum(kept_PK.sum(axis=0), 1)


def noise_spread(estimate_K: Floats, factors_NK: Floats, problems_K: Floats) -> Spread:
    """Spread of sampling noise alone, from `noise_factors`; its carriers are the problems that contribute noise."""
    endless_K = np.full(len(estimate_K), np.inf)
    return Spread(
        estimate_C=estimate_K,
        levels=(Level(factors_NK, endless_K),),
        carriers_C=carriers(factors_NK, np.ones(len(factors_NK), dtype=np.int64)),
        moved_C=endless_K,
        count_C=problems_K,
        largest_share_C=np.full(len(estimate_K), np.nan),
    )
