"""A pass@k curve with its band."""

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
"""Problems' worth of success and of failure that an interval needs to cover: benchmarks/interval_coverage.py."""
MIN_SAMPLES_PER_K = 4
"""Sampling noise is known well up to k = n / 4 ..."""
MIN_NOISE_CARRIERS = 3.0
"""... where at least so many problems' worth make it."""


@dataclass(frozen=True)
class Curve:
    """pass@k with a band; (K,) arrays, and NaN where a problem has fewer than k samples.

    num_defined: problems with at least k samples in every run, of num_problems. reliable: where the band covers as
    often as it says; for new problems, at least 5 problems' worth of success and of failure, and one training run or at
    least 5; for this set, k <= n / 4 and noise from at least 3 problems' worth.
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
    """pass@k, the mean over problems and training runs, with a band over all ks at once (or pointwise).

    target "new problems": other problems of the same kind (and clusters of them), and other training runs where there
    are several; "this set": other samples of these problems from these models. Wilson's interval with the effective
    number of problems; a simultaneous band is as many standard errors wide as its largest deviation needs (sup-t).

    Raises InputError for ks, confidence or target out of range, or fewer than 2 problems for "new problems".
    """
    check_confidence(confidence)
    check_target(target)
    check_resamples(resamples, 1.0 - confidence if simultaneous else 1.0)
    ks = tuple(int(k) for k in check_ks(ks))
    if target == THIS_SET:
        factors_NK = noise_factors(counts, ks)
        spread = noise_spread(over_runs(counts, values(counts, ks)).mean(axis=0), factors_NK)
        maxima_R = maxima(noise_draws(factors_NK, resamples, rng), np.zeros(len(ks))) if simultaneous else None
        return band(counts, ks, spread, maxima_R, 1.0 - confidence, target, len(counts.problems))
    (alike,), units = Units.distinct([counts])
    values_UPK, group_U = values(alike, ks), run_groups(counts)
    run_means_UK = np.array([units.mean(run_PK) for run_PK in values_UPK])
    spread = with_runs(units.spread(over_runs(counts, values_UPK)), group_means(run_means_UK, group_U))
    maxima_R = None
    if simultaneous:
        weight_RU = run_weights(group_U, group_weights(group_U.max() + 1, resamples, rng), rng)
        (draws_RK,) = draw_means([(values_UPK, weight_RU)], units, resamples, rng)
        maxima_R = maxima(draws_RK, spread.estimate_C)
    return band(counts, ks, spread, maxima_R, 1.0 - confidence, target, units.count)


def band(
    counts: GroupCounts,
    ks: tuple[int, ...],
    spread: Spread,
    maxima_R: Floats | None,
    alpha: float,
    target: str,
    units: int,
) -> Curve:
    """The curve of a model whose means and standard errors are known; units: of problems, or clusters of them."""
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
    """(K,) where an interval for sampling noise covers as often as it says."""
    n_UP, _ = counts.grid
    return (np.array(ks) <= n_UP.min() / MIN_SAMPLES_PER_K) & (spread.carriers_C >= MIN_NOISE_CARRIERS)
