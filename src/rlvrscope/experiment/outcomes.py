"""The numbers of a report: each with its interval, or its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from rlvrscope.objectives import OBJECTIVES
from rlvrscope.stats import BaseMeans, Interval
from rlvrscope.stats.base_means import Covers
from rlvrscope.stats.frontier import Seconds, bounds_interval

EXTINCT = 1e-4
"""Where the mass of optimal answers is below this, they are as good as gone."""


def label(name: str) -> str:
    """How an arm is written: names of the catalogue, and the base, in capitals, a user's own as they are."""
    return name.upper() if name in OBJECTIVES or name == "base" else name


def shown(value: float, form: str) -> str:
    """Formatted, without a sign where it rounds to zero. Ends of intervals keep theirs: it tells their side of zero."""
    text = format(value, form)
    return text if any(digit in "123456789" for digit in text) else text.lstrip("+-")


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval) -> Estimate:
        return cls(float(interval.estimate), float(interval.low), float(interval.high))

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval excludes zero, else 0."""
        return int(self.low > 0.0) - int(self.high < 0.0)

    @property
    def text(self) -> str:
        return f"{self.value:.3f}"

    def __format__(self, form: str) -> str:
        return f"{shown(self.value, form)} {self.ends(form)}"

    def ends(self, form: str) -> str:
        return f"[{self.low:{form}}, {self.high:{form}}]"


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

    def __format__(self, form: str) -> str:
        return f"{self.text(form)} {self.ends(form)}"

    def ends(self, form: str) -> str:
        return f"[{self.low:{form}}, {self.high:{form}}]"

    def text(self, form: str = ".3f") -> str:
        return shown(self.least, form) if self.known else f"{shown(self.least, form)} to {shown(self.most, form)}"


@dataclass(frozen=True)
class GainRange:
    """A range of gains in pass@1."""

    since: float
    upto: float

    def __str__(self) -> str:
        return f"{self.since:.3f} to {self.upto:.3f}"


@dataclass(frozen=True)
class Model:
    """A model's scores: the base's, or those of an arm's final models, averaged over bases and their seeds.

    Greedy accuracy and token entropy are known on held-out prompts only.
    """

    name: str
    runs: int
    pass_at_1: float
    pass_at_256: float
    greedy_accuracy: float | None
    token_entropy: float | None
    distinct_correct: float
    rare_mass: float

    @property
    def label(self) -> str:
        return label(self.name)


@dataclass(frozen=True)
class Outcome:
    """What an arm's training changed, against its bases; covers: what its intervals speak of besides other prompts."""

    model: Model
    pass_at_1: Estimate
    pass_at_256: Estimate
    distinct_correct: Estimate
    covers: Covers


@dataclass(frozen=True)
class AtGain:
    """An arm or a baseline where pass@1 had risen by `gain`: how many of its runs got there, and pass@256 there.

    minus_cooled, minus_wise: paired with the base merely cooled, and with the arm's own WiSE; None without them.
    seconds: the median of the CPU seconds; None if no run got there, or no times were kept.
    """

    gain: float
    reached: int
    runs: int
    pass_at_256: Bounded
    minus_cooled: Bounded | None
    minus_wise: Bounded | None
    seconds: Seconds | None


@dataclass(frozen=True)
class Entry:
    """An arm, or a baseline: pass@256 minus the base's, averaged over the common range, and at each declared gain.

    of: the arm whose WiSE it is. reached: how many of its runs reach the whole range. None where there is no range.
    """

    name: str
    of: str | None
    trained: bool
    runs: int
    reached: int | None
    change: Bounded | None
    minus_cooled: Bounded | None
    minus_wise: Bounded | None
    targets: tuple[AtGain, ...]

    @property
    def label(self) -> str:
        return f"WiSE of {label(self.of)}" if self.of else label(self.name)


@dataclass(frozen=True)
class Matched:
    """The difference in pass@256 at equal pass@1: its mean over gains that every run of both arms reaches."""

    span: GainRange
    difference: Estimate


@dataclass(frozen=True)
class Pair:
    """pass@256 of `arm` minus that of `against`, paired by base at equal pass@1; None where it is not defined.

    own: over the pair's own range. common: over the range of all arms. targets: at each declared gain.
    bases: how many both were trained from.
    """

    arm: str
    against: str
    bases: int
    own: Matched | None
    common: Bounded | None
    targets: tuple[Bounded | None, ...]

    @property
    def label(self) -> str:
        return f"{label(self.arm)} against {label(self.against)}"


@dataclass(frozen=True)
class Graded:
    """Common answers (right, a lower reward) and optimal ones (reward 1) of an arm, means over prompts and bases.

    common: mass at the start and the end. optimal, boundary (pass@256 of optimal answers alone): start, lowest, end.
    overtaken: the share of prompts whose optimal mass is above the common one at the end; extinct: below EXTINCT.
    """

    arm: str
    common: tuple[float, float]
    optimal: tuple[float, float, float]
    optimal_change: Estimate
    lowest_step: int
    boundary: tuple[float, float, float]
    boundary_change: Estimate
    overtaken: float
    extinct: float


@dataclass(frozen=True)
class GradedPair:
    """A stated pair: ours minus theirs in the mass of optimal answers at the end."""

    arm: str
    against: str
    optimal: Estimate
