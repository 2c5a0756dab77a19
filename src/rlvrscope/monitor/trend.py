"""Trends of a noisy series, row by row: least-squares slopes over windows of every length at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

MIN_WINDOW = 8
"""Rows of the shortest window."""
GROWTH = 1.5
"""Each window is longer than the one before by this factor, so that t rows have about 2.5 ln t windows."""
THRESHOLD = 5.0
"""Standard errors from which a slope is one. Of series of 1,000 rows that are noise around a constant, 3.5 % have such
a rise for PATIENCE rows in a row, and 4.6 % such a fall (`recipes/stage-detection`, `validate.py noise`)."""
PATIENCE = 3
"""Rows in a row that must agree."""

LOST_CORRELATION = 8.0
"""Added to the residuals' lag-1 autocorrelation, over n: a line fitted to n rows takes about 4 / n away, and twice
that is on the safe side, so that the shortest windows count as fully correlated."""
MAX_CORRELATION = 0.95
"""Highest lag-1 autocorrelation that is reckoned with: errors grow by at most sqrt(39)."""


class Slope(NamedTuple):
    """The slope of the last `window` rows: rise over the window, and the slope over its standard error."""

    window: int
    rise: float
    z: float


@dataclass
class Trend:
    """A series and the slopes of its last rows. Values are taken as equally spaced.

    Sums of the values since the start give every window's slope in constant time; memory grows with the rows.

    wanders: neighbouring values may be correlated around the trend, as those of a state of the model are. The errors of
    slopes grow by sqrt((1 + r) / (1 - r)), where r is the residuals' lag-1 autocorrelation. Else rows count as
    independent.
    """

    wanders: bool = False
    values: list[float] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)
    """Lengths of the windows that fit into the rows so far."""
    _first: float = 0.0
    _jumps: list[float] = field(default_factory=lambda: [0.0])
    """Sums of the squared differences of successive values, up to each value."""
    _sums: list[tuple[float, float, float]] = field(default_factory=lambda: [(0.0, 0.0, 0.0)])
    _highest: list[float] = field(default_factory=list)
    _fall: list[float] = field(default_factory=list)
    _spreads: list[float] = field(default_factory=list)
    """Sum of (place - mean place)^2 of each window."""
    _steep: list[tuple[int, Slope]] | None = None

    def add(self, value: float) -> None:
        """Add a finite value."""
        if self.values:
            self._jumps.append(self._jumps[-1] + (value - self.values[-1]) ** 2)
        else:
            self._first = value
        place, centred = len(self.values), value - self._first
        total, moment, square = self._sums[-1]
        self._sums.append((total + centred, moment + place * centred, square + centred * centred))
        self.values.append(value)
        self._steep = None
        if len(self.values) == (int(self.windows[-1] * GROWTH) + 1 if self.windows else MIN_WINDOW):
            self.windows.append(len(self.values))
            self._highest.append(-math.inf)
            self._fall.append(0.0)
            self._spreads.append(len(self.values) * (len(self.values) ** 2 - 1) / 12)
        sums, total, highest, fall = self._sums, self._sums[-1][0], self._highest, self._fall
        for index, window in enumerate(self.windows):
            mean = self._first + (total - sums[-1 - window][0]) / window
            if mean > highest[index]:
                highest[index] = mean
            elif highest[index] - mean > fall[index]:
                fall[index] = highest[index] - mean

    @property
    def start(self) -> float:
        """Mean of the first rows."""
        count = min(MIN_WINDOW, len(self.values))
        return self._first + self._sums[count][0] / count

    @property
    def noise(self) -> float:
        """Standard deviation of one value around the trend, from successive differences: sqrt(mean(d^2) / 2)."""
        return math.sqrt(self._jumps[-1] / 2.0 / max(len(self.values) - 1, 1))

    def exceeds(self, limit: float, errors: float, prior: float = 0.0) -> bool:
        """Return whether the last rows are above a limit, and the mean of some window by this many standard errors.

        prior: size of one further difference that the noise counts, so that few equal values at the start are no proof.
        """
        noise = math.sqrt(self.noise**2 + prior**2 / 2.0 / len(self.values))
        return self.mean(MIN_WINDOW) > limit and any(
            self.mean(window) - errors * noise / math.sqrt(window) > limit for window in self.windows
        )

    @property
    def highest(self) -> list[float]:
        """The highest mean over each window so far."""
        return self._highest

    def mean(self, window: int) -> float:
        """Mean of the last rows."""
        return self._first + (self._sums[-1][0] - self._sums[-1 - window][0]) / window

    def clearest(self, sign: int, min_rise: float = 0.0, share_of_fall: float = 0.0) -> Slope | None:
        """The clearest slope up (sign 1) or down (-1) among those that change enough; None without any.

        Enough is min_rise, and a share of the largest fall so far of the mean over that window.
        """
        if self._steep is None:
            self._steep = self._steep_slopes()
        clear = [
            slope
            for index, slope in self._steep
            if sign * slope.z > THRESHOLD and sign * slope.rise > max(min_rise, share_of_fall * self._fall[index])
        ]
        return max(clear, key=lambda slope: sign * slope.z) if clear else None

    def _steep_slopes(self) -> list[tuple[int, Slope]]:
        """(index of its window, least-squares slope) of those THRESHOLD standard errors or more from zero.

        z^2 = explained (window - 2) / rest, so that of most windows no slope is computed.
        """
        rows, steep = len(self.values), []
        total_1, moment_1, square_1 = self._sums[-1]
        floor = 1e-12 * (1.0 + abs(self._first))
        for index, window in enumerate(self.windows):
            total_0, moment_0, square_0 = self._sums[-1 - window]
            total, spread = total_1 - total_0, self._spreads[index]
            moment = moment_1 - moment_0 - (rows - (window + 1) / 2) * total
            explained = moment * moment / spread
            rest = square_1 - square_0 - total * total / window - explained
            if explained * (window - 2) >= THRESHOLD * THRESHOLD * rest:
                slope = moment / spread
                error = math.sqrt(max(rest, 0.0) / (window - 2) / spread) + floor
                if self.wanders and rest > 0.0:
                    correlation = self._correlation(window, slope, total / window, rest)
                    error *= math.sqrt((1.0 + correlation) / (1.0 - correlation))
                steep.append((index, Slope(window, slope * (window - 1), slope / error)))
        return steep

    def _correlation(self, window: int, slope: float, mean: float, rest: float) -> float:
        """Lag-1 autocorrelation of the residuals e of a line, at least 0: of neighbours' differences d of the values,

        2 sum e_t e_(t+1) = 2 sum e^2 - e_1^2 - e_n^2 - sum (d - slope)^2.
        """
        first, last = self.values[-window] - self._first, self.values[-1] - self._first
        half = slope * (window - 1) / 2.0
        ends = (first - mean + half) ** 2 + (last - mean - half) ** 2
        jumps = self._jumps[-1] - self._jumps[-window] - slope * (2.0 * (last - first) - slope * (window - 1))
        correlation = 1.0 - (ends + jumps) / (2.0 * rest) + LOST_CORRELATION / window
        return min(max(correlation, 0.0), MAX_CORRELATION)


@dataclass
class Lasting:
    """Whether something has been so for PATIENCE rows in a row, and since which step."""

    count: int = 0
    since: int | None = None

    @property
    def lasts(self) -> bool:
        return self.count >= PATIENCE

    def update(self, step: int, present: bool) -> bool:
        """Note one row; return whether it has lasted."""
        self.count = self.count + 1 if present else 0
        if self.count == PATIENCE:
            self.since = step
        if not present:
            self.since = None
        return self.lasts
