"""Comparison of arms at equal pass@1; at equal steps, a slow arm would look better than it is.

The gain is the rise of pass@1 over a run's own base. Near a gain of 0 any two arms are equal, as both are the base. A
run that does not reach a gain is bounded there, not dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.base_means import BaseMeans, measure
from rlvrscope.stats.intervals import Interval
from rlvrscope.stats.matching import SLACK, TrainingRun, matched, seconds_to
from rlvrscope.stats.passk import pass_at_k_exact

GRID = 101
"""Points at which the range of a mean difference is evaluated."""
Curve = Callable[[TrainingRun, int, Floats, Floats], Floats]
"""(run, k, gain_G, weights_RP) -> (R, G) pass@k at these gains."""


@dataclass(frozen=True, eq=False)
class MeanDifference:
    """Difference of two arms in pass@k at equal pass@1, averaged over gains from `since` to `upto`."""

    since: float
    upto: float
    means: BaseMeans


@dataclass(frozen=True)
class Seconds:
    """Median of times: equal to `least` if `known`, else above it."""

    least: float
    known: bool


@dataclass(frozen=True, eq=False)
class Bounds:
    """Lower and upper bound, equal if all runs reached the gain. reached: of `runs`, which include failed ones."""

    reached: int
    runs: int
    low: BaseMeans
    high: BaseMeans

    def minus(self, other: Bounds) -> tuple[BaseMeans, BaseMeans]:
        """Bounds of the paired difference."""
        return self.low.minus(other.high), self.high.minus(other.low)


@dataclass(frozen=True, eq=False)
class AtTarget(Bounds):
    """pass@k when pass@1 has risen by `gain`, and the median CPU seconds until then (`median_seconds`)."""

    gain: float
    seconds: Seconds | None


def mean_difference(
    arm: Sequence[TrainingRun], other: Sequence[TrainingRun], k: int, weights_RP: Floats, since: float = 0.0
) -> MeanDifference | None:
    """Mean paired difference in pass@k, arm minus other, over the gains from `since` that all runs reach.

        D = mean over bases of (1/(G - since)) integral from since to G of (arm(g) - other(g)) dg
        G = smallest reach of all runs

    arm(g): pass@k at gain g, averaged over the base's seeds. The range is the same in every resample; a run that falls
    short of it there keeps its last value. None if some run never gains, or never by `since`. Runs on bases that only
    one arm has are left out. Raises InputError if no base is common.
    """
    shared = {run.base for run in arm} & {run.base for run in other}
    if not shared:
        raise InputError("a paired difference needs a base that both arms were trained from")
    sides = [[run for run in side if run.base in shared] for side in (arm, other)]
    upto = common_reach([[*sides[0], *sides[1]]], since)
    if upto is None:
        return None
    gain_G = np.linspace(since, upto, GRID)
    means, other_means = (
        measure(
            [run.base for run in side],
            [partial(_mean_of, matched, run, k=k, gain_G=gain_G) for run in side],
            weights_RP,
        )
        for side in sides
    )
    return MeanDifference(since, upto, means.minus(other_means))


def common_reach(arms: Sequence[Sequence[TrainingRun]], since: float) -> float | None:
    """Largest gain that all runs reach, over the arms whose runs all reach `since`; None if it is 0 or no arm does."""
    reaches = [min(run.reach for run in runs) for runs in arms if all(run.reaches(since) for run in runs)]
    upto = max(since, min(reaches)) if reaches else 0.0
    return upto if upto > SLACK else None


def mean_change(
    runs: Sequence[TrainingRun], k: int, since: float, upto: float, weights_RP: Floats, failed: int = 0
) -> Bounds:
    """Change of an arm's pass@k from the base, averaged over gains from `since` to `upto`.

    A run that does not reach all of the range is bounded as in `at_target`. failed: as there. Raises InputError for no
    runs or an empty range.
    """
    if not runs or not 0.0 <= since <= upto or upto <= 0.0:
        raise InputError(
            f"a mean over gains needs at least one run and 0 <= since <= upto, not both 0; got {len(runs)} runs, "
            f"{since} and {upto}"
        )
    of = partial(_mean_change, k=k, gain_G=np.linspace(since, upto, GRID))
    return Bounds(_reached(runs, upto), len(runs) + failed, *_low_and_high(runs, upto, of, weights_RP))


def at_target(runs: Sequence[TrainingRun], k: int, gain: float, weights_RP: Floats, failed: int = 0) -> AtTarget:
    """pass@k of an arm when each run has raised pass@1 by `gain`: mean over bases of the mean over seeds.

    A run that never reaches the gain is bounded, not dropped: above by its pass@k at the highest pass@1 it reached,
    which assumes that pass@k would not rise from there to the target; below by the target itself, as pass@k is never
    below pass@1. failed: number of runs without results. Raises InputError for no runs or a gain <= 0.
    """
    if not runs or not gain > 0.0:
        raise InputError(f"matching needs at least one run and a gain above 0; got {len(runs)}, {gain}")
    low, high = _low_and_high(runs, gain, partial(_value_at, k=k, gain=gain), weights_RP)
    return AtTarget(_reached(runs, gain), len(runs) + failed, low, high, gain, median_seconds(runs, gain, failed))


def median_seconds(runs: Sequence[TrainingRun], gain: float, failed: int = 0) -> Seconds | None:
    """Median CPU seconds until the gain; None if no run reaches it, or some run has no times.

    Runs that never reach it, and failed ones, take infinitely long. If the median is infinite, the result is a lower
    bound: the median with the whole training time of runs that never reached the gain, failed runs last.
    """
    if any(run.seconds_S is None for run in runs):
        return None
    reached = [seconds_to(run, gain) for run in runs if run.reaches(gain)]
    if not reached:
        return None
    never = [float(run.seconds_S[-1]) for run in runs if not run.reaches(gain) and run.seconds_S is not None]
    median = float(np.median([*reached, *[np.inf] * (len(never) + failed)]))
    if np.isfinite(median):
        return Seconds(median, known=True)
    so_far = sorted([*reached, *never])
    return Seconds(so_far[min((len(so_far) + failed - 1) // 2, len(so_far) - 1)], known=False)


def bounds_interval(low: BaseMeans, high: BaseMeans, confidence: float = 0.95) -> Interval:
    """From the lower end of the lower bound to the upper end of the upper bound; NaN estimate if the bounds differ."""
    lower, upper = low.interval(confidence), high.interval(confidence)
    same = np.isclose(lower.estimate, upper.estimate, rtol=0.0, atol=SLACK)
    return Interval(np.where(same, lower.estimate, np.nan), lower.low, upper.high)


def envelope(first_N: Floats, kth_N: Floats, at_X: Floats) -> Floats:
    """(X,) best pass@k of the points whose pass@1 is at least x; NaN if there are none.

    Points: a run's checkpoints, each decoded at several temperatures. pass@k that some temperature recovers was only
    sharpened away; what no temperature recovers is lost support.
    """
    best_X = np.where(first_N >= at_X[:, None] - SLACK, kth_N, -np.inf).max(axis=1)
    return np.where(np.isfinite(best_X), best_X, np.nan)


def _reached(runs: Sequence[TrainingRun], gain: float) -> int:
    return sum(run.reaches(gain) for run in runs)


def _low_and_high(
    runs: Sequence[TrainingRun], gain: float, of: Callable[..., Floats], weights_RP: Floats
) -> tuple[BaseMeans, BaseMeans]:
    """Apply `of` to each run with the lower and the upper curve; both are one if all runs reach the gain."""
    bases = [run.base for run in runs]
    high = measure(bases, [partial(of, _upper, run) for run in runs], weights_RP)
    if _reached(runs, gain) == len(runs):
        return high, high
    return measure(bases, [partial(of, _lower, run) for run in runs], weights_RP), high


def _mean_of(curve: Curve, run: TrainingRun, weights_RP: Floats, k: int, gain_G: Floats) -> Floats:
    """(R,) mean of a pass@k curve over evenly spaced gains."""
    kth_RG = curve(run, k, gain_G, weights_RP)
    return (kth_RG[:, 1:] + kth_RG[:, :-1]).mean(axis=1) / 2.0


def _mean_change(curve: Curve, run: TrainingRun, weights_RP: Floats, k: int, gain_G: Floats) -> Floats:
    """(R,) `_mean_of`, minus pass@k of the base."""
    start_P = pass_at_k_exact(run.success_SP[0], [k])[..., 0]
    return _mean_of(curve, run, weights_RP, k, gain_G) - weights_RP @ start_P


def _value_at(curve: Curve, run: TrainingRun, weights_RP: Floats, k: int, gain: float) -> Floats:
    return curve(run, k, np.array([gain]), weights_RP)[:, 0]


def _upper(run: TrainingRun, k: int, gain_G: Floats, weights_RP: Floats) -> Floats:
    """(R, G) upper curve: pass@k at the gains, or at the highest pass@1 of a run that never reaches them."""
    return np.maximum(matched(run, k, gain_G, weights_RP), _target(run, gain_G, weights_RP))


def _lower(run: TrainingRun, k: int, gain_G: Floats, weights_RP: Floats) -> Floats:
    """(R, G) lower curve: the same, but the target pass@1 itself at gains that the run never reaches."""
    reached_G = gain_G <= run.reach + SLACK
    return np.where(reached_G, _upper(run, k, gain_G, weights_RP), _target(run, gain_G, weights_RP))


def _target(run: TrainingRun, gain_G: Floats, weights_RP: Floats) -> Floats:
    return np.minimum((weights_RP @ run.success_SP[0])[:, None] + gain_G, 1.0)
