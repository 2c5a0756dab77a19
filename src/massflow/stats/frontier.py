"""Objectives at matched pass@1: equal steps flatter a slow objective, equal pass@1 does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from massflow.errors import InputError
from massflow.stats.bootstrap import Floats, Interval, percentile_interval
from massflow.stats.passk import pass_at_k_exact

LEAST_REACHED = 0.95
"""Where fewer resamples reach the gain, what the others say is not reported."""


@dataclass(frozen=True)
class MatchedPass:
    """pass@k where pass@1 had risen by a given gain: the estimate, and one value a bootstrap resample; NaN: never."""

    estimate: float
    draws_R: Floats

    @property
    def reached_share(self) -> float:
        """The share of resamples in which every run gets there."""
        return float(np.mean(~np.isnan(self.draws_R)))

    def minus(self, other: MatchedPass) -> MatchedPass:
        """The paired difference; both must come from the same weights."""
        return MatchedPass(self.estimate - other.estimate, self.draws_R - other.draws_R)

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """The percentile interval; None if the estimate, or more than 5 % of the resamples, never get there."""
        if np.isnan(self.estimate) or self.reached_share < LEAST_REACHED:
            return None
        return percentile_interval(np.asarray(self.estimate), self.draws_R, confidence)


def pass_at_matched_gain(success_SP_by_run: Sequence[Floats], k: int, gain: float, weights_RP: Floats) -> MatchedPass:
    """pass@k at the moment in training when pass@1 had risen by `gain` over its start, averaged over runs.

    Each run is matched by itself: pass@1 is made to rise (isotonic regression over evaluations, so that a lucky
    evaluation is not taken for the moment), and between evaluations both are linear. Each bootstrap resample of
    problems (a row of weights_RP, `resample_weights`) finds the moment anew, so its draws hold the uncertainty of the
    match too; the same weights for everything that is compared make the comparison paired.

    success_SP_by_run: one (S, P) array a run: the exact probability of a right answer at each evaluation, problem by
    problem, row 0 before training. NaN where a run never gets there. Raises InputError for no runs, a gain that is
    not above 0, or weights for another number of problems.
    """
    if not success_SP_by_run or not gain > 0.0:
        raise InputError(f"matching needs at least one run and a gain above 0; got {len(success_SP_by_run)}, {gain}")
    estimates, draws = [], []
    for success_SP in success_SP_by_run:
        if success_SP.shape[1] != weights_RP.shape[1]:
            raise InputError(f"the weights are for {weights_RP.shape[1]} problems; a run has {success_SP.shape[1]}")
        kth_SP = pass_at_k_exact(success_SP, [k])[..., 0]
        estimates.append(_at_gain(success_SP.mean(axis=1)[None], kth_SP.mean(axis=1)[None], gain)[0])
        draws.append(_at_gain(weights_RP @ success_SP.T, weights_RP @ kth_SP.T, gain))
    return MatchedPass(float(np.mean(estimates)), np.mean(draws, axis=0))


def rising(values_RS: Floats) -> Floats:
    """Isotonic regression: the nondecreasing curve closest to each row in squares.

        max over a <= s of min over b >= s of mean(values[a..b])

    Source: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions (1972), chapter 1.
    """
    steps = values_RS.shape[1]
    sums_RS = np.concatenate([np.zeros((len(values_RS), 1)), np.cumsum(values_RS, axis=1)], axis=1)
    found_RS = np.full(values_RS.shape, -np.inf)
    for first in range(steps):
        mean_RS = (sums_RS[:, first + 1 :] - sums_RS[:, first : first + 1]) / np.arange(1, steps - first + 1)
        least_RS = np.minimum.accumulate(mean_RS[:, ::-1], axis=1)[:, ::-1]  # min over b >= s, for s from `first` on
        found_RS[:, first:] = np.maximum(found_RS[:, first:], least_RS)
    return found_RS


def _at_gain(first_RS: Floats, kth_RS: Floats, gain: float) -> Floats:
    """The value of `kth` where `first`, made to rise, reaches its start + gain, linear in between; NaN if never."""
    target_R1 = first_RS[:, :1] + gain
    first_RS = np.concatenate([first_RS[:, :1], rising(first_RS[:, 1:])], axis=1)  # the start is given, not fitted
    above_RS = first_RS >= target_R1
    after_R = np.argmax(above_RS, axis=1)
    rows = np.arange(len(first_RS))
    before_R = np.maximum(after_R - 1, 0)
    low_R, high_R = first_RS[rows, before_R], first_RS[rows, after_R]
    part_R = np.divide(target_R1[:, 0] - low_R, high_R - low_R, out=np.zeros(len(rows)), where=high_R > low_R)
    value_R = kth_RS[rows, before_R] + part_R * (kth_RS[rows, after_R] - kth_RS[rows, before_R])
    return np.where(above_RS.any(axis=1), value_R, np.nan)
