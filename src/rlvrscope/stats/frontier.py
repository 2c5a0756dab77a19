"""Arms at matched pass@1: equal steps flatter a slow arm, equal pass@1 does not.

The gain is the rise of pass@1 over a run's own base. Near 0 every run is its base and any two arms are alike; a run
that falls short of a gain is bounded there, not dropped.
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
"""Points of the range over which a mean difference is taken."""
Curve = Callable[[TrainingRun, int, Floats, Floats], Floats]
"""(R, G) pass@k of a run, k, at gains, under weights of prompts."""


@dataclass(frozen=True, eq=False)
class MeanDifference:
    """Ours minus theirs in pass@k at equal pass@1, the mean over gains from `since` to `upto`: all reach them."""

    since: float
    upto: float
    means: BaseMeans


@dataclass(frozen=True)
class Seconds:
    """A median of times: `least`, or where it is not `known` something above that."""

    least: float
    known: bool


@dataclass(frozen=True, eq=False)
class Bounds:
    """Something between `low` and `high`, which are one where every run got there; `reached` did, of `runs`.

    runs counts failed ones, too, which reach nothing, and enter no mean.
    """

    reached: int
    runs: int
    low: BaseMeans
    high: BaseMeans

    def minus(self, other: Bounds) -> tuple[BaseMeans, BaseMeans]:
        """Bounds of the paired difference."""
        return self.low.minus(other.high), self.high.minus(other.low)


@dataclass(frozen=True, eq=False)
class AtTarget(Bounds):
    """pass@k where pass@1 had risen by `gain`; the median of the CPU seconds it took (`median_seconds`)."""

    gain: float
    seconds: Seconds | None


def mean_difference(
    ours: Sequence[TrainingRun], theirs: Sequence[TrainingRun], k: int, weights_RP: Floats, since: float = 0.0
) -> MeanDifference | None:
    """The mean paired difference in pass@k over the gains from `since` on that every run of both reaches.

        D = mean over bases of (1/(G - since)) integral from since to G of (ours(g) - theirs(g)) dg
        G = least reach of all runs

    ours(g): pass@k at gain g, mean over the base's seeds. Near a gain of 0 both are the base, and any two arms alike.
    The range is taken as given, and a resample in which a run falls short of it keeps its last value. None where some
    run never gains, or never by `since`. Runs on bases that only one side has are left out; raises InputError if no
    base is common.
    """
    shared = {run.base for run in ours} & {run.base for run in theirs}
    if not shared:
        raise InputError("a paired difference needs a base that both arms were trained from")
    sides = [[run for run in side if run.base in shared] for side in (ours, theirs)]
    upto = common_reach([[*sides[0], *sides[1]]], since)
    if upto is None:
        return None
    gain_G = np.linspace(since, upto, GRID)
    mine, other = (
        measure(
            [run.base for run in side],
            [partial(_mean_of, matched, run, k=k, gain_G=gain_G) for run in side],
            weights_RP,
        )
        for side in sides
    )
    return MeanDifference(since, upto, mine.minus(other))


def common_reach(arms: Sequence[Sequence[TrainingRun]], since: float) -> float | None:
    """The largest gain that every run reaches, of those arms whose every run reaches `since`.

    None if there is no such arm, or no gain above 0.
    """
    least = [min(run.reach for run in runs) for runs in arms if all(run.reaches(since) for run in runs)]
    upto = max(since, min(least)) if least else 0.0
    return upto if upto > SLACK else None


def mean_change(
    runs: Sequence[TrainingRun], k: int, since: float, upto: float, weights_RP: Floats, failed: int = 0
) -> Bounds:
    """pass@k minus the base's, averaged over gains from `since` to `upto`: one number an arm, on a range common to all.

    A run that does not reach all of it is bounded as in `at_target`. Raises InputError for no runs or an empty range.
    """
    if not runs or not 0.0 <= since <= upto or upto <= 0.0:
        raise InputError(
            f"a mean over gains needs at least one run and 0 <= since <= upto, not both 0; got {len(runs)} runs, "
            f"{since} and {upto}"
        )
    of = partial(_mean_change, k=k, gain_G=np.linspace(since, upto, GRID))
    return Bounds(_reached(runs, upto), len(runs) + failed, *_low_and_high(runs, upto, of, weights_RP))


def at_target(runs: Sequence[TrainingRun], k: int, gain: float, weights_RP: Floats, failed: int = 0) -> AtTarget:
    """pass@k of an arm where each run had raised pass@1 by `gain`: mean over bases of the mean over seeds.

    A run that never gets there is bounded, not dropped. Above by its pass@k at the highest pass@1 it reached, which
    assumes that pass@k would not rise on the way from there to the target; below by the target itself, for pass@k is
    never below pass@1. failed: runs of which nothing but this is known. Raises InputError for no runs or a gain that
    is not above 0.
    """
    if not runs or not gain > 0.0:
        raise InputError(f"matching needs at least one run and a gain above 0; got {len(runs)}, {gain}")
    low, high = _low_and_high(runs, gain, partial(_value_at, k=k, gain=gain), weights_RP)
    return AtTarget(_reached(runs, gain), len(runs) + failed, low, high, gain, median_seconds(runs, gain, failed))


def median_seconds(runs: Sequence[TrainingRun], gain: float, failed: int = 0) -> Seconds | None:
    """The median of the CPU seconds until the gain; None if no run gets there, or some run's times are not known.

    Runs that never do, and failed ones, take infinitely long. Where the median does, too, it is above that of the times
    known so far: of a run that never got there those of all its training, and failed ones last.
    """
    if any(run.seconds_S is None for run in runs):
        return None
    there = [seconds_to(run, gain) for run in runs if run.reaches(gain)]
    if not there:
        return None
    never = [float(run.seconds_S[-1]) for run in runs if not run.reaches(gain) and run.seconds_S is not None]
    median = float(np.median([*there, *[np.inf] * (len(never) + failed)]))
    if np.isfinite(median):
        return Seconds(median, known=True)
    so_far = sorted([*there, *never])
    return Seconds(so_far[min((len(so_far) + failed - 1) // 2, len(so_far) - 1)], known=False)


def bounds_interval(low: BaseMeans, high: BaseMeans, confidence: float = 0.95) -> Interval:
    """An interval for what lies between two bounds: from the lower end of the one's to the upper end of the other's.

    Its estimate is their common value, NaN where they differ.
    """
    lower, upper = low.interval(confidence), high.interval(confidence)
    same = np.isclose(lower.estimate, upper.estimate, rtol=0.0, atol=SLACK)
    return Interval(np.where(same, lower.estimate, np.nan), lower.low, upper.high)


def envelope(first_N: Floats, kth_N: Floats, at_X: Floats) -> Floats:
    """(X,) the best pass@k of any point whose pass@1 is at least x; NaN where no point's is.

    Points: a run's checkpoints, each decoded at several temperatures. What the choice of a temperature gets back was
    only sharpened; what no temperature gets back is lost support.
    """
    best_X = np.where(first_N >= at_X[:, None] - SLACK, kth_N, -np.inf).max(axis=1)
    return np.where(np.isfinite(best_X), best_X, np.nan)


def _reached(runs: Sequence[TrainingRun], gain: float) -> int:
    return sum(run.reaches(gain) for run in runs)


def _low_and_high(
    runs: Sequence[TrainingRun], gain: float, of: Callable[..., Floats], weights_RP: Floats
) -> tuple[BaseMeans, BaseMeans]:
    """A number `of` a curve and a run, with the lower and the upper curve; one where every run reaches the gain."""
    bases = [run.base for run in runs]
    high = measure(bases, [partial(of, _most, run) for run in runs], weights_RP)
    if _reached(runs, gain) == len(runs):
        return high, high
    return measure(bases, [partial(of, _least, run) for run in runs], weights_RP), high


def _mean_of(curve: Curve, run: TrainingRun, weights_RP: Floats, k: int, gain_G: Floats) -> Floats:
    """(R,) the mean of a curve of pass@k over evenly spaced gains."""
    kth_RG = curve(run, k, gain_G, weights_RP)
    return (kth_RG[:, 1:] + kth_RG[:, :-1]).mean(axis=1) / 2.0


def _mean_change(curve: Curve, run: TrainingRun, weights_RP: Floats, k: int, gain_G: Floats) -> Floats:
    """(R,) the same, minus pass@k of the base."""
    start_P = pass_at_k_exact(run.success_SP[0], [k])[..., 0]
    return _mean_of(curve, run, weights_RP, k, gain_G) - weights_RP @ start_P


def _value_at(curve: Curve, run: TrainingRun, weights_RP: Floats, k: int, gain: float) -> Floats:
    return curve(run, k, np.array([gain]), weights_RP)[:, 0]


def _most(run: TrainingRun, k: int, gain_G: Floats, weights_RP: Floats) -> Floats:
    """(R, G) pass@k at the gains, or at the highest pass@1 of a run that never gets there."""
    return np.maximum(matched(run, k, gain_G, weights_RP), _target(run, gain_G, weights_RP))


def _least(run: TrainingRun, k: int, gain_G: Floats, weights_RP: Floats) -> Floats:
    """(R, G) the same, but where a run never gets there the target itself."""
    reached_G = gain_G <= run.reach + SLACK
    return np.where(reached_G, _most(run, k, gain_G, weights_RP), _target(run, gain_G, weights_RP))


def _target(run: TrainingRun, gain_G: Floats, weights_RP: Floats) -> Floats:
    return np.minimum((weights_RP @ run.success_SP[0])[:, None] + gain_G, 1.0)
