"""pass@k curves with simultaneous or pointwise bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats, Ints
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.intervals import ROUNDING, check_confidence, check_resamples, critical_z, score_interval
from rlvrscope.stats.passk import check_ks
from rlvrscope.stats.spread import Spread
from rlvrscope.stats.standard_errors import NEW_PROBLEMS, THIS_SET, check_target, noise_factors, noise_spread, values
from rlvrscope.stats.training_runs import group_means, has_few_runs, over_runs, run_groups, with_runs
from rlvrscope.stats.units import Units

MIN_PER_OUTCOME = 3.0
"""Successes and failures, in problems, at either end of an interval that covers: benchmarks/interval_coverage.py."""
MIN_SAMPLES_PER_K = 4
"""Sampling noise is estimated well up to k = n / 4 ..."""
MIN_NOISE_CARRIERS = 3.0
"""... if it comes from at least this effective number of problems."""


@dataclass(frozen=True)
class Curve:
    """pass@k with a band; (K,) arrays, NaN where a problem has fewer than k samples.

    num_defined: how many of num_problems have at least k samples in every run. reliable: whether the band has its
    nominal coverage: for new problems, at least 3 successes and 3 failures (in problems) at both ends of the band, and
    one training run or at least 6; for this set, k <= n / 4 and noise from an effective number of at least 3 problems.
    """

    ks: tuple[int, ...]
    estimate: Floats
    low: Floats
    high: Floats
    num_defined: Ints
    reliable: NDArray[np.bool_]
    num_problems: int
    confidence: float
    target: str
    simultaneous: bool


def pass_at_k_curve(
    counts: GroupCounts,
    ks: Sequence[int],
    confidence: float = 0.95,
    target: str = NEW_PROBLEMS,
    *,
    rng: np.random.Generator,
    simultaneous: bool = True,
    resamples: int = 10_000,
) -> Curve:
    """pass@k averaged over problems and training runs, with a band that covers all ks at once (or pointwise).

        Wilson interval at the effective number of problems N_k = m (1 - m) / se_k^2, m the mean at k

    widened, for a simultaneous band, to the 1 - alpha quantile of the largest standardised deviation over ks (sup-t).
    counts: P problems, U runs. ks: K whole numbers >= 1. Returns (K,) arrays.
    target: "new problems" covers other problems of the same kind (clusters are resampled whole) and, if there are
    several, other training runs; "this set" covers new samples of these problems from these models.
    rng: its draws are the only randomness.
    Raises InputError for ks, confidence, target or resamples out of range, or fewer than 2 problems for "new problems".
    Source: Wilson (1927); Montiel Olea and Plagborg-Moller, Journal of Applied Econometrics 34 (2019).
    """
    check_confidence(confidence)
    check_target(target)
    check_resamples(resamples, 1.0 - confidence if simultaneous else 1.0)
    ks = tuple(int(k) for k in check_ks(ks))
    build = _over_samples if target == THIS_SET else _over_problems
    normal_RK = rng.standard_normal((resamples, len(ks))) if simultaneous else None
    return curve_with_band(counts, ks, build(counts, ks), normal_RK, 1.0 - confidence, target)


def _over_problems(counts: GroupCounts, ks: tuple[int, ...]) -> Spread:
    (grid,), units = Units.distinct([counts])
    values_UQK = values(grid, ks)
    run_means_UK = np.array([units.mean(run_QK) for run_QK in values_UQK])
    return with_runs(units.spread(over_runs(counts, values_UQK)), group_means(run_means_UK, run_groups(counts)))


def _over_samples(counts: GroupCounts, ks: tuple[int, ...]) -> Spread:
    estimate_K = over_runs(counts, values(counts.grid, ks)).mean(axis=0)
    factors_NK = noise_factors(counts.grid, counts.run_share, ks)
    return noise_spread(estimate_K, factors_NK, np.full(len(ks), float(len(counts.problems))))


def curve_with_band(
    counts: GroupCounts, ks: tuple[int, ...], spread: Spread, normal_RK: Floats | None, alpha: float, target: str
) -> Curve:
    """Curve from means and standard errors. normal_RK: draws for a simultaneous band; None: a pointwise one."""
    n_UP, _ = counts.grid
    z = critical_z(None if normal_RK is None else spread.maxima(normal_RK), alpha)
    low_K, high_K = score_interval(spread.estimate_C, spread.se_C, spread.critical(z), spread.count_C)
    if target == THIS_SET:
        reliable_K = noise_is_known(counts, ks, spread)
    else:
        reliable_K = spread.count_C * np.minimum(low_K, 1.0 - high_K) >= MIN_PER_OUTCOME - ROUNDING
        reliable_K &= not has_few_runs(counts)
    return Curve(
        ks=ks,
        estimate=spread.estimate_C,
        low=low_K,
        high=high_K,
        num_defined=(n_UP.min(axis=0)[:, None] >= np.array(ks)).sum(axis=0),
        reliable=reliable_K & ~np.isnan(low_K),
        num_problems=len(counts.problems),
        confidence=1.0 - alpha,
        target=target,
        simultaneous=normal_RK is not None,
    )


def noise_is_known(counts: GroupCounts, ks: Sequence[int], spread: Spread) -> NDArray[np.bool_]:
    """(K,) where an interval for sampling noise has its nominal coverage."""
    n_UP, _ = counts.grid
    return (np.array(ks) <= n_UP.min() / MIN_SAMPLES_PER_K) & (spread.carriers_C >= MIN_NOISE_CARRIERS)
