"""Arms at matched pass@1: equal steps flatter a slow arm, equal pass@1 does not.

A run is a path through (pass@1, pass@k). Here pass@k is read as a function of the *gain*, the rise of pass@1 over the
run's own base, from the path up to the evaluation of highest pass@1: what came later would not be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from massflow.errors import InputError
from massflow.stats.bases import BaseMeans, measure
from massflow.stats.bootstrap import Interval
from massflow.stats.passk import Floats, pass_at_k_exact

GRID = 101
"""Points of the range over which a mean difference is taken."""
_SLACK = 1e-12
"""A gain reached up to rounding is reached."""


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A run's base, its exact P(right) per evaluation and prompt (row 0: before training), CPU seconds until each.

    Raises InputError unless success_SP has at least 2 evaluations, and seconds_S one value for each.
    """

    base: str
    success_SP: Floats
    seconds_S: Floats | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.success_SP)
        if len(shape) != 2 or shape[0] < 2:
            raise InputError(f"a run needs an (evaluations, prompts) array of at least 2 rows; got shape {shape}")
        if self.seconds_S is not None and np.shape(self.seconds_S) != shape[:1]:
            raise InputError(f"a run of {shape[0]} evaluations needs as many times; got {np.shape(self.seconds_S)}")

    @property
    def reach(self) -> float:
        """The largest gain of any evaluation, on the prompts as they are; 0 for a run that never gained."""
        first_S = self.success_SP.mean(axis=1)
        return float(first_S.max() - first_S[0])

    def reaches(self, gain: float) -> bool:
        return self.reach >= gain - _SLACK

    @property
    def kept(self) -> int:
        """The evaluations up to the highest pass@1; one at least after the start."""
        return max(int(np.argmax(self.success_SP.mean(axis=1))), 1) + 1


@dataclass(frozen=True, eq=False)
class MeanDifference:
    """Ours minus theirs in pass@k at equal pass@1, averaged over gains from 0 to `upto`, which every run reaches."""

    upto: float
    means: BaseMeans


@dataclass(frozen=True, eq=False)
class AtTarget:
    """pass@k where pass@1 had risen by `gain`: `low` and `high` bound it, and are one where every run gets there.

    seconds: the median of the CPU seconds it took those that did; None if none did, or no times are known.
    """

    gain: float
    reached: int
    runs: int
    low: BaseMeans
    high: BaseMeans
    seconds: float | None

    @property
    def exact(self) -> bool:
        return self.reached == self.runs

    def minus(self, other: AtTarget) -> tuple[BaseMeans, BaseMeans]:
        """Bounds of the paired difference."""
        return self.low.minus(other.high), self.high.minus(other.low)


def mean_difference(
    ours: Sequence[TrainingRun], theirs: Sequence[TrainingRun], k: int, weights_RP: Floats
) -> MeanDifference | None:
    """The mean paired difference in pass@k over the gains that every run of both reaches, from 0 on.

        D = mean over bases of (1/G) integral from 0 to G of (ours(g) - theirs(g)) dg,   G = least reach of all runs

    ours(g): pass@k at gain g, mean over the base's seeds. From 0, where both are the base, so that no choice of a
    target enters; the range is taken as given, and a resample in which a run falls short of it keeps its last value.
    None where some run never gains. Runs on bases that only one side has are left out; raises InputError if no base
    is common.
    """
    shared = {run.base for run in ours} & {run.base for run in theirs}
    if not shared:
        raise InputError("a paired difference needs a base that both arms were trained from")
    sides = [[run for run in side if run.base in shared] for side in (ours, theirs)]
    upto = min(run.reach for side in sides for run in side)
    if upto <= _SLACK:
        return None
    mine, other = (
        measure([run.base for run in side], [partial(_mean_until, run, k, upto) for run in side], weights_RP)
        for side in sides
    )
    return MeanDifference(upto, mine.minus(other))


def at_target(runs: Sequence[TrainingRun], k: int, gain: float, weights_RP: Floats) -> AtTarget:
    """pass@k of an arm where each run had raised pass@1 by `gain`: mean over bases of the mean over seeds.

    A run that never gets there is bounded, not dropped. Above by its pass@k at the highest pass@1 it reached, which
    assumes that pass@k would not rise on the way from there to the target; below by the target itself, for pass@k is
    never below pass@1. Raises InputError for no runs or a gain that is not above 0.
    """
    if not runs or not gain > 0.0:
        raise InputError(f"matching needs at least one run and a gain above 0; got {len(runs)}, {gain}")
    bases, there = [run.base for run in runs], [run for run in runs if run.reaches(gain)]
    low = high = measure(bases, [partial(_most_at, run, k, gain) for run in runs], weights_RP)
    if len(there) < len(runs):
        low = measure(bases, [partial(_least_at, run, k, gain) for run in runs], weights_RP)
    seconds = [_seconds_to(run, gain) for run in there if run.seconds_S is not None]
    return AtTarget(
        gain, len(there), len(runs), low, high, float(np.median(seconds)) if len(seconds) == len(there) > 0 else None
    )


