"""Resampling units: problems, or clusters of them, with means over problems and their standard errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.intervals import ROUNDING
from rlvrscope.stats.spread import Level, Spread, carriers

Grid = tuple[Ints, Ints]
"""(n_UQ, c_UQ): counts by run and distinct problem."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Units:
    """Resampling units: problems, or clusters of them; equal ones are stored once, with their number.

    number_D: how many units of each kind. Kind unit_N holds times_N copies of the distinct problem problem_N. The order
    depends on the counts alone, so results don't depend on the order of rows.
    """

    number_D: Ints
    unit_N: Ints
    problem_N: Ints
    times_N: Ints

    @classmethod
    def distinct(cls, sides: Sequence[GroupCounts]) -> tuple[list[Grid], Units]:
        """Each side's counts of the distinct problems, and the units made of them: clusters if a side names them.

        Raises InputError if the sides name different clusters.
        """
        grids = [side.grid for side in sides]
        first_Q, of_P = _distinct_rows([row_P for grid in grids for part in grid for row_P in part])
        reduced = [(n_UP[:, first_Q], c_UP[:, first_Q]) for n_UP, c_UP in grids]
        cluster_P = shared_clusters(sides)
        if cluster_P is not None:
            return reduced, cls.of_clusters(cluster_P, of_P)
        kinds = np.arange(len(first_Q))
        return reduced, cls(np.bincount(of_P), kinds, kinds, np.ones_like(kinds))

    @classmethod
    def of_clusters(cls, cluster_P: Ints, of_P: Ints) -> Units:
        """Clusters of problems. of_P: each problem's distinct problem."""
        order_P = np.lexsort((of_P, cluster_P))
        starts = np.flatnonzero(np.diff(cluster_P[order_P])) + 1
        contents = Counter(tuple(part.tolist()) for part in np.split(of_P[order_P], starts))
        kinds = sorted(contents)
        rows = [(unit, problem, n) for unit, kind in enumerate(kinds) for problem, n in Counter(kind).items()]
        unit_N, problem_N, times_N = np.array(rows).T
        return cls(np.array([contents[kind] for kind in kinds]), unit_N, problem_N, times_N)

    @property
    def count(self) -> int:
        """Number of units."""
        return int(self.number_D.sum())

    def totals(self, values_QC: Floats | Mask) -> Floats:
        """(D, C): sums over each unit's problems."""
        if len(self.unit_N) == len(self.number_D) and (self.times_N == 1).all():
            return values_QC[self.problem_N].astype(np.float64)
        totals_DC = np.zeros((len(self.number_D), values_QC.shape[1]))
        np.add.at(totals_DC, self.unit_N, self.times_N[:, None] * values_QC[self.problem_N])
        return totals_DC

    def mean(self, values_QC: Floats, kept_QC: Mask | None = None) -> Floats:
        """(C,) means over problems, in each column over the kept ones; NaN where none is kept."""
        if kept_QC is None:
            kept_QC = np.ones((len(values_QC), 1), dtype=bool)
        else:
            values_QC = np.where(kept_QC, values_QC, 0.0)
        problems_C = self.number_D @ self.totals(kept_QC)
        with np.errstate(invalid="ignore"):
            return (self.number_D @ self.totals(values_QC)) / problems_C

    def spread(self, values_QC: Floats, kept_QC: Mask | None = None) -> Spread:
        """Means over problems with standard errors of a ratio of totals, by linearisation.

        kept_QC: the problems that count in each column; a unit without any does not vary there. By default all, and a
        column with an undefined value is undefined. Raises InputError for fewer than 2 units.
        """
        if self.count < 2:
            raise InputError("an interval for new problems needs at least 2 problems (or clusters of them); got 1")
        mean_C = self.mean(values_QC, kept_QC)
        kept_QC = np.ones_like(values_QC, dtype=bool) if kept_QC is None else kept_QC
        size_DC, totals_DC = self.totals(kept_QC), self.totals(np.where(kept_QC, values_QC, 0.0))
        count_C = self.number_D @ (size_DC > 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale_C = np.where(count_C > 1, np.sqrt(count_C / (count_C - 1.0)), np.nan) / (self.number_D @ size_DC)
            factors_DC = np.sqrt(self.number_D)[:, None] * (totals_DC - mean_C * size_DC) * scale_C
            share_C = size_DC.max(axis=0) / (self.number_D @ size_DC)
        return Spread(
            estimate_C=mean_C,
            levels=(Level(factors_DC, count_C.astype(np.float64) - 1.0),),
            carriers_C=carriers(totals_DC, self.number_D),
            moved_C=(self.number_D @ (np.abs(totals_DC) > ROUNDING)).astype(np.float64),
            count_C=count_C.astype(np.float64),
            largest_share_C=share_C,
        )


def shared_clusters(sides: Sequence[GroupCounts]) -> Ints | None:
    """(P,) clusters, named on any side; None if on none. Raises InputError if sides name different ones."""
    named = [side.clusters for side in sides if side.clusters is not None]
    if any((other_P != named[0]).any() for other_P in named):
        raise InputError("both models must put the problems into the same clusters")
    return named[0] if named else None


def _distinct_rows(columns: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Index of the first of each distinct row, in ascending order of rows, and each row's number."""
    of_P = np.zeros(len(columns[0]), dtype=np.int64)
    first_Q = np.zeros(1, dtype=np.int64)
    for column_P in columns:
        values, rank_P = np.unique(column_P, return_inverse=True)
        _, first_Q, of_P = np.unique(of_P * len(values) + rank_P, return_index=True, return_inverse=True)
    return first_Q, of_P.ravel()
