"""Training runs: variance between bases, and between seeds of a base, as a level of variation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.spread import Level, Spread

MIN_RUNS = 6
"""Fewest training runs whose spread is known well enough: fewer have no sign test at 5 %."""


def share_bases(base: GroupCounts, trained: GroupCounts) -> bool:
    """Both sides have the same bases, and several: each base is compared with the models trained from it."""
    bases = [{label for label, _ in side.runs} for side in (base, trained)]
    return len(bases[0]) > 1 and bases[0] == bases[1]


def num_groups(counts: GroupCounts) -> int:
    """Number of independent training runs: bases if there are several, else seeds."""
    return len(set(run_groups(counts).tolist()))


def has_few_runs(counts: GroupCounts) -> bool:
    """Several training runs (or bases), but fewer than MIN_RUNS."""
    return 1 < num_groups(counts) < MIN_RUNS


def over_runs(counts: GroupCounts, values_UPC: Floats) -> Floats:
    """(P, C): mean over bases of the mean over their seeds."""
    return np.tensordot(counts.run_share, values_UPC, axes=1)


def run_groups(counts: GroupCounts) -> Ints:
    """(U,) independent group of each run: its base if there are several, else its seed."""
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

    A side of one group adds nothing: the result then applies to that run. G groups have G - 2 degrees of freedom (at
    least 1), one fewer than if the effects of runs were normal: for uniform ones, G - 1 would make 6.2 false claims of
    100 with six runs, and 5.4 with ten.
    """
    levels = [
        Level(
            (side_GC - side_GC.mean(axis=0)) / np.sqrt(len(side_GC) * (len(side_GC) - 1.0)),
            np.full(side_GC.shape[1], max(len(side_GC) - 2.0, 1.0)),
        )
        for side_GC in sides_GC
        if len(side_GC) > 1
    ]
    return replace(spread, levels=(*spread.levels, *levels))
