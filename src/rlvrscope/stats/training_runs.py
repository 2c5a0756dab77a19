"""Training runs: variance between bases, and between seeds of a base, added to intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.standard_errors import Spread

MIN_RUNS = 5
"""Fewest training runs whose variance is estimated well enough to cover: benchmarks/interval_coverage.py."""


def share_bases(base: GroupCounts, trained: GroupCounts) -> bool:
    """Both sides have the same bases, and several: each base is compared with the models trained from it."""
    bases = [{label for label, _ in side.runs} for side in (base, trained)]
    return len(bases[0]) > 1 and bases[0] == bases[1]


def has_few_runs(counts: GroupCounts) -> bool:
    """Several training runs (or bases), but fewer than MIN_RUNS."""
    return 1 < len(set(run_groups(counts).tolist())) < MIN_RUNS


def over_runs(counts: GroupCounts, values_UPC: Floats) -> Floats:
    """(P, C): mean over bases of the mean over their seeds."""
    return np.tensordot(counts.run_share, values_UPC, axes=1)


def run_groups(counts: GroupCounts) -> Ints:
    """(U,) group of each run at the level resampled first: its base if there are several, else its seed."""
    bases = sorted({base for base, _ in counts.runs})  # the same order for all models of these bases
    if len(bases) == 1:
        return np.arange(len(counts.runs))
    return np.array([bases.index(base) for base, _ in counts.runs])


def group_means(values_UC: Floats, group_U: Ints) -> Floats:
    """(groups, C): mean over the runs of each group."""
    sums = np.zeros((group_U.max() + 1, values_UC.shape[1]))
    np.add.at(sums, group_U, values_UC)
    return sums / np.bincount(group_U)[:, None]


def with_runs(spread: Spread, *sides_GC: Floats) -> Spread:
    """Add the variance between groups of training runs; the sides, (groups, C), are independent.

        se^2 = sum of the levels' se^2,   df = se^4 / sum of se_level^4 / df_level

    A side of one group adds nothing: the result then applies to that run.
    Source: Welch (1947), Satterthwaite (1946).
    """
    parts = [(spread.se_C**2, spread.df_C)]
    for side_GC in sides_GC:
        if len(side_GC) > 1:
            parts.append((side_GC.var(axis=0, ddof=1) / len(side_GC), np.full_like(spread.df_C, len(side_GC) - 1.0)))
    total_C = np.sum([variance_C for variance_C, _ in parts], axis=0)
    below_C = np.sum([variance_C**2 / df_C for variance_C, df_C in parts], axis=0)
    df_C = np.divide(total_C**2, below_C, out=spread.df_C.copy(), where=below_C > 0.0)
    return replace(spread, se_C=np.sqrt(total_C), df_C=df_C)


def group_weights(groups: int, resamples: int, rng: np.random.Generator) -> Floats:
    """(R, groups) bootstrap weights from groups - 1 draws with replacement, which makes the variance unbiased.

    Source: Rao and Wu, JASA 83 (1988).
    """
    if groups == 1:
        return np.ones((resamples, 1))
    return rng.multinomial(groups - 1, np.full(groups, 1.0 / groups), resamples) / (groups - 1)


def run_weights(group_U: Ints, weight_RG: Floats, rng: np.random.Generator) -> Floats:
    """(R, U) weights of runs: the groups' weights, times a bootstrap of the runs within each group."""
    weight_RU = weight_RG[:, group_U]
    for group in range(weight_RG.shape[1]):
        members = np.flatnonzero(group_U == group)
        within = rng.multinomial(len(members), np.full(len(members), 1.0 / len(members)), len(weight_RG))
        weight_RU[:, members] *= within / len(members)
    return weight_RU
