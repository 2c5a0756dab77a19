"""Means with the levels of variation behind them: new problems, new training runs, new samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from rlvrscope.arrays import Floats, Ints
from rlvrscope.stats.intervals import ROUNDING, maxima

MAX_Z = 37.0
"""Largest normal quantile whose tail probability is a normal float64."""


@dataclass(frozen=True, eq=False)
class Level:
    """One independent source of variation of C means.

    factors_NC: rows whose outer products sum to the covariance. df_C: degrees of freedom of the variances.
    """

    factors_NC: Floats
    df_C: Floats

    @cached_property
    def se_C(self) -> Floats:
        return np.sqrt((self.factors_NC**2).sum(axis=0))

    def at(self, index: Sequence[int]) -> Level:
        """Some of the columns."""
        return Level(self.factors_NC[:, index], self.df_C[index])


@dataclass(frozen=True, eq=False)
class Spread:
    """Means over problems for C columns at once (the ks, say), with what intervals need.

    carriers_C: effective number of problems (or clusters) behind a mean, (sum x^2)^2 / sum x^4; 1 if a single one
    dominates. moved_C: how many have a nonzero value. count_C: how many there are. largest_share_C: share of the
    problems in the largest cluster.
    """

    estimate_C: Floats
    levels: tuple[Level, ...]
    carriers_C: Floats
    moved_C: Floats
    count_C: Floats
    largest_share_C: Floats

    def at(self, index: Sequence[int]) -> Spread:
        """Some of the columns."""
        return Spread(
            self.estimate_C[index],
            tuple(level.at(index) for level in self.levels),
            self.carriers_C[index],
            self.moved_C[index],
            self.count_C[index],
            self.largest_share_C[index],
        )

    @cached_property
    def se_C(self) -> Floats:
        """Standard errors: the levels' variances add up."""
        return np.sqrt(np.sum([level.se_C**2 for level in self.levels], axis=0))

    def half_width(self, z: float | Floats) -> Floats:
        """(C,) half-width of an interval at a normal quantile z.

            sqrt(sum over levels of (t_level se_level)^2),   t: Student's quantile at the level's degrees of freedom

        Source: the method of variance estimates recovery (Zou and Donner, Statistics in Medicine 27, 2008). With few
        training runs it covers where Welch and Satterthwaite's degrees of freedom do not.
        """
        tail = ndtr(-np.asarray(z))
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [np.where(level.se_C == 0.0, 0.0, stdtrit(level.df_C, tail) * level.se_C) for level in self.levels]
            return np.sqrt(np.sum([part**2 for part in parts], axis=0))

    def critical(self, z: float) -> Floats:
        """(C,) half-width in standard errors; where they are 0, Student's quantile of the first level."""
        with np.errstate(divide="ignore", invalid="ignore"):
            half_C = self.half_width(z) / self.se_C
        return np.where(self.se_C <= ROUNDING, stdtrit(self.levels[0].df_C, ndtr(-z)), half_C)

    @cached_property
    def z_C(self) -> Floats:
        """(C,) normal quantile at which the half-width equals the estimate; 0 for an estimate of 0."""
        size_C = np.abs(self.estimate_C)
        if len(self.levels) == 1:
            with np.errstate(divide="ignore", invalid="ignore"):
                t_C = np.where(size_C == 0.0, 0.0, size_C / self.se_C)
            return np.minimum(-ndtri(stdtr(self.levels[0].df_C, -t_C)), MAX_Z)
        low_C, high_C = np.zeros_like(size_C), np.full_like(size_C, MAX_Z)
        for _ in range(60):
            middle_C = (low_C + high_C) / 2.0
            below_C = self.half_width(middle_C) < size_C
            low_C, high_C = np.where(below_C, middle_C, low_C), np.where(below_C, high_C, middle_C)
        return np.where(np.isfinite(self.se_C), np.where(size_C == 0.0, 0.0, low_C), np.nan)

    def maxima(self, normal_RK: Floats) -> Floats:
        """(R,) largest standardised deviation over the columns in each draw: `maxima` of the covariance.

        With training runs, at least that of the first level alone: a few runs don't show in how many ways runs differ.
        """
        covariances = [level.factors_NC.T @ level.factors_NC for level in self.levels]
        maxima_R = maxima(np.sum(covariances, axis=0), normal_RK)
        if len(covariances) > 1:
            maxima_R = np.maximum(np.sort(maxima_R), np.sort(maxima(covariances[0], normal_RK)))
        return maxima_R


def carriers(values_DC: Floats, number_D: Ints) -> Floats:
    """(C,) effective number behind a sum of squares: (sum x^2)^2 / sum x^4; 1 if one dominates, 0 if all are 0."""
    second_C, fourth_C = number_D @ values_DC**2, number_D @ values_DC**4
    return np.divide(second_C**2, fourth_C, out=np.zeros_like(second_C), where=fourth_C > 0.0)
