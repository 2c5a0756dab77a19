"""Cover@tau: how much of a set is solved how often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.passk import Floats


def cover_at(counts: GroupCounts, taus: Sequence[float]) -> Floats:
    """Cover@tau: the share of problems whose success rate c / n, averaged over runs, is at least tau.

    Beside pass@k it tells mastery from luck: on multiple choice guessing alone drives pass@k to 1, but not Cover@tau
    above the guessing rate. With replacement, pass@k = int_0^1 Cover@tau k (1 - tau)^(k-1) d tau.
    Returns (len(taus),); NaN if a problem has no samples. Raises InputError for a tau outside [0, 1].
    Source: arXiv 2510.08325.
    """
    taus_T = np.asarray(taus, dtype=np.float64)
    if taus_T.ndim != 1 or not ((taus_T >= 0.0) & (taus_T <= 1.0)).all():
        raise InputError(f"taus must be a list of shares from 0 to 1; got {np.atleast_1d(taus_T).tolist()}")
    n_UP, c_UP = counts.grid
    if (n_UP == 0).any():
        return np.full(len(taus_T), np.nan)
    rate_P = counts.run_share @ (c_UP / n_UP)
    return (rate_P[:, None] >= taus_T - 1e-12).mean(axis=0)
