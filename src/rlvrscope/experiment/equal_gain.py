"""Arms, their stated pairs and training-free baselines at equal pass@1: over ranges of gains, and at declared gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.experiment.outcomes import AtGain, Bounded, Entry, Estimate, GainRange, Matched, Pair
from rlvrscope.experiment.results import Experiment
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.runs.finished_run import Run
from rlvrscope.stats import (
    AtTarget,
    BaseMeans,
    Bounds,
    TrainingRun,
    at_target,
    common_reach,
    mean_change,
    mean_difference,
)
from rlvrscope.stats.frontier import bounds_interval

COOLED, HEATED = "base, cooled", "base, heated"


def wise_name(arm: str) -> str:
    return f"WiSE of {arm}"


def baselines(experiment: Experiment) -> dict[str, list[TrainingRun]]:
    """Baselines without extra training, by name: the cooled base, the heated base, and WiSE of each arm.

    Only those that were scored. Like runs, they are paths in the plane of pass@1 and pass@k.
    """
    temperatures = experiment.recipe.evaluate.temperatures
    by_side = {
        COOLED: [temperature for temperature in temperatures if temperature < 1.0],
        HEATED: [temperature for temperature in temperatures if temperature > 1.0],
    }
    paths = {name: _decoded(experiment, side) for name, side in by_side.items() if side}
    for arm in experiment.arms:
        runs = [run for run in experiment.of(arm) if len(run.interpolated_AP())]
        if runs:
            paths[wise_name(arm)] = [_interpolated(run) for run in runs]
    return paths


def _decoded(experiment: Experiment, temperatures: Sequence[float]) -> list[TrainingRun]:
    """One path per base, from temperature 1 through `temperatures`, nearest first."""
    path = (1.0, *sorted(temperatures, key=lambda temperature: abs(temperature - 1.0)))
    return [
        TrainingRun(str(run.base), np.array([run.success_SP(temperature)[0] for temperature in path]))
        for run in experiment.starts
    ]


def _interpolated(run: Run) -> TrainingRun:
    """WiSE: from the base to the final model through the weights between them, in order of alpha."""
    success_SP = run.success_SP()
    return TrainingRun(str(run.base), np.concatenate([success_SP[:1], run.interpolated_AP(), success_SP[-1:]]))


class AtEqualGain:
    """Comparisons at equal gains in pass@1 of each run over its own base, from the smallest declared gain on."""

    def __init__(self, experiment: Experiment, gains: tuple[float, ...], weights_RP: Floats) -> None:
        self.experiment, self.gains, self.weights_RP = experiment, gains, weights_RP
        self.arms = {
            arm: [TrainingRun(str(run.base), run.success_SP(), run.cpu_seconds_S) for run in experiment.of(arm)]
            for arm in experiment.arms
        }

    @cached_property
    def paths(self) -> dict[str, list[TrainingRun]]:
        """Runs of each arm, then of the baselines; without the heated base if heating helps no base."""
        paths = {**self.arms, **baselines(self.experiment)}
        if HEATED in paths and not any(run.reaches(self.gains[0]) for run in paths[HEATED]):
            del paths[HEATED]
        return paths

    @cached_property
    def common(self) -> GainRange | None:
        """Gains that all runs reach, among the arms of which all runs reach the smallest declared gain."""
        upto = common_reach(list(self.arms.values()), self.gains[0])
        return None if upto is None else GainRange(self.gains[0], upto)

    @property
    def heating_is_left_out(self) -> bool:
        return HEATED in baselines(self.experiment) and HEATED not in self.paths

    @cached_property
    def entries(self) -> list[Entry]:
        """One per arm, then one per baseline."""
        return [self._entry(name) for name in self.paths]

    @property
    def ranked(self) -> list[Entry]:
        """Entries by their change over the common range, largest first; those known by bounds only at the end."""
        return sorted(
            self.entries,
            key=lambda entry: (0, -entry.change.most) if entry.change and entry.change.known else (1, 0.0),
        )

    @cached_property
    def pairs(self) -> list[Pair]:
        """The pairs that the recipe states; without any, every arm against the first one with a run."""
        first, *others = self.arms
        stated = list(self.experiment.compare.pairs) or [(arm, first) for arm in others]
        return [self._pair(arm, against) for arm, against in stated if {arm, against} <= self.arms.keys()]

    @cached_property
    def _over_common(self) -> dict[str, Bounds]:
        """Change from the base, averaged over the common range; empty without such a range."""
        if self.common is None:
            return {}
        since, upto = self.common.since, self.common.upto
        return {
            name: mean_change(runs, BOUNDARY_K, since, upto, self.weights_RP, self._failed(name))
            for name, runs in self.paths.items()
        }

    @cached_property
    def _at_gain(self) -> dict[float, dict[str, AtTarget]]:
        return {
            gain: {
                name: at_target(runs, BOUNDARY_K, gain, self.weights_RP, self._failed(name))
                for name, runs in self.paths.items()
            }
            for gain in self.gains
        }

    def _failed(self, name: str) -> int:
        return self.experiment.failures(name) if name in self.arms else 0

    def _entry(self, name: str) -> Entry:
        over = self._over_common.get(name)
        return Entry(
            name,
            of=next((arm for arm in self.arms if wise_name(arm) == name), None),
            trained=name in self.arms,
            runs=len(self.paths[name]) + self._failed(name),
            reached=None if over is None else over.reached,
            change=None if over is None else _bounded(over.low, over.high, within=(-1.0, 1.0)),
            minus_cooled=self._minus(self._over_common, name, COOLED),
            minus_wise=self._minus(self._over_common, name, wise_name(name)),
            targets=tuple(self._target(name, gain) for gain in self.gains),
        )

    def _target(self, name: str, gain: float) -> AtGain:
        by_name = self._at_gain[gain]
        target = by_name[name]
        return AtGain(
            gain,
            target.reached,
            target.runs,
            _bounded(target.low, target.high, within=(0.0, 1.0)),
            minus_cooled=self._minus(by_name, name, COOLED),
            minus_wise=self._minus(by_name, name, wise_name(name)),
            seconds=target.seconds,
        )

    def _pair(self, arm: str, against: str) -> Pair:
        own, num_bases = None, len(self._shared_bases(arm, against))
        if num_bases:
            sides = self.arms[arm], self.arms[against]
            difference = mean_difference(*sides, BOUNDARY_K, self.weights_RP, self.gains[0])
            if difference is not None:
                span = GainRange(difference.since, difference.upto)
                own = Matched(span, Estimate.of(difference.means.interval()))
        targets = (self._minus(self._at_gain[gain], arm, against) for gain in self.gains)
        return Pair(arm, against, num_bases, own, self._minus(self._over_common, arm, against), tuple(targets))

    def _minus(self, by_name: Mapping[str, Bounds], name: str, other: str) -> Bounded | None:
        """The paired difference; None with itself, or if one is missing or no base is shared (runs may have failed)."""
        if name == other or not {name, other} <= by_name.keys() or not self._shared_bases(name, other):
            return None
        return _bounded(*by_name[name].minus(by_name[other]), within=(-1.0, 1.0))

    def _shared_bases(self, name: str, other: str) -> set[str]:
        return {run.base for run in self.paths[name]} & {run.base for run in self.paths[other]}


def _bounded(low: BaseMeans, high: BaseMeans, within: tuple[float, float]) -> Bounded:
    """A value between two means, its interval cut to what is possible."""
    interval = bounds_interval(low, high)
    ends = max(float(interval.low), within[0]), min(float(interval.high), within[1])
    return Bounded(float(low.estimate), float(high.estimate), *ends)
