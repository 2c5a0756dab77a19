"""Saturation test: has the token entropy stopped falling?"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

WINDOW = 40
"""Steps of the window over which the slope of the token entropy is fitted."""
STANDARD_ERRORS = 5.0
"""A slope counts as falling if it is more than this many standard errors below zero."""
SHARE = 0.2
"""Share of the steepest slope below which the entropy counts as flat."""
PATIENCE = 5
"""Steps in a row that must be flat."""
_TIME_W = np.arange(WINDOW) - (WINDOW - 1) / 2.0
_SPREAD = float(_TIME_W @ _TIME_W)


@dataclass
class Saturation:
    """The test row by row. at: the first step (from 1) at which the fall of the token entropy has ended.

    Let b_t be the least-squares slope over the last WINDOW steps. The fall has ended once b_t has been above SHARE
    times the steepest falling slope before it for PATIENCE steps in a row. Only slopes below -STANDARD_ERRORS standard
    errors count as falling.
    """

    at: int | None = None
    _rows: int = 0
    _steepest: float = 0.0
    _flat: int = 0
    _last: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, entropy: float) -> None:
        """Add the mean token entropy of the next step, nats."""
        self._rows += 1
        self._last.append(entropy)
        if self.at is not None or self._rows < WINDOW:
            return
        value_W = np.array(self._last)
        slope = float(value_W @ _TIME_W) / _SPREAD
        rest_W = value_W - value_W.mean() - slope * _TIME_W
        error = float(np.sqrt(rest_W @ rest_W / (WINDOW - 2) / _SPREAD))
        if slope < -STANDARD_ERRORS * error:
            self._steepest = min(self._steepest, slope)
        self._flat = self._flat + 1 if self._steepest < 0.0 and slope > SHARE * self._steepest else 0
        self.at = self._rows if self._flat == PATIENCE else None


def saturated_at(entropies: Sequence[float]) -> int | None:
    """Return the first step (from 1) at which the fall of the token entropy has ended; None if there is no such step.

    entropies: mean token entropy of each step, nats. The result depends on past steps only.
    """
    test = Saturation()
    for entropy in entropies:
        test.add(entropy)
    return test.at
