"""Confidence intervals and simultaneous bands: bootstrap percentiles, sup-t, Wilson scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError


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


ROUNDING = 1e-12
"""A standard deviation of shares below it is rounding, not spread."""


MIN_RESAMPLES_BEYOND = 5.0
"""Resamples that must lie beyond the quantile that is asked of them."""


def check_confidence(confidence: float) -> None:
    """Raises InputError for a confidence outside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1; got {confidence}")


def check_resamples(resamples: int, alpha: float) -> None:
    """Raises InputError for too few resamples to know a quantile of 1 - alpha."""
    if not resamples * alpha >= MIN_RESAMPLES_BEYOND:
        raise InputError(
            f"resamples must be at least {MIN_RESAMPLES_BEYOND / alpha:.0f} at this confidence and number of models; "
            f"got {resamples}"
        )


def maxima(draws_RC: Floats, estimate_C: Floats) -> Floats:
    """(R,) the largest standardised deviation of each draw over all columns that vary: max |draw - estimate| / sd.

    Source: the sup-t band, Montiel Olea and Plagborg-Moller, Journal of Applied Econometrics 34 (2019).
    """
    spread_C = draws_RC.std(axis=0)
    varies = np.isfinite(spread_C) & (spread_C > ROUNDING)
    if not varies.any():
        return np.zeros(len(draws_RC))
    return (np.abs(draws_RC[:, varies] - estimate_C[varies]) / spread_C[varies]).max(axis=1)


def critical_values(maxima_R: Floats | None, df_C: Floats, alpha: float) -> Floats:
    """(C,) how many standard errors a band reaches: the quantile 1 - alpha of the maxima, taken from the normal to
    Student's t scale at each column's degrees of freedom. Without maxima, pointwise: the normal's own quantile.
    """
    pointwise = float(-ndtri(alpha / 2.0))
    z = pointwise if maxima_R is None else max(pointwise, float(np.quantile(maxima_R, 1.0 - alpha, method="higher")))
    return -stdtrit(df_C, ndtr(-z))


def p_values(z_scores_C: Floats, maxima_R: Floats | None, df_C: Floats) -> Floats:
    """(C,) the least alpha at which the band of `critical_values` leaves 0 out; NaN where nothing is known."""
    normal_C = -ndtri(stdtr(df_C, -np.abs(z_scores_C)))
    pointwise_C = 2.0 * ndtr(-normal_C)
    if maxima_R is None:
        return pointwise_C
    ordered_R = np.sort(maxima_R)
    above_C = len(ordered_R) - np.searchsorted(ordered_R, normal_C, side="left")
    joint_C = (1.0 + above_C) / (1.0 + len(ordered_R))
    return np.where(np.isnan(normal_C), np.nan, np.maximum(joint_C, pointwise_C))


def score_interval(estimate_C: Floats, se_C: Floats, critical_C: Floats, count: int) -> tuple[Floats, Floats]:
    """Wilson's interval for a mean of values in [0, 1], with the number of problems that the standard error amounts to.

        centre = (m + z^2 / 2N) / (1 + z^2 / N),  N = m (1 - m) / se^2

    where values spread less than zeros and ones would, N exceeds their number; where all are equal it is `count`.
    Stays inside [0, 1] and does not shrink to nothing at 0 or 1.
    Source: Wilson (1927); the effective number: Korn and Graubard, Survey Methodology 24 (1998).
    """
    binary_C = estimate_C * (1.0 - estimate_C)
    with np.errstate(divide="ignore", invalid="ignore"):
        effective_C = np.where((se_C > ROUNDING) & (binary_C > 0.0), binary_C / se_C**2, count)
        share_C = critical_C**2 / effective_C
        centre_C = (estimate_C + share_C / 2.0) / (1.0 + share_C)
        half_C = np.sqrt(share_C * binary_C + share_C**2 / 4.0) / (1.0 + share_C)
    undefined_C = np.isnan(estimate_C) | np.isnan(se_C)
    low_C, high_C = np.minimum(centre_C - half_C, estimate_C), np.maximum(centre_C + half_C, estimate_C)
    return np.where(undefined_C, np.nan, np.maximum(low_C, 0.0)), np.where(undefined_C, np.nan, np.minimum(high_C, 1.0))
