"""Crossover of two pass@k curves: where a gain at small k turns into a loss at large k."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.stats.intervals import JITTER, ROUNDING
from rlvrscope.stats.spread import Spread

MAX_KS = 1024
"""Grid of the crossover: every k up to here; beyond, as many ks evenly spaced in log k."""


@dataclass(frozen=True)
class Crossover:
    """Smallest k above the last certified gain at which the base's pass@k is at least the trained model's.

    certified: (last k called expanded, first later k called shrunk), read off the band: the curves cross in between, at
    the band's confidence. None without such ks; then there is no k and there are no draws. k: in the data. draws_R: in
    draws of the difference; inf: beyond `up_to`.
    """

    k: int | None
    up_to: int
    draws_R: Floats
    certified: tuple[int, int] | None

    @property
    def never(self) -> float:
        """Share of draws in which the curves do not cross up to `up_to`; NaN without draws."""
        return float(np.isinf(self.draws_R).mean()) if len(self.draws_R) else np.nan

    def quantile(self, share: float) -> int | None:
        """Quantile of the draws; None: beyond `up_to`, or without draws."""
        if not len(self.draws_R):
            return None
        k = float(np.quantile(self.draws_R, share, method="inverted_cdf"))
        return None if np.isinf(k) else int(k)

    def interval(self, confidence: float) -> tuple[int | None, int | None]:
        """Central `confidence` interval of the draws; None: beyond `up_to`."""
        tail = (1.0 - confidence) / 2.0
        return self.quantile(tail), self.quantile(1.0 - tail)


def crossover_ks(max_k: int) -> Ints:
    """Grid of ks on which a crossover up to `max_k` is searched."""
    if max_k <= MAX_KS:
        return np.arange(1, max_k + 1)
    return np.unique(np.geomspace(1, max_k, MAX_KS).round().astype(np.int64))


def find_crossover(ks_K: Ints, difference_K: Floats, difference_RK: Floats, certified: tuple[int, int]) -> Crossover:
    """Crossover from trained - base at rising ks, and its draws; the first undefined (NaN) k ends the search."""
    known_K = ~np.isnan(difference_K)
    below_K = known_K & (difference_K <= ROUNDING)
    below_RK = known_K & (difference_RK <= ROUNDING)
    draws_R = np.where(below_RK.any(axis=1), ks_K[below_RK.argmax(axis=1)], np.inf)
    k = int(ks_K[below_K.argmax()]) if below_K.any() else None
    return Crossover(k, int(ks_K[known_K].max(initial=0)), draws_R, certified)


def draw_differences(spread: Spread, resamples: int, rng: np.random.Generator) -> Floats:
    """(R, C): joint normal draws of the means, with their covariance; columns of unknown variance stay NaN."""
    covariance_CC = np.sum([level.factors_NC.T @ level.factors_NC for level in spread.levels], axis=0)
    draws_RC = np.full((resamples, len(covariance_CC)), np.nan)
    known_C = np.isfinite(np.diag(covariance_CC)) & np.isfinite(spread.estimate_C)
    known_CC = covariance_CC[np.ix_(known_C, known_C)]
    jitter = JITTER * float(np.diag(known_CC).max(initial=0.0)) + ROUNDING**2
    root_CC = np.linalg.cholesky(known_CC + jitter * np.eye(len(known_CC)))
    draws_RC[:, known_C] = spread.estimate_C[known_C] + rng.standard_normal((resamples, len(root_CC))) @ root_CC.T
    return draws_RC
