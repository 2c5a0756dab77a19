"""Objectives at matched pass@1: equal steps flatter a slow objective, equal pass@1 does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from massflow.errors import InputError
from massflow.stats.bootstrap import Floats
from massflow.stats.passk import pass_at_k_exact


@dataclass(frozen=True)
class MatchedPass:
    """pass@k where pass@1 had risen by a given gain: the estimate, and one value a bootstrap resample; NaN: never."""

    estimate: float
    draws_R: Floats
    runs_reaching: int
    """Runs that get there each by itself, of `runs`."""
    runs: int

    @property
    def reached_share(self) -> float:
        """The share of resamples that get there."""
        return float(np.mean(~np.isnan(self.draws_R)))


def pass_at_matched_gain(success_SP_by_run: Sequence[Floats], k: int, gain: float, weights_RP: Floats) -> MatchedPass:
    """pass@k at the moment in training when pass@1 had first risen by `gain` over its start.

    Both curves are means over runs, evaluation by evaluation, and linear in between. Each bootstrap resample of
    problems (a row of weights_RP, `resample_weights`) finds the moment anew, so its draws hold the uncertainty of the
    match too; the same weights for everything that is compared make the comparison paired.

    success_SP_by_run: one (S, P) array a run, same shape: the exact probability of a right answer at each evaluation,
    problem by problem, row 0 before training. Raises InputError for no runs or runs of different shapes.
    """
    if len({run.shape for run in map(np.asarray, success_SP_by_run)}) != 1:
        raise InputError("matching needs at least one run, and runs with the same evaluations and problems")
    success_NSP = np.array(success_SP_by_run)
    first_SP = success_NSP.mean(axis=0)
    kth_SP = pass_at_k_exact(success_NSP, [k])[..., 0].mean(axis=0)
    (estimate,) = _at_gain(first_SP.mean(axis=1)[None], kth_SP.mean(axis=1)[None], gain)
    draws_R = _at_gain(weights_RP @ first_SP.T, weights_RP @ kth_SP.T, gain)
    each_NS = success_NSP.mean(axis=2)
    reaching = int((each_NS[:, 1:] >= each_NS[:, :1] + gain).any(axis=1).sum())
    return MatchedPass(float(estimate), draws_R, reaching, len(success_NSP))


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
