"""pass@k curves with simultaneous or pointwise bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats, Ints
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.intervals import (
    ROUNDING,
    check_confidence,
    check_resamples,
    critical_values,
    maxima,
    score_interval,
)
from rlvrscope.stats.passk import check_ks
from rlvrscope.stats.standard_errors import (
    NEW_PROBLEMS,
    THIS_SET,
    Spread,
    Units,
    check_target,
    draw_means,
    noise_draws,
    noise_factors,
    noise_spread,
    values,
)
from rlvrscope.stats.training_runs import (
    group_means,
    group_weights,
    has_few_runs,
    over_runs,
    run_groups,
    run_weights,
    with_runs,
)

MIN_PER_OUTCOME = 5.0
"""Expected successes and failures, in problems, from which on an interval covers: benchmarks/interval_coverage.py."""
MIN_SAMPLES_PER_K = 4
"""Sampling noise is estimated well up to k = n / 4 ..."""
MIN_NOISE_CARRIERS = 3.0
"""... if it comes from at least this effective number of problems."""


@dataclass(frozen=True)
class Curve:
    """pass@k with a band; (K,) arrays, NaN where a problem has fewer than k samples.

    num_defined: how many of num_problems have at least k samples in every run. reliable: whether the band has its
    nominal coverage: for new problems, at least 5 expected successes and 5 expected failures, and one training run or
    at least 5; for this set, k <= n / 4 and noise from an effective number of at least 3 problems.
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
    if target == THIS_SET:
        factors_NK = noise_factors(counts, ks)
        spread = noise_spread(over_runs(counts, values(counts, ks)).mean(axis=0), factors_NK)
        maxima_R = maxima(noise_draws(factors_NK, resamples, rng), np.zeros(len(ks))) if simultaneous else None
        return curve_with_band(counts, ks, spread, maxima_R, 1.0 - confidence, target, len(counts.problems))
    (distinct,), units = Units.distinct([counts])
    values_UPK, group_U = values(distinct, ks), run_groups(counts)
    run_means_UK = np.array([units.mean(run_PK) for run_PK in values_UPK])
    spread = with_runs(units.spread(over_runs(counts, values_UPK)), group_means(run_means_UK, group_U))
    maxima_R = None
    if simultaneous:
        weight_RU = run_weights(group_U, group_weights(group_U.max() + 1, resamples, rng), rng)
        (draws_RK,) = draw_means([(values_UPK, weight_RU)], units, resamples, rng)
        maxima_R = maxima(draws_RK, spread.estimate_C)
    return curve_with_band(counts, ks, spread, maxima_R, 1.0 - confidence, target, units.count)


def curve_with_band(
    counts: GroupCounts,
    ks: tuple[int, ...],
    spread: Spread,
    maxima_R: Floats | None,
    alpha: float,
    target: str,
    units: int,
) -> Curve:
    """Curve from means and standard errors; units: the number of problems, or of clusters."""
    n_UP, _ = counts.grid
    if target == THIS_SET:
        reliable_K = noise_is_known(counts, ks, spread)
    else:
        worth_K = units * np.minimum(spread.estimate_C, 1.0 - spread.estimate_C)
        reliable_K = (worth_K >= MIN_PER_OUTCOME - ROUNDING) & (not has_few_runs(counts))
    critical_K = critical_values(maxima_R, spread.df_C, alpha)
    low_K, high_K = score_interval(spread.estimate_C, spread.se_C, critical_K, units)
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
        simultaneous=maxima_R is not None,
    )


def noise_is_known(counts: GroupCounts, ks: Sequence[int], spread: Spread) -> NDArray[np.bool_]:
    """(K,) where an interval for sampling noise has its nominal coverage."""
    n_UP, _ = counts.grid
    return (np.array(ks) <= n_UP.min() / MIN_SAMPLES_PER_K) & (spread.carriers_C >= MIN_NOISE_CARRIERS)
