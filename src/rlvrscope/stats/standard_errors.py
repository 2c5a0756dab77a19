"""Standard errors of means over problems: for new problems, and for new samples of the same problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.intervals import ROUNDING
from rlvrscope.stats.passk import pass_at_k

NEW_PROBLEMS, THIS_SET = "new problems", "this set"
TARGETS = (NEW_PROBLEMS, THIS_SET)
_CHUNK = 4_000_000
"""Float64 entries in memory at once: 32 MB."""


@dataclass(frozen=True)
class Spread:
    """Means over problems, with what intervals need, for C columns at once (the ks, say).

    se_C: standard errors. df_C: their degrees of freedom (Welch and Satterthwaite). carriers_C: effective number of
    problems (or clusters), (sum x^2)^2 / sum x^4; 1 if a single one dominates. moved_C: how many have a nonzero value.
    """

    estimate_C: Floats
    se_C: Floats
    df_C: Floats
    carriers_C: Floats
    moved_C: Floats

    def at(self, index: Sequence[int]) -> Spread:
        """Some of the columns."""
        return Spread(*(getattr(self, field.name)[index] for field in fields(self)))

    def without_chance_agreement(self, carriers: float) -> Spread:
        """Standard errors of 0 with a nonzero mean become NaN below this effective number of problems.

        A few problems that agree by chance are not certainty.
        """
        vague_C = (self.se_C <= ROUNDING) & (np.abs(self.estimate_C) > ROUNDING) & (self.carriers_C < carriers)
        return replace(self, se_C=np.where(vague_C, np.nan, self.se_C))


@dataclass(frozen=True)
class Units:
    """Resampling units: problems, or clusters of them. Identical problems are stored once, with their number.

    size_D: problems in each unit. number_D: how many such units. of_P: each problem's unit.
    """

    size_D: Ints
    number_D: Ints
    of_P: Ints

    @classmethod
    def of(cls, sides: Sequence[GroupCounts]) -> Units:
        """Clusters if the counts have them; else problems, those with the same counts on all sides as one."""
        named = [side.clusters for side in sides if side.clusters is not None]
        if named:
            clusters_P = named[0]
            if any((other_P != clusters_P).any() for other_P in named):
                raise InputError("both models must put the problems into the same clusters")
            size_D = np.bincount(clusters_P)
            return cls(size_D, np.ones_like(size_D), clusters_P)
        profile_PC = np.concatenate([part for side in sides for part in side.grid]).T
        _, of_P, number_D = np.unique(profile_PC, axis=0, return_inverse=True, return_counts=True)
        return cls(np.ones_like(number_D), number_D, of_P.ravel())

    @classmethod
    def distinct(cls, sides: Sequence[GroupCounts]) -> tuple[list[GroupCounts], Units]:
        """The sides reduced to distinct problems, and their units: the same statistics from fewer rows."""
        units = cls.of(sides)
        if len(units.of_P) == len(units.size_D) or any(side.cluster for side in sides):
            return list(sides), units
        _, first_D = np.unique(units.of_P, return_index=True)
        names = [sides[0].problems[index] for index in first_D]
        return [side.select(names) for side in sides], cls(units.size_D, units.number_D, np.arange(len(names)))

    @property
    def count(self) -> int:
        """Number of units in a resample."""
        return int(self.number_D.sum())

    def totals(self, values_PC: Floats) -> Floats:
        """(D, C): sums over each unit's problems; for identical problems the value of one."""
        repeated = self.number_D.max() > 1
        totals_DC = np.zeros((len(self.size_D), values_PC.shape[1]))
        if repeated or (self.size_D == 1).all():
            totals_DC[self.of_P] = values_PC
        else:
            np.add.at(totals_DC, self.of_P, values_PC)
        return totals_DC

    def mean(self, values_PC: Floats) -> Floats:
        """(C,) means over problems."""
        return (self.number_D @ self.totals(values_PC)) / float(self.number_D @ self.size_D)

    def spread(self, values_PC: Floats) -> Spread:
        """Means over problems with standard errors of a ratio of totals, by linearisation."""
        count, totals_DC = self.count, self.totals(values_PC)
        if count < 2:
            raise InputError("an interval for new problems needs at least 2 problems (or clusters of them); got 1")
        number_D1, problems = self.number_D[:, None], float(self.number_D @ self.size_D)
        mean_C = self.mean(values_PC)
        residual_DC = totals_DC - mean_C * self.size_D[:, None]
        variance_C = (number_D1 * residual_DC**2).sum(axis=0) * count / (count - 1) / problems**2
        carriers_C = carriers(totals_DC, self.number_D)
        moved_C = (self.number_D @ (np.abs(totals_DC) > ROUNDING)).astype(np.float64)
        return Spread(mean_C, np.sqrt(variance_C), np.full_like(mean_C, count - 1.0), carriers_C, moved_C)


