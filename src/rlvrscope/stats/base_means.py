"""Means over bases: what other prompts, other seeds of RL and, given enough bases, other bases would have shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats.intervals import Interval, check_confidence

Statistic = Callable[[Floats], Floats]
Covers = Literal["prompts", "seeds", "bases"]
MIN_BASES = 4
"""From so many bases on an interval speaks of other bases; with fewer of these bases: over two, Student's t is 12.7."""
MIN_DF = 2
"""Degrees of freedom from which on the spread between seeds is reckoned with: of one, t is 12.7 again."""


@dataclass(frozen=True, eq=False)
class SeedSpread:
    """How the runs of a base differ between seeds: how many it has, and their squared distances from its mean, summed.

    runs_B: (B,). squares_B: (B, ...).
    """

    runs_B: Ints
    squares_B: Floats

    @property
    def df(self) -> int:
        return int((self.runs_B - 1).sum())

    @property
    def variance(self) -> Floats:
        """Of the mean over bases, these being fixed: s^2 / B^2 sum over bases of 1/runs, s^2 pooled over bases."""
        return self.squares_B.sum(axis=0) / self.df * (1.0 / self.runs_B).sum() / len(self.runs_B) ** 2

    def of_bases(self, which: Sequence[int]) -> SeedSpread:
        return SeedSpread(self.runs_B[list(which)], self.squares_B[list(which)])


@dataclass(frozen=True, eq=False)
class BaseMeans:
    """Something measured once a base (the mean over its seeds of RL), with its bootstrap draws over prompts.

    value_B: (B, ...). draws_RB: (R, B, ...), the same resampled prompts for all bases and for all that is compared.
    spreads: between seeds, one for each side of a difference.
    """

    bases: tuple[str, ...]
    value_B: Floats
    draws_RB: Floats
    spreads: tuple[SeedSpread, ...] = ()

    @classmethod
    def of(cls, bases: Sequence[str], measured: Sequence[tuple[Floats, Floats]]) -> BaseMeans:
        """From one (value, draws_R) a run, and each run's base. Raises InputError for no runs."""
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
        """The mean over bases: each counts alike, however many seeds it has."""
        return self.value_B.mean(axis=0)

    def minus(self, other: BaseMeans) -> BaseMeans:
        """The paired difference, base by base, on the bases that both have. Raises InputError if there is none."""
        shared = tuple(base for base in self.bases if base in other.bases)
        if not shared:
            raise InputError(f"a paired difference needs a base in common; got {self.bases} and {other.bases}")
        mine, its = (
            [side.bases.index(base) for base in shared]  # by name: the two may list them in another order
            for side in (self, other)
        )
        spreads = (
            *(spread.of_bases(mine) for spread in self.spreads),
            *(spread.of_bases(its) for spread in other.spreads),
        )
        return BaseMeans(
            shared, self.value_B[mine] - other.value_B[its], self.draws_RB[:, mine] - other.draws_RB[:, its], spreads
        )

    @property
    def covers(self) -> Covers:
        """What an interval speaks of, besides other prompts: other bases, other seeds on these, or none.

        Seeds where each side has at least MIN_DF more runs than bases: of fewer, their spread is not known.
        """
        if len(self.bases) >= MIN_BASES:
            return "bases"
        known = self.spreads and min(spread.df for spread in self.spreads) >= MIN_DF
        return "seeds" if known else "prompts"

    def interval(self, confidence: float = 0.95) -> Interval:
        """For other prompts; with MIN_BASES also for other bases and seeds, with fewer for other seeds on these.

            quantiles of  (draw over prompts) + e t,   t: Student's

        Over bases e = s / sqrt(B), with B - 1 degrees of freedom; s, the standard deviation between bases, holds that
        between seeds. Over seeds e^2 is the sum of the sides' SeedSpread.variance, with Welch's degrees of freedom.
        What varies with base (seed) and prompt at once is counted twice, a little on the safe side. Where `covers` is
        "prompts", the percentile interval. Raises InputError for a confidence outside (0, 1).
        Source: the sum of two independent Student terms is Behrens's and Fisher's (Fisher 1935); coverage as measured:
        benchmarks/frontier.py.
        """
        check_confidence(confidence)
        draws_R = self.draws_RB.mean(axis=1)
        if self.covers != "prompts":
            error, df = self._between_bases() if self.covers == "bases" else self._between_seeds()
            draws_R = draws_R + student_draws(len(draws_R), df) * error
        tail = (1.0 - confidence) / 2.0
        low, high = np.quantile(draws_R, [tail, 1.0 - tail], axis=0)
        return Interval(np.asarray(self.estimate), low, high)

    def _between_bases(self) -> tuple[Floats, Floats]:
        """Standard error of the mean, and its degrees of freedom."""
        error = self.value_B.std(axis=0, ddof=1) / np.sqrt(len(self.bases))
        return error, np.full(np.shape(error), len(self.bases) - 1.0)

    def _between_seeds(self) -> tuple[Floats, Floats]:
        """The same where bases stay: the sides' variances v add up; Welch's (sum of v)^2 / sum of (v^2 / df)."""
        parts = [spread.variance for spread in self.spreads]
        total = np.asarray(sum(parts))
        weighed = np.asarray(sum(part**2 / spread.df for part, spread in zip(parts, self.spreads, strict=True)))
        least = float(min(spread.df for spread in self.spreads))
        df = np.divide(total**2, weighed, out=np.full(total.shape, least), where=weighed > 0.0)
        return np.sqrt(total), df


def student_draws(number: int, df: Floats) -> Floats:
    """(number, ...) Student's t, one draw from each of `number` equally likely strata, in random order."""
    share_R = (generator(0, "student", number).permutation(number) + 0.5) / number
    return stdtrit(df, share_R.reshape(-1, *[1] * np.ndim(df)))


def measure(bases: Sequence[str], statistics: Sequence[Statistic], weights_RP: Floats) -> BaseMeans:
    """A statistic of each run, a function of (R, P) weights of prompts: on the prompts as they are, and resampled."""
    alike_1P = np.full((1, weights_RP.shape[1]), 1.0 / weights_RP.shape[1])
    return BaseMeans.of(bases, [(found(alike_1P)[0], found(weights_RP)) for found in statistics])


def means_over_prompts(bases: Sequence[str], values_UP: Sequence[Floats], weights_RP: Floats) -> BaseMeans:
    """Means over prompts of what each run has, prompt by prompt: values_UP, one (P, ...) array a run.

    Raises InputError for weights of another number of prompts.
    """
    for values_P in values_UP:
        if len(values_P) != weights_RP.shape[1]:
            raise InputError(f"the weights are for {weights_RP.shape[1]} prompts; a run has {len(values_P)}")
    return measure(bases, [partial(_mean_over, values_P) for values_P in values_UP], weights_RP)


def _mean_over(values_P: Floats, weights_RP: Floats) -> Floats:
    return np.asarray(np.tensordot(weights_RP, values_P, axes=1), dtype=np.float64)
