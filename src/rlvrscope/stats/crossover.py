"""The crossover: from which k on is the base no worse than the trained model?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlvrscope.stats.passk import Floats, Whole

MAX_KS = 1024
"""k's at which the crossover is looked for: every one up to here, beyond it as many spread over log k."""
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Crossover:
    """The smallest k at which the base's pass@k is at least the trained model's.

    k: in the data; None if there is none up to `up_to`. draws_R: in each bootstrap resample, inf where there is none.
    """

    k: int | None
    up_to: int
    draws_R: Floats

    @property
    def never(self) -> float:
        """The share of resamples in which the curves do not cross up to `up_to`."""
        return float(np.isinf(self.draws_R).mean())

    def quantile(self, share: float) -> int | None:
        """A quantile of the resamples; None: beyond `up_to`."""
        found = float(np.quantile(self.draws_R, share, method="inverted_cdf"))
        return None if np.isinf(found) else int(found)

    def interval(self, confidence: float) -> tuple[int | None, int | None]:
        """The central `confidence` of the resamples; None: beyond `up_to`."""
        tail = (1.0 - confidence) / 2.0
        return self.quantile(tail), self.quantile(1.0 - tail)


def crossover_ks(most: int) -> Whole:
    """The ks at which a crossover up to `most` is looked for."""
    if most <= MAX_KS:
        return np.arange(1, most + 1)
    return np.unique(np.geomspace(1, most, MAX_KS).round().astype(np.int64))


def find_crossover(ks_K: Whole, difference_K: Floats, difference_RK: Floats) -> Crossover:
    """From trained - base at rising ks, and its draws; ks at which a problem is undefined (NaN) end the search."""
    known_K = ~np.isnan(difference_K)
    below_K = known_K & (difference_K <= _ROUNDING)
    below_RK = known_K & (difference_RK <= _ROUNDING)
    draws_R = np.where(below_RK.any(axis=1), ks_K[below_RK.argmax(axis=1)], np.inf)
    k = int(ks_K[below_K.argmax()]) if below_K.any() else None
    return Crossover(k, int(ks_K[known_K].max(initial=0)), draws_R)