def bounds_interval(low: BaseMeans, high: BaseMeans, confidence: float = 0.95) -> Interval:
    """An interval for what lies between two bounds: from the lower end of the one's to the upper end of the other's.

    Its estimate is their common value, NaN where they differ.
    """
    lower, upper = low.interval(confidence), high.interval(confidence)
    same = np.isclose(lower.estimate, upper.estimate, rtol=0.0, atol=_SLACK)
    return Interval(np.where(same, lower.estimate, np.nan), lower.low, upper.high)


def envelope(first_N: Floats, kth_N: Floats, at_X: Floats) -> Floats:
    """(X,) the best pass@k of any point whose pass@1 is at least x; NaN where no point's is.

    Points: a run's checkpoints, each decoded at several temperatures. What the choice of a temperature gets back was
    only sharpened; what no temperature gets back is lost support.
    """
    best_X = np.where(first_N >= at_X[:, None] - _SLACK, kth_N, -np.inf).max(axis=1)
    return np.where(np.isfinite(best_X), best_X, np.nan)


def at_gain(run: TrainingRun, k: int, gain: float) -> Floats:
    """(P,) pass@k of each prompt at the moment when pass@1, their mean, had risen by `gain`; NaN if it never did."""
    prompts = run.success_SP.shape[1]
    if not run.reaches(gain):
        return np.full(prompts, np.nan)
    success_SP = run.success_SP[: run.kept]
    kth_PS = pass_at_k_exact(success_SP, [k])[..., 0].T
    gain_PS, pooled_PS = _pooled(np.tile(success_SP.mean(axis=1), (prompts, 1)), kth_PS)
    return np.array([np.interp(gain, gain_S, kth_S) for gain_S, kth_S in zip(gain_PS, pooled_PS, strict=True)])


def matched(run: TrainingRun, k: int, gain_G: Floats, weights_RP: Floats) -> Floats:
    """(R, G) pass@k of a run at these gains, for each row of weights of its prompts.

    pass@1 is made to rise (isotonic regression over evaluations, so that a lucky one is not taken for the moment);
    evaluations that it pools are one point, the mean of theirs; between points both are linear. At a gain beyond the
    last point, the value of the last point. Raises InputError for weights of another number of prompts.
    """
    if run.success_SP.shape[1] != weights_RP.shape[1]:
        raise InputError(f"the weights are for {weights_RP.shape[1]} prompts; a run has {run.success_SP.shape[1]}")
    success_SP = run.success_SP[: run.kept]
    kth_SP = pass_at_k_exact(success_SP, [k])[..., 0]
    gain_RS, kth_RS = _pooled(weights_RP @ success_SP.T, weights_RP @ kth_SP.T)
    return np.array([np.interp(gain_G, gain_S, kth_S) for gain_S, kth_S in zip(gain_RS, kth_RS, strict=True)])


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


def _pooled(first_RS: Floats, kth_RS: Floats) -> tuple[Floats, Floats]:
    """Gains, made to rise after the start, which is given and not fitted; and the mean of `kth` over what is pooled."""
    rows, steps = first_RS.shape
    fitted_RS = rising(first_RS[:, 1:])
    starts_RS = np.concatenate([np.ones((rows, 1), bool), np.diff(fitted_RS, axis=1) > 0.0], axis=1)
    block_N = np.cumsum(starts_RS) - 1  # numbered through: every row starts a block
    means_N = np.bincount(block_N, kth_RS[:, 1:].ravel()) / np.bincount(block_N)
    gain_RS = np.maximum(np.concatenate([first_RS[:, :1], fitted_RS], axis=1) - first_RS[:, :1], 0.0)
    return gain_RS, np.concatenate([kth_RS[:, :1], means_N[block_N].reshape(rows, steps - 1)], axis=1)


def _mean_until(run: TrainingRun, k: int, upto: float, weights_RP: Floats) -> Floats:
    """(R,) the mean of pass@k over gains from 0 to `upto`."""
    kth_RG = matched(run, k, np.linspace(0.0, upto, GRID), weights_RP)
    return (kth_RG[:, 1:] + kth_RG[:, :-1]).mean(axis=1) / 2.0


def _most_at(run: TrainingRun, k: int, gain: float, weights_RP: Floats) -> Floats:
    """(R,) pass@k at the gain, or at the highest pass@1 of a run that never gets there."""
    return np.maximum(matched(run, k, np.array([gain]), weights_RP)[:, 0], _target(run, gain, weights_RP))


def _least_at(run: TrainingRun, k: int, gain: float, weights_RP: Floats) -> Floats:
    """(R,) the same, but for a run that never gets there the target itself."""
    return _most_at(run, k, gain, weights_RP) if run.reaches(gain) else _target(run, gain, weights_RP)


def _target(run: TrainingRun, gain: float, weights_RP: Floats) -> Floats:
    return np.minimum(weights_RP @ run.success_SP[0] + gain, 1.0)


def _seconds_to(run: TrainingRun, gain: float) -> float:
    """CPU seconds until the gain, as linear between evaluations as pass@k is."""
    assert run.seconds_S is not None
    first_1S, seconds_1S = run.success_SP.mean(axis=1)[None, : run.kept], run.seconds_S[None, : run.kept]
    (gain_S,), (seconds_S,) = _pooled(first_1S, seconds_1S)
    return float(np.interp(gain, gain_S, seconds_S))
