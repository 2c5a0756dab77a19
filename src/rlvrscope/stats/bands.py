"""Intervals and simultaneous bands from estimates, standard errors and joint draws."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from rlvrscope.errors import InputError
from rlvrscope.stats.passk import Floats

ROUNDING = 1e-12
"""A standard deviation of shares below it is rounding, not spread."""


LEAST_BEYOND = 5.0
"""Resamples that must lie beyond the quantile that is asked of them."""


def check_confidence(confidence: float) -> None:
    """Raises InputError for a confidence outside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1; got {confidence}")


def check_resamples(resamples: int, alpha: float) -> None:
    """Raises InputError for too few resamples to know a quantile of 1 - alpha."""
    if not resamples * alpha >= LEAST_BEYOND:
        raise InputError(
            f"resamples must be at least {LEAST_BEYOND / alpha:.0f} at this confidence and number of models; "
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
