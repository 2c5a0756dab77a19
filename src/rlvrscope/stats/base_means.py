"""Means over bases, with intervals for new prompts, new seeds of RL and, given enough bases, new bases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.stats.intervals import Interval, check_confidence

Statistic = Callable[[Floats], Floats]
Covers = Literal["prompts", "seeds", "bases"]
MIN_BASES = 4
"""With at least this many bases, intervals generalise to new bases; with two, Student's t would be 12.7."""
MIN_DF = 2
"""Fewest degrees of freedom at which the variance between seeds is used; with one, t would be 12.7."""
STRATA, BISECTIONS = 400, 45


@dataclass(frozen=True, eq=False)
class SeedSpread:
    """Spread between the seeds of each base. runs_B: (B,) runs. squares_B: (B, ...) sums of squared deviations."""

    runs_B: Ints
    squares_B: Floats

    @property
    def df(self) -> int:
        return int((self.runs_B - 1).sum())

    @property
    def variance(self) -> Floats:
        """Variance of the mean over fixed bases: s^2 / B^2 sum over bases of 1/runs, s^2 pooled over bases."""
        return self.squares_B.sum(axis=0) / self.df * (1.0 / self.runs_B).sum() / len(self.runs_B) ** 2

    def select(self, bases: Sequence[int]) -> SeedSpread:
        return SeedSpread(self.runs_B[list(bases)], self.squares_B[list(bases)])


@dataclass(frozen=True, eq=False)
class BaseMeans:
    """One value per base (the mean over its seeds of RL), with bootstrap draws over prompts.

    value_B: (B, ...). draws_RB: (R, B, ...), from the same resampled prompts for everything that is compared.
    spreads: between seeds, one for each side of a difference.
    """

    bases: tuple[str, ...]
    value_B: Floats
    draws_RB: Floats
    spreads: tuple[SeedSpread, ...] = ()

    @classmethod
    def of(cls, bases: Sequence[str], measured: Sequence[tuple[Floats, Floats]]) -> BaseMeans:
        """From one (value, draws_R) per run and each run's base. Raises InputError for no runs."""
        if not measured:
            raise InputError("a mean over bases needs at least one run")
        names = tuple(dict.fromkeys(bases))
        rows = [[run for run, base in zip(measured, bases, strict=True) if base == name] for name in names]
        value_B = np.array([np.mean([value for value, _ in runs], axis=0) for runs in rows])
        draws_RB = np.stack([np.mean([draws for _, draws in runs], axis=0) for runs in rows], axis=1)
        squares_B = np.array(
            [sum((value - mean) ** 2 for value, _ in runs) for runs, mean in zip(rows, value_B, strict=True)]
        )
        return cls(names, value_B, draws_RB, (SeedSpread(np.array([len(runs) for runs in rows]), squares_B),))

    @property
    def estimate(self) -> Floats:
        """Mean over bases, equally weighted whatever their number of seeds."""
        return self.value_B.mean(axis=0)

    def minus(self, other: BaseMeans) -> BaseMeans:
        """Paired difference on the common bases. Raises InputError if there are none."""
        shared = tuple(base for base in self.bases if base in other.bases)
        if not shared:
            raise InputError(f"a paired difference needs a base in common; got {self.bases} and {other.bases}")
        first, second = ([side.bases.index(base) for base in shared] for side in (self, other))
        spreads = (
            *(spread.select(first) for spread in self.spreads),
            *(spread.select(second) for spread in other.spreads),
        )
        return BaseMeans(
            shared,
            self.value_B[first] - other.value_B[second],
            self.draws_RB[:, first] - other.draws_RB[:, second],
            spreads,
        )

    @property
    def covers(self) -> Covers:
        """Scope of the intervals beyond new prompts: new bases, new seeds on these bases, or neither.

        Seeds need at least MIN_DF more runs than bases on each side, or their variance is unknown.
        """
        if len(self.bases) >= MIN_BASES:
            return "bases"
        known = self.spreads and min(spread.df for spread in self.spreads) >= MIN_DF
        return "seeds" if known else "prompts"

    def interval(self, confidence: float = 0.95) -> Interval:
        """Interval for new prompts and for what `covers` says.

            quantiles of  (draw over prompts) + e t,   t: Student's

        Bases: e = s / sqrt(B) with B - 1 degrees of freedom; s, between bases, includes the variance between seeds.
        Seeds: e^2 is the sum of the sides' SeedSpread.variance, with Welch's degrees of freedom. Interactions with
        prompts are counted twice, which is slightly conservative. Prompts only: the percentile interval.
        Raises InputError for a confidence outside (0, 1).
        Source: the sum of two independent Student terms is Behrens and Fisher's (Fisher 1935); coverage measured in
        benchmarks/frontier.py.
        """
        check_confidence(confidence)
        draws_R = self.draws_RB.mean(axis=1)
        tails = [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]
        if self.covers == "prompts":
            low, high = np.quantile(draws_R, tails, axis=0)
        else:
            error, df = self._between_bases() if self.covers == "bases" else self._between_seeds()
            low, high = quantiles_with_student(draws_R, error, df, tails)
        return Interval(np.asarray(self.estimate), low, high)

    def _between_bases(self) -> tuple[Floats, Floats]:
        """Standard error of the mean over new bases, and its degrees of freedom."""
        error = self.value_B.std(axis=0, ddof=1) / np.sqrt(len(self.bases))
        return error, np.full(np.shape(error), len(self.bases) - 1.0)

    def _between_seeds(self) -> tuple[Floats, Floats]:
        """The same on fixed bases: the sides' variances v add up; Welch's df (sum of v)^2 / sum of (v^2 / df)."""
        parts = [spread.variance for spread in self.spreads]
        total = np.asarray(sum(parts))
        weighted = np.asarray(sum(part**2 / spread.df for part, spread in zip(parts, self.spreads, strict=True)))
        min_df = float(min(spread.df for spread in self.spreads))
        df = np.divide(total**2, weighted, out=np.full(total.shape, min_df), where=weighted > 0.0)
        return np.sqrt(total), df


