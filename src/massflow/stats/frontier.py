"""Objectives at matched pass@1: equal steps flatter a slow objective, equal pass@1 does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from massflow.errors import InputError
from massflow.stats.bootstrap import Floats, percentile_interval
from massflow.stats.passk import pass_at_k_exact


@dataclass(frozen=True)
class MatchedPass:
    """pass@k where training had raised pass@1 by `gain`: estimate, and one value per bootstrap resample (or NaN)."""

    estimate: float
    draws_R: Floats
    runs_reaching: int
    runs: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The percentile interval over problems, of the resamples in which every run gets there."""
        if np.isnan(self.draws_R).all():
            return np.nan, np.nan
        ends = percentile_interval(np.asarray(self.estimate), self.draws_R, confidence)
        return float(ends.low), float(ends.high)

    @property
    def reached_share(self) -> float:
        """The share of resamples in which every run gets there."""
        return float(np.mean(~np.isnan(self.draws_R)))


def pass_at_matched_gain(success_RSP: Sequence[Floats], k: int, gain: float, weights_RP: Floats) -> MatchedPass:
    """pass@k at the moment in training when pass@1 had first risen by `gain` over its start, averaged over runs.

    Between evaluations both are taken as linear in steps. Each bootstrap resample of problems finds that moment
    anew, so the interval holds the uncertainty of the match too. Paired if the same weights are used throughout.

    success_RSP: one (S, P) array a run: the exact probability of a right answer at each evaluation, problem by
    problem, row 0 before training. NaN where a run never gets there; a mean over runs needs all of them.
    """
    if not success_RSP:
        raise InputError("at least one run is needed to match runs")
    uniform_1P = np.full((1, success_RSP[0].shape[1]), 1.0 / success_RSP[0].shape[1])
    estimates, draws = [], []
    for success_SP in success_RSP:
        pass_SP = pass_at_k_exact(success_SP, [k])[..., 0]
        estimates.append(_at_gain(uniform_1P @ success_SP.T, uniform_1P @ pass_SP.T, gain)[0])
        draws.append(_at_gain(weights_RP @ success_SP.T, weights_RP @ pass_SP.T, gain))
    reaching = int(np.sum(~np.isnan(estimates)))
    return MatchedPass(float(np.mean(estimates)), np.mean(draws, axis=0), reaching, len(success_RSP))


def _at_gain(first_RS: Floats, kth_RS: Floats, gain: float) -> Floats:
    """The value of `kth` where `first` first reaches its start + gain, by linear interpolation; NaN if never."""
    target_R1 = first_RS[:, :1] + gain
    above_RS = first_RS >= target_R1
    above_RS[:, 0] = False
    after_R = np.argmax(above_RS, axis=1)
    rows = np.arange(len(first_RS))
    before_R = np.maximum(after_R - 1, 0)
    low_R, high_R = first_RS[rows, before_R], first_RS[rows, after_R]
    part_R = np.divide(target_R1[:, 0] - low_R, high_R - low_R, out=np.zeros(len(rows)), where=high_R > low_R)
    value_R = kth_RS[rows, before_R] + part_R * (kth_RS[rows, after_R] - kth_RS[rows, before_R])
    return np.where(above_RS.any(axis=1), value_R, np.nan)
