"""The bootstrap over problems: what would another draw of problems have shown?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvrscope.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval; each a number, or arrays of one shape."""

    estimate: Floats
    low: Floats
    high: Floats


def resample_weights(problems: int, resamples: int, rng: np.random.Generator) -> Floats:
    """(R, P) weights, each row the share every problem has in one draw of P problems with replacement.

    Use one set of weights for everything that is compared: that is what pairs the comparison.
    Raises InputError for fewer than 2 problems or resamples.
    """
    if problems < 2 or resamples < 2:
        raise InputError(f"a bootstrap needs at least 2 problems and 2 resamples; got {problems} and {resamples}")
    return rng.multinomial(problems, np.full(problems, 1.0 / problems), size=resamples) / problems


def percentile_interval(estimate: Floats, draws_R: Floats, confidence: float = 0.95) -> Interval:
    """The percentile interval of bootstrap draws along their first axis; NaN draws are left out.

    Raises InputError for a confidence outside (0, 1).
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
    """
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1; got {confidence}")
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(draws_R, [tail, 1.0 - tail], axis=0)
    return Interval(np.asarray(estimate), low, high)


def bootstrap_mean(values_P: Floats, weights_RP: Floats, confidence: float = 0.95) -> Interval:
    """The mean over problems with its interval for new problems of the same kind.

    values_P: (P, ...), one value (or one row of values) a problem; paired differences are given as differences.
    Raises InputError for values that are not finite, or weights for another number of problems.
    """
    values_P = np.asarray(values_P, dtype=np.float64)
    if values_P.shape[:1] != weights_RP.shape[1:]:
        raise InputError(f"the weights are for {weights_RP.shape[1]} problems; got values of {values_P.shape[:1]}")
    if not np.isfinite(values_P).all():
        raise InputError("values must be finite: leave out problems whose value is undefined, and say how many")
    return percentile_interval(values_P.mean(axis=0), np.tensordot(weights_RP, values_P, axes=1), confidence)