def carriers(values_DC: Floats, number_D: Ints) -> Floats:
    """(C,) effective number behind a sum of squares: (sum x^2)^2 / sum x^4; 1 if one dominates, 0 if all are 0."""
    second_C, fourth_C = number_D @ values_DC**2, number_D @ values_DC**4
    return np.divide(second_C**2, fourth_C, out=np.zeros_like(second_C), where=fourth_C > 0.0)


def check_target(target: str) -> None:
    """Raises InputError for a target that is not in TARGETS."""
    if target not in TARGETS:
        raise InputError(f"target must be {NEW_PROBLEMS!r} or {THIS_SET!r}; got {target!r}")


def values(counts: GroupCounts, ks: Sequence[int]) -> Floats:
    """(U, P, K): pass@k of each run and problem."""
    n_UP, c_UP = counts.grid
    return pass_at_k(n_UP.ravel(), c_UP.ravel(), ks).reshape(*n_UP.shape, len(ks))


def draw_means(
    sides: Sequence[tuple[Floats, Floats]], units: Units, resamples: int, rng: np.random.Generator
) -> list[Floats]:
    """Bootstrap means (R, C) of each side, over the same resampled problems for all sides and over its own runs.

    sides: pairs of values_UPC and run weights (R, U).
    """
    totals = [[units.totals(values_PC) for values_PC in values_UPC] for values_UPC, _ in sides]
    means = [np.empty((resamples, values_UPC.shape[2])) for values_UPC, _ in sides]
    share_D = units.number_D / units.count
    widest = max(len(share_D), *(values_UPC.shape[2] for values_UPC, _ in sides))
    rows = max(1, _CHUNK // widest)
    for start in range(0, resamples, rows):
        part = slice(start, min(start + rows, resamples))
        drawn_RD = rng.multinomial(units.count, share_D, part.stop - part.start).astype(np.float64)
        drawn_RD /= (drawn_RD @ units.size_D)[:, None]
        for mean_RC, totals_U, (_, weight_RU) in zip(means, totals, sides, strict=True):
            mean_RC[part] = sum(
                weight_RU[part, run, None] * (drawn_RD @ totals_DC) for run, totals_DC in enumerate(totals_U)
            )
    return means


def noise_factors(counts: GroupCounts, ks: Sequence[int]) -> Floats:
    """(U P, K) factors x such that sum x x^T is the covariance of the mean's sampling noise on fixed problems.

    Jackknife over a problem's samples: without a correct one it has pass@k(n - 1, c - 1), without a wrong one
    pass@k(n - 1, c), so its variance is (n - 1) / n * c (n - c) / n * (difference of the two)^2, slightly too large on
    average. NaN where n <= k. Source: Efron and Stein, Annals of Statistics 9 (1981).
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
    """Spread of sampling noise alone, from `noise_factors`; its carriers are the problems that contribute noise."""
    se_K = np.sqrt((factors_NK**2).sum(axis=0))
    endless_K = np.full_like(se_K, np.inf)
    carriers_K = carriers(factors_NK, np.ones(len(factors_NK), dtype=np.int64))
    return Spread(estimate_K, se_K, endless_K, carriers_K, endless_K)


def noise_draws(factors_NK: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """(R, K) joint normal draws of the sampling noise, with its covariance. NaN columns stay NaN."""
    draws_RK = np.full((resamples, factors_NK.shape[1]), np.nan)
    known_K = np.isfinite(factors_NK).all(axis=0)
    if known_K.any():
        covariance_KK = factors_NK[:, known_K].T @ factors_NK[:, known_K]
        zero_K = np.zeros(len(covariance_KK))
        draws_RK[:, known_K] = rng.multivariate_normal(zero_K, covariance_KK, resamples, "ignore", method="eigh")
    return draws_RK
