"""Saturation: the fall of the token entropy has ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WINDOW = 40
"""Steps over which the slope of the token entropy is fitted."""
STANDARD_ERRORS = 5.0
"""A fall counts from here on: in noise alone none does."""
SHARE = 0.2
PATIENCE = 5


def saturated_at(entropies: Sequence[float]) -> int | None:
    """The first step (from 1) at which the fall of the token entropy has died away; None if it has not, or never fell.

    b_t, the least-squares slope over the last WINDOW steps, has been above SHARE of the steepest fall before it for
    PATIENCE steps in a row; only slopes below -STANDARD_ERRORS of their standard errors are falls. Only the past
    counts, so a run that goes on after a kill switches at the same step.
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
