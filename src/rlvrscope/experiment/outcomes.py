"""The numbers of an experiment's report, each with its interval or its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # rlvrscope.report.table needs Estimate and Bounded alone, and NumPy is slow to import
    from rlvrscope.stats import Curve, Interval
    from rlvrscope.stats.base_means import Covers
    from rlvrscope.stats.frontier import Seconds

EXTINCT = 1e-4
"""Mass of optimal answers below which they count as extinct."""


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval; NaN where undefined. mark: shown after the value, such as of an unreliable one."""

    value: float
    low: float
    high: float
    mark: str = ""

    @classmethod
    def of(cls, interval: Interval | Curve, index: int | None = None, mark: str = "") -> Estimate:
        """From an interval of one number, or from one entry of an interval of several."""
        low, value, high = (
            float(part if index is None else part[index]) for part in (interval.low, interval.estimate, interval.high)
        )
        return cls(value, low, high, mark)

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval excludes zero, else 0."""
        return int(self.low > 0.0) - int(self.high < 0.0)


@dataclass(frozen=True)
class Bounded:
    """A value between `least` and `most`, equal where it is known; low, high: the 95 % interval around both."""

    least: float
    most: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        return abs(self.most - self.least) < 1e-9


@dataclass(frozen=True)
class GainRange:
    """A range of gains in pass@1."""

    since: float
    upto: float

    def __str__(self) -> str:
        return f"{self.since:.3f} to {self.upto:.3f}"


@dataclass(frozen=True)
class Model:
    """Scores of the base or of an arm's final models, averaged over bases and their seeds.

    pass_at_boundary: pass@k at k = BOUNDARY_K. Greedy accuracy and token entropy (nats): on held-out prompts only.
    """

    name: str
    runs: int
    pass_at_1: float
    pass_at_boundary: float
    greedy_accuracy: float | None
    token_entropy: float | None
    distinct_correct: float
    rare_mass: float


@dataclass(frozen=True)
class Outcome:
    """An arm's final model and its changes from the base. covers: scope of the intervals beyond new prompts."""

    model: Model
    pass_at_1: Estimate
    pass_at_boundary: Estimate
    distinct_correct: Estimate
    covers: Covers


@dataclass(frozen=True)
class AtGain:
    """An arm or a baseline at a declared gain in pass@1: how many of its runs reached it, and its boundary there.

    minus_cooled, minus_wise: paired differences from the cooled base and from the arm's own WiSE; None without them.
    seconds: median CPU seconds to the gain; None if no run reached it or no times were recorded.
    """

    gain: float
    reached: int
    runs: int
    pass_at_boundary: Bounded
    minus_cooled: Bounded | None
    minus_wise: Bounded | None
    seconds: Seconds | None


@dataclass(frozen=True)
class Entry:
    """An arm or a baseline: its boundary minus the base's, averaged over the common range, and at each declared gain.

    of: the arm that a WiSE baseline interpolates. reached: runs that reach the whole range; None without a range.
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


@dataclass(frozen=True)
class Matched:
    """Mean difference in the boundary at equal pass@1, over the gains that every run of both arms reaches."""

    span: GainRange
    difference: Estimate


@dataclass(frozen=True)
class Pair:
    """The boundary of `arm` minus that of `against`, paired by base at equal pass@1; None where undefined.

    bases: number of bases in common. own: over the pair's own range. common: over the range of all arms. targets: at
    each declared gain.
    """

    arm: str
    against: str
    bases: int
    own: Matched | None
    common: Bounded | None
    targets: tuple[Bounded | None, ...]


@dataclass(frozen=True)
class Graded:
    """Common answers (right, reward below 1) and optimal ones (reward 1) of an arm, means over prompts and bases.

    common: mass at the start and the end. optimal, boundary (pass@k of optimal answers alone): start, lowest, end.
    overtaken: share of prompts with more optimal than common mass at the end; extinct: with less than EXTINCT.
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
    """A stated pair: the final optimal mass of `arm` minus that of `against`."""

    arm: str
    against: str
    optimal: Estimate
