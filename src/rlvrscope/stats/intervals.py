"""Confidence intervals and simultaneous bands: bootstrap percentiles, sup-t, Wilson scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval: numbers, or arrays of one shape."""

    estimate: Floats
    low: Floats
    high: Floats


def resample_weights(problems: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Bootstrap weights (R, P): row r holds each problem's share in one resample of P problems with replacement.

    Use the same weights for everything that is compared: this is what makes a comparison paired.
    Raises InputError for fewer than 2 problems or resamples.
    """
    if problems < 2 or resamples < 2:
        raise InputError(f"a bootstrap needs at least 2 problems and 2 resamples; got {problems} and {resamples}")
    return rng.multinomial(problems, np.full(problems, 1.0 / problems), size=resamples) / problems


def percentile_interval(estimate: Floats, draws_R: Floats, confidence: float = 0.95) -> Interval:
    """Percentile interval of bootstrap draws along their first axis; NaN draws are left out.

    Raises InputError for a confidence outside (0, 1).
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
    """
    check_confidence(confidence)
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(draws_R, [tail, 1.0 - tail], axis=0)
    return Interval(np.asarray(estimate), low, high)


def bootstrap_mean(values_P: Floats, weights_RP: Floats, confidence: float = 0.95) -> Interval:
    """Mean over problems with a percentile interval for new problems of the same kind.

    values_P: (P, ...), one value or row per problem; for a paired comparison, the differences.
    Raises InputError for values that are not finite, or weights for another number of problems.
    """
    values_P = np.asarray(values_P, dtype=np.float64)
    if values_P.shape[:1] != weights_RP.shape[1:]:
        raise InputError(f"the weights are for {weights_RP.shape[1]} problems; got values of {values_P.shape[:1]}")
    if not np.isfinite(values_P).all():
        raise InputError("values must be finite: leave out problems whose value is undefined, and report how many")
    return percentile_interval(values_P.mean(axis=0), np.tensordot(weights_RP, values_P, axes=1), confidence)


ROUNDING = 1e-12
"""Smaller standard deviations of shares are rounding errors."""
JITTER = 1e-10
"""Added to the diagonal of a correlation matrix, which may be singular."""


MIN_RESAMPLES_BEYOND = 5.0
"""Fewest resamples beyond a quantile for it to be estimated."""


def check_confidence(confidence: float) -> None:
    """Raises InputError for a confidence outside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must be between 0 and 1; got {confidence}")


def check_resamples(resamples: int, alpha: float) -> None:
    """Raises InputError for too few resamples to estimate the quantile 1 - alpha."""
    if not resamples * alpha >= MIN_RESAMPLES_BEYOND:
        raise InputError(
            f"resamples must be at least {MIN_RESAMPLES_BEYOND / alpha:.0f} at this confidence and number of models; "
            f"got {resamples}"
        )


def maxima(covariance_CC: Floats, normal_RC: Floats) -> Floats:
    """(R,) largest absolute value over the columns that vary, in draws of a normal vector with their correlation.

    normal_RC: independent standard normal numbers. Source: the plug-in sup-t band, Montiel Olea and Plagborg-Moller,
    Journal of Applied Econometrics 34 (2019).
    """
    sd_C = np.sqrt(np.diag(covariance_CC))
    varies = np.isfinite(sd_C) & (sd_C > ROUNDING)
    if not varies.any():
        return np.zeros(len(normal_RC))
    correlation_VV = covariance_CC[np.ix_(varies, varies)] / np.outer(sd_C[varies], sd_C[varies])
    root_VV = np.linalg.cholesky(correlation_VV + JITTER * np.eye(len(correlation_VV)))
    return np.abs(normal_RC[:, : len(root_VV)] @ root_VV.T).max(axis=1)


def critical_z(maxima_R: Floats | None, alpha: float) -> float:
    """Normal quantile at which a band holds: the 1 - alpha quantile of the maxima; without maxima the pointwise one."""
    pointwise = float(-ndtri(alpha / 2.0))
    if maxima_R is None:
        return pointwise
    return max(pointwise, float(np.quantile(maxima_R, 1.0 - alpha, method="higher")))


def p_values(z_C: Floats, maxima_R: Floats | None) -> Floats:
    """(C,) smallest alpha at which the band at `critical_z` excludes 0; NaN where z is NaN."""
    pointwise_C = 2.0 * ndtr(-z_C)
    if maxima_R is None:
        return pointwise_C
    ordered_R = np.sort(maxima_R)
    above_C = len(ordered_R) - np.searchsorted(ordered_R, z_C, side="left")
    joint_C = (1.0 + above_C) / (1.0 + len(ordered_R))
    return np.where(np.isnan(z_C), np.nan, np.maximum(joint_C, pointwise_C))


def score_interval(
    estimate_C: Floats, se_C: Floats, critical_C: Floats, count: float | Floats
) -> tuple[Floats, Floats]:
    """Wilson score interval (low_C, high_C) for means of values in [0, 1], with an effective number of problems N.

        centre = (m + z^2 / 2N) / (1 + z^2 / N),  N = m (1 - m) / se^2

    N is larger than `count` where values spread less than zeros and ones would, and equal to it where all are equal.
    The interval stays inside [0, 1] and keeps a positive width at 0 and 1.
    Source: Wilson (1927); effective number: Korn and Graubard, Survey Methodology 24 (1998).
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