def quantiles_with_student(draws_R: Floats, error: Floats, df: Floats, shares: Sequence[float]) -> Floats:
    """(len(shares), ...) quantiles of a draw plus e t, with t Student's and independent of the draw.

        x with mean over the draws of F_t((x - draw) / e) = share,   by bisection

    No number is drawn, so the quantiles of the negative sum are these, negated. Draws are represented by STRATA of
    their quantiles. e = 0 gives the draws' own.
    """
    drawn_S = np.quantile(draws_R, (np.arange(STRATA) + 0.5) / STRATA, axis=0)
    positive = np.where(error > 0.0, error, 1.0)
    share_X = np.asarray(shares).reshape(-1, *[1] * np.ndim(error))
    reach = stdtrit(df, np.maximum(share_X, 1.0 - share_X)) * positive
    low, high = drawn_S.min(axis=0) - reach, drawn_S.max(axis=0) + reach
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        below = stdtr(df, (middle[:, None] - drawn_S) / positive).mean(axis=1) < share_X
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(error > 0.0, (low + high) / 2.0, np.quantile(draws_R, shares, axis=0))


def measure(bases: Sequence[str], statistics: Sequence[Statistic], weights_RP: Floats) -> BaseMeans:
    """Evaluate each run's statistic, a function of (R, P) weights, on equally weighted and on resampled prompts."""
    equal_1P = np.full((1, weights_RP.shape[1]), 1.0 / weights_RP.shape[1])
    return BaseMeans.of(bases, [(statistic(equal_1P)[0], statistic(weights_RP)) for statistic in statistics])


def means_over_prompts(bases: Sequence[str], values_UP: Sequence[Floats], weights_RP: Floats) -> BaseMeans:
    """Means over prompts of values_UP, one (P, ...) array per run.

    Raises InputError for weights of another number of prompts.
    """
    for values_P in values_UP:
        if len(values_P) != weights_RP.shape[1]:
            raise InputError(f"the weights are for {weights_RP.shape[1]} prompts; a run has {len(values_P)}")
    return measure(bases, [partial(_mean_over, values_P) for values_P in values_UP], weights_RP)


def _mean_over(values_P: Floats, weights_RP: Floats) -> Floats:
    return np.asarray(np.tensordot(weights_RP, values_P, axes=1), dtype=np.float64)
