"""Means over bases: what other prompts, other bases and other seeds of RL would have shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import stdtrit

from massflow.errors import InputError
from massflow.seeding import generator
from massflow.stats.bands import check_confidence
from massflow.stats.bootstrap import Interval
from massflow.stats.passk import Floats

Statistic = Callable[[Floats], Floats]
FEW_BASES = 5
"""Fewer tell so little of other bases that an interval over them is wide, or short of its level."""


@dataclass(frozen=True, eq=False)
class BaseMeans:
    """Something measured once a base (the mean over its seeds of RL), with its bootstrap draws over prompts.

    value_B: (B, ...). draws_RB: (R, B, ...), the same resampled prompts for all bases and for all that is compared.
    """

    bases: tuple[str, ...]
    value_B: Floats
    draws_RB: Floats

    @classmethod
    def of(cls, bases: Sequence[str], measured: Sequence[tuple[Floats, Floats]]) -> BaseMeans:
        """From one (value, draws_R) a run, and each run's base. Raises InputError for no runs."""
        if not measured:
            raise InputError("a mean over bases needs at least one run")
        names = tuple(dict.fromkeys(bases))
        rows = [[run for run, base in zip(measured, bases, strict=True) if base == name] for name in names]
        value_B = np.array([np.mean([value for value, _ in runs], axis=0) for runs in rows])
        draws_RB = np.stack([np.mean([draws for _, draws in runs], axis=0) for runs in rows], axis=1)
        return cls(names, value_B, draws_RB)

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
        return BaseMeans(
            shared, self.value_B[mine] - other.value_B[its], self.draws_RB[:, mine] - other.draws_RB[:, its]
        )

    def interval(self, confidence: float = 0.95) -> Interval:
        """For other prompts, and where there are several bases for other bases and seeds, too.

            quantiles of  (draw over prompts) + s / sqrt(B) t,   t: Student's with B - 1 degrees of freedom

        s: the standard deviation between bases, which holds that between seeds. One base: the percentile interval
        over prompts, about this base. What varies with base and prompt at once is counted twice, a little on the safe
        side. Raises InputError for a confidence outside (0, 1).
        Source: the sum of two independent Student terms is Behrens's and Fisher's (Fisher 1935); coverage as measured:
        benchmarks/frontier.py.
        """
        check_confidence(confidence)
        draws_R = self.draws_RB.mean(axis=1)
        if len(self.bases) > 1:
            se = self.value_B.std(axis=0, ddof=1) / np.sqrt(len(self.bases))
            draws_R = draws_R + np.multiply.outer(student_draws(len(draws_R), len(self.bases) - 1), se)
        tail = (1.0 - confidence) / 2.0
        low, high = np.quantile(draws_R, [tail, 1.0 - tail], axis=0)
        return Interval(np.asarray(self.estimate), low, high)


def student_draws(number: int, df: int) -> Floats:
    """Student's t, one draw from each of `number` equally likely strata, in random order: its tails without luck."""
    return stdtrit(df, (generator(0, "student", number).permutation(number) + 0.5) / number)


def measure(bases: Sequence[str], statistics: Sequence[Statistic], weights_RP: Floats) -> BaseMeans:
    """A statistic of each run, a function of (R, P) weights of prompts: on the prompts as they are, and resampled."""
    alike_1P = np.full((1, weights_RP.shape[1]), 1.0 / weights_RP.shape[1])
    return BaseMeans.of(bases, [(found(alike_1P)[0], found(weights_RP)) for found in statistics])


def over_prompts(bases: Sequence[str], values_UP: Sequence[Floats], weights_RP: Floats) -> BaseMeans:
    """Means over prompts of what each run has, prompt by prompt: values_UP, one (P, ...) array a run.

    Raises InputError for weights of another number of prompts.
    """
    for values_P in values_UP:
        if len(values_P) != weights_RP.shape[1]:
            raise InputError(f"the weights are for {weights_RP.shape[1]} prompts; a run has {len(values_P)}")
    return measure(bases, [partial(_mean_over, values_P) for values_P in values_UP], weights_RP)


def _mean_over(values_P: Floats, weights_RP: Floats) -> Floats:
    return np.asarray(np.tensordot(weights_RP, values_P, axes=1), dtype=np.float64)
