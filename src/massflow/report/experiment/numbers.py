"""The numbers of a report: each with its interval, or its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from massflow.objectives import OBJECTIVES
from massflow.stats import BaseMeans, Interval
from massflow.stats.frontier import bounds_interval


def label(name: str) -> str:
    """How an arm is written: names of the catalogue, and the base, in capitals, a user's own as they are."""
    return name.upper() if name in OBJECTIVES or name == "base" else name


EXTINCT = 1e-4
"""Where the mass of optimal answers is below this, they are as good as gone."""


@dataclass(frozen=True)
class Number:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval) -> Number:
        return cls(float(interval.estimate), float(interval.low), float(interval.high))

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval excludes zero, else 0."""
        return int(self.low > 0.0) - int(self.high < 0.0)

    @property
    def text(self) -> str:
        return f"{self.value:.3f}"

    def __format__(self, form: str) -> str:
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class Bounded:
    """A value between `least` and `most`, which are one where it is known; low, high: the 95 % interval around both."""

    least: float
    most: float
    low: float
    high: float

    @classmethod
    def of(cls, low: BaseMeans, high: BaseMeans, within: tuple[float, float]) -> Bounded:
        """From means that bound it, the interval cut to what is possible."""
        interval = bounds_interval(low, high)
        ends = max(float(interval.low), within[0]), min(float(interval.high), within[1])
        return cls(float(low.estimate), float(high.estimate), *ends)

    @property
    def known(self) -> bool:
        return abs(self.most - self.least) < 1e-9

    def text(self, form: str = ".3f") -> str:
        return f"{self.least:{form}}" if self.known else f"{self.least:{form}} to {self.most:{form}}"


@dataclass(frozen=True)
class Model:
    """A model's scores: the base's, or those of an arm's final models, averaged over bases and their seeds."""

    name: str
    runs: int
    pass_at_1: float
    pass_at_256: float
    greedy_accuracy: float
    token_entropy: float
    distinct_correct: float
    rare_mass: float

    @property
    def label(self) -> str:
        return label(self.name)


@dataclass(frozen=True)
class Target:
    """An arm where its runs had raised pass@1 by `gain`: how many did, pass@256 there, and against the first arm.

    cpu_seconds: the median of those that did; None if none did, or no times were kept.
    """

    gain: float
    reached: int
    runs: int
    pass_at_256: Bounded
    difference: Bounded | None
    cpu_seconds: float | None


@dataclass(frozen=True)
class Matched:
    """pass@256 at equal pass@1 minus the first arm's: the mean over gains from 0 to `upto`, which every run reaches."""

    upto: float
    difference: Number


@dataclass(frozen=True)
class Outcome:
    """What an arm's training changed, against its bases; `matched`: against the first arm, None if not defined."""

    model: Model
    pass_at_1: Number
    pass_at_256: Number
    distinct_correct: Number
    matched: Matched | None
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Graded:
    """Common answers (right, a lower reward) and optimal ones (reward 1) of an arm, means over prompts and bases.

    common: mass at the start and the end. optimal, boundary (pass@256 of optimal answers alone): start, lowest, end.
    overtaken: the share of prompts whose optimal mass is above the common one at the end; extinct: below EXTINCT.
    """

    arm: str
    common: tuple[float, float]
    optimal: tuple[float, float, float]
    lowest_step: int
    boundary: tuple[float, float, float]
    boundary_change: Number
    overtaken: float
    extinct: float
