"""Saturation test: has the token entropy stopped falling?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WINDOW = 40
"""Steps of the window over which the slope of the token entropy is fitted."""
STANDARD_ERRORS = 5.0
"""A slope counts as falling if it is more than this many standard errors below zero."""
SHARE = 0.2
"""Share of the steepest slope below which the entropy counts as flat."""
PATIENCE = 5
"""Steps in a row that must be flat."""


def saturated_at(entropies: Sequence[float]) -> int | None:
    """Return the first step (from 1) at which the fall of the token entropy has ended; None if there is no such step.

    Let b_t be the least-squares slope over the last WINDOW steps. The fall has ended once b_t has been above SHARE
    times the steepest falling slope before it for PATIENCE steps in a row. Only slopes below -STANDARD_ERRORS standard
    errors count as falling. The result depends on past steps only.

    entropies: mean token entropy of each step, nats.
    """
    if len(entropies) < WINDOW:
        return None
    time_W = np.arange(WINDOW) - (WINDOW - 1) / 2.0
    value_TW = np.lib.stride_tricks.sliding_window_view(np.asarray(entropies, dtype=np.float64), WINDOW)
    slope_T = value_TW @ time_W / (time_W @ time_W)
    rest_TW = value_TW - value_TW.mean(axis=1, keepdims=True) - slope_T[:, None] * time_W
    error_T = np.sqrt((rest_TW**2).sum(axis=1) / (WINDOW - 2) / (time_W @ time_W))
    steepest_T = np.minimum.accumulate(np.where(slope_T < -STANDARD_ERRORS * error_T, slope_T, 0.0))
    flat_T = (steepest_T < 0.0) & (slope_T > SHARE * steepest_T)
    in_a_row_T = np.convolve(flat_T, np.ones(PATIENCE))[: len(flat_T)] == PATIENCE
    return int(np.argmax(in_a_row_T)) + WINDOW if in_a_row_T.any() else None
