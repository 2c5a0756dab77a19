"""pass@k and related estimates: from counts of samples, from exact success probabilities, from guessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts, check_counts

_CHUNK = 4_000_000
"""Float64 entries in memory at once: 32 MB."""
_BLOCK = 1024


def pass_at_k(num_samples_P: ArrayLike, num_correct_P: ArrayLike, ks: Sequence[int]) -> Floats:
    """Unbiased pass@k of each problem: the probability that at least one of k samples is correct.

        1 - C(n - c, k) / C(n, k) = 1 - prod_{i < k} (1 - c / (n - i)),   1 where n - c < k, NaN where n < k

    num_samples_P, num_correct_P: (P,) whole numbers n and c with 0 <= c <= n <= 10,000,000. ks: K whole numbers >= 1.
    Returns (P, K). Summed as log1p, which keeps it accurate at large n.
    Raises InputError for impossible counts, naming the first such problem, and for a k below 1.
    Source: Codex (arXiv 2107.03374, eq. 1).
    """
    return _of_counts(
        lambda n_D, c_D, ks_K: -np.expm1(_log_all_wrong(n_D, c_D, ks_K)), num_samples_P, num_correct_P, ks
    )


def squared_pass_at_k(num_samples_P: ArrayLike, num_correct_P: ArrayLike, ks: Sequence[int]) -> Floats:
    """Unbiased estimate of the squared pass@k, (1 - (1 - p)^k)^2, of each problem.

        1 - 2 (1 - p)^k + (1 - p)^2k = 2 pass@k - pass@2k,   NaN where n < 2k

    The square of `pass_at_k` is biased upwards. Shapes and errors as there.
    """
    once_PK = pass_at_k(num_samples_P, num_correct_P, ks)
    return 2.0 * once_PK - pass_at_k(num_samples_P, num_correct_P, [2 * k for k in ks])


def all_at_k(num_samples_P: ArrayLike, num_correct_P: ArrayLike, ks: Sequence[int]) -> Floats:
    """Unbiased pass^k of each problem: the probability that all of k samples are correct.

        C(c, k) / C(n, k),   NaN where n < k

    Shapes and errors as in `pass_at_k`. Source: tau-bench (arXiv 2406.12045).
    """
    return _of_counts(
        lambda n_D, c_D, ks_K: np.exp(_log_all_wrong(n_D, n_D - c_D, ks_K)), num_samples_P, num_correct_P, ks
    )


def g_pass_at_k(num_samples_P: ArrayLike, num_correct_P: ArrayLike, ks: Sequence[int], tau: float) -> Floats:
    """Unbiased G-Pass@k_tau of each problem: the probability that at least a share tau of k samples is correct.

        sum_{j >= max(1, ceil(tau k))} C(c, j) C(n - c, k - j) / C(n, k),   NaN where n < k

    Shapes as in `pass_at_k`. tau = 1 is pass^k, tau towards 0 is pass@k. Raises InputError also for tau outside [0, 1].
    Source: arXiv 2412.13147, eq. 3.
    """
    from scipy.stats import hypergeom  # late: importing it takes most of a second

    if not 0.0 <= tau <= 1.0:
        raise InputError(f"tau must be between 0 and 1; got {tau}")

    def tail(n_D: Ints, c_D: Ints, ks_K: Ints) -> Floats:
        needed_K = np.maximum(1, np.ceil(tau * ks_K - 1e-9))  # the tolerance keeps .2 * 5 at 1
        return hypergeom.sf(needed_K - 1, n_D[:, None], c_D[:, None], np.minimum(ks_K, n_D[:, None]))

    return _of_counts(tail, num_samples_P, num_correct_P, ks)


def pass_at_k_posterior(
    num_samples_P: ArrayLike, num_correct_P: ArrayLike, ks: Sequence[int], prior: tuple[float, float] = (1.0, 1.0)
) -> Floats:
    """Posterior mean of pass@k of each problem, with p ~ Beta(c + a, n - c + b), from the prior Beta(a, b).

        E[1 - (1 - p)^k] = 1 - B(c + a, n - c + b + k) / B(c + a, n - c + b)

    prior: (a, b), by default uniform. Defined for every k; beyond n it depends mostly on the prior. Shapes and errors
    as in `pass_at_k`. Source: arXiv 2510.04265.
    """
    a, b = prior
    n_P, c_P = (side_P[:, None] for side_P in check_counts(num_samples_P, num_correct_P))
    beyond_PK = betaln(c_P + a, n_P - c_P + b + check_ks(ks))
    return -np.expm1(beyond_PK - betaln(c_P + a, n_P - c_P + b))


def pass_at_k_exact(success_P: ArrayLike, ks: Sequence[int]) -> Floats:
    """Exact pass@k from a known success probability p of one sample: 1 - (1 - p)^k.

    success_P: probabilities, of any shape. Returns that shape with a last axis over ks.
    Raises InputError for p outside [0, 1] or a k below 1.
    """
    success = np.asarray(success_P, dtype=np.float64)
    if not ((success >= 0.0) & (success <= 1.0)).all():
        raise InputError("success probabilities must be in [0, 1]")
    with np.errstate(divide="ignore"):  # p = 1: log1p(-1) = -inf, and pass@k = 1
        return -np.expm1(check_ks(ks) * np.log1p(-success)[..., None])


def guessing_pass_at_k(num_options_P: ArrayLike, ks: Sequence[int]) -> Floats:
    """pass@k of guessing uniformly among each problem's m options: 1 - (1 - 1/m)^k; .999 at k = 64 with ten options.

    num_options_P: (P,) whole numbers >= 1. Returns (P, K). Raises InputError for other numbers.
    """
    options_P = np.asarray(num_options_P, dtype=np.float64)
    bad_P = ~((options_P >= 1.0) & (options_P == np.floor(options_P)) & np.isfinite(options_P))
    if bad_P.any():
        raise InputError(f"every problem must have 1 option or more, a whole number; got {options_P[bad_P][0]}")
    return pass_at_k_exact(1.0 / options_P, ks)


def check_ks(ks: Sequence[int]) -> Ints:
    """ks as an array. Raises InputError for none, or any that is not a whole number >= 1."""
    ks_K = np.asarray(ks)
    whole = ks_K.dtype.kind in "iuf" and (np.isfinite(ks_K) & (ks_K >= 1) & (ks_K == np.floor(ks_K))).all()
    if ks_K.ndim != 1 or not len(ks_K) or not whole:
        raise InputError(f"ks must be whole numbers from 1 up, at least one; got {np.atleast_1d(ks_K).tolist()}")
    return ks_K.astype(np.int64)


def _of_counts(
    formula: Callable[[Ints, Ints, Ints], Floats],
    num_samples_P: ArrayLike,
    num_correct_P: ArrayLike,
    ks: Sequence[int],
) -> Floats:
    """Apply a formula of (n, c) to every problem, once per distinct pair; NaN where n < k."""
    n_P, c_P = check_counts(num_samples_P, num_correct_P)
    ks_K = check_ks(ks)
    keys_D, of_P = np.unique(n_P * (1 + c_P.max(initial=0)) + c_P, return_inverse=True)
    n_D, c_D = np.divmod(keys_D, 1 + c_P.max(initial=0))
    result_DK = np.empty((len(n_D), len(ks_K)))
    rows = max(1, _CHUNK // max(1, int(n_D.max(initial=0))))
    for start in range(0, len(n_D), rows):
        part = slice(start, start + rows)
        result_DK[part] = formula(n_D[part], c_D[part], ks_K)
    result_DK[n_D[:, None] < ks_K] = np.nan
    return result_DK[of_P]


def _log_all_wrong(n_D: Ints, c_D: Ints, ks_K: Ints) -> Floats:
    """log C(n - c, k) / C(n, k), -inf where n - c < k."""
    draws = max(1, min(int(ks_K.max()), int(n_D.max())))  # k beyond n is undefined
    left_DI = n_D[:, None] - np.arange(draws)
    possible_DI = left_DI > c_D[:, None]  # a wrong sample is left to draw
    share_DI = np.divide(c_D[:, None], left_DI, out=np.zeros(left_DI.shape), where=possible_DI)
    logs_DI = np.log1p(-share_DI)
    large_DI = possible_DI & (share_DI > 0.5)  # 1 - share would lose digits here
    np.log((left_DI - c_D[:, None]) / np.maximum(left_DI, 1), out=logs_DI, where=large_DI)
    log_DK = _running_sum(logs_DI)[:, np.minimum(ks_K, draws) - 1]
    log_DK[(n_D - c_D)[:, None] < ks_K] = -np.inf
    return log_DK


def _running_sum(values_DI: Floats) -> Floats:
    """Cumulative sum along the last axis by blocks; a plain one loses three more digits over 1e6 terms."""
    rows, terms = values_DI.shape
    if terms <= _BLOCK:
        return np.cumsum(values_DI, axis=1)
    padded_DBI = np.zeros((rows, -(-terms // _BLOCK), _BLOCK))
    padded_DBI.reshape(rows, -1)[:, :terms] = values_DI
    before_DB = np.cumsum(padded_DBI.sum(axis=2), axis=1) - padded_DBI.sum(axis=2)
    return (np.cumsum(padded_DBI, axis=2) + before_DB[:, :, None]).reshape(rows, -1)[:, :terms]


def cover_at(counts: GroupCounts, taus: Sequence[float]) -> Floats:
    """Cover@tau: share of problems whose success rate c / n, averaged over runs, is at least tau.

    Unlike pass@k it tells mastery from luck: on multiple choice, guessing drives pass@k to 1, but Cover@tau stays 0
    above the guessing rate. With replacement, pass@k = int_0^1 Cover@tau k (1 - tau)^(k-1) d tau.
    Returns (len(taus),); NaN if a problem has no samples. Raises InputError for a tau outside [0, 1].
    Source: arXiv 2510.08325.
    """
    taus_T = np.asarray(taus, dtype=np.float64)
    if taus_T.ndim != 1 or not ((taus_T >= 0.0) & (taus_T <= 1.0)).all():
        raise InputError(f"taus must be a list of shares from 0 to 1; got {np.atleast_1d(taus_T).tolist()}")
    n_UP, c_UP = counts.grid
    if (n_UP == 0).any():
        return np.full(len(taus_T), np.nan)
    rate_P = counts.run_share @ (c_UP / n_UP)
    return (rate_P[:, None] >= taus_T - 1e-12).mean(axis=0)
