"""Arms, their stated pairs and the baselines at equal pass@1: over ranges of gains, and at the declared ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from rlvrscope.arrays import Floats
from rlvrscope.experiment.baselines import COOLED, HEATED, baselines, wise_of
from rlvrscope.experiment.outcomes import AtGain, Bounded, Entry, Estimate, GainRange, Matched, Pair
from rlvrscope.experiment.results import Experiment
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.stats import AtTarget, Bounds, TrainingRun, at_target, common_reach, mean_change, mean_difference


class AtEqualGain:
    """Every comparison at equal pass@1, over gains of each run over its own base, from the smallest declared one on."""

    def __init__(self, experiment: Experiment, gains: tuple[float, ...], weights_RP: Floats) -> None:
        self.experiment, self.gains, self.weights_RP = experiment, gains, weights_RP
        self.arms = {
            arm: [TrainingRun(str(run.base), run.success_SP(), run.cpu_seconds_S) for run in experiment.of(arm)]
            for arm in experiment.arms
        }

    @cached_property
    def paths(self) -> dict[str, list[TrainingRun]]:
        """The runs of each arm, then the baselines'. Heating that helps no base is left out."""
        found = {**self.arms, **baselines(self.experiment)}
        if HEATED in found and not any(run.reaches(self.gains[0]) for run in found[HEATED]):
            del found[HEATED]
        return found

    @cached_property
    def common(self) -> GainRange | None:
        """Gains that all runs reach, of those arms of which all runs reach the smallest declared one."""
        upto = common_reach(list(self.arms.values()), self.gains[0])
        return None if upto is None else GainRange(self.gains[0], upto)

    @property
    def heating_is_left_out(self) -> bool:
        return HEATED in baselines(self.experiment) and HEATED not in self.paths

    @cached_property
    def entries(self) -> list[Entry]:
        """One an arm, then one a baseline."""
        return [self._entry(name) for name in self.paths]

    @cached_property
    def pairs(self) -> list[Pair]:
        """As stated in the recipe; else every arm with the first of which there is a run."""
        first, *others = self.arms
        stated = list(self.experiment.compare.pairs) or [(arm, first) for arm in others]
        return [self._pair(arm, against) for arm, against in stated if {arm, against} <= self.arms.keys()]

    @cached_property
    def _over_common(self) -> dict[str, Bounds]:
        """The change from the base, averaged over the common range; nothing where there is no such range."""
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
            of=next((arm for arm in self.arms if wise_of(arm) == name), None),
            trained=name in self.arms,
            runs=len(self.paths[name]) + self._failed(name),
            reached=None if over is None else over.reached,
            change=None if over is None else Bounded.of(over.low, over.high, within=(-1.0, 1.0)),
            minus_cooled=self._minus(self._over_common, name, COOLED),
            minus_wise=self._minus(self._over_common, name, wise_of(name)),
            targets=tuple(self._target(name, gain) for gain in self.gains),
        )

    def _target(self, name: str, gain: float) -> AtGain:
        there = self._at_gain[gain]
        found = there[name]
        return AtGain(
            gain,
            found.reached,
            found.runs,
            Bounded.of(found.low, found.high, within=(0.0, 1.0)),
            minus_cooled=self._minus(there, name, COOLED),
            minus_wise=self._minus(there, name, wise_of(name)),
            seconds=found.seconds,
        )

    def _pair(self, arm: str, against: str) -> Pair:
        own, bases = None, len(self._shared(arm, against))
        if bases:
            sides = self.arms[arm], self.arms[against]
            found = mean_difference(*sides, BOUNDARY_K, self.weights_RP, self.gains[0])
            own = found and Matched(GainRange(found.since, found.upto), Estimate.of(found.means.interval()))
        targets = (self._minus(self._at_gain[gain], arm, against) for gain in self.gains)
        return Pair(arm, against, bases, own, self._minus(self._over_common, arm, against), tuple(targets))

    def _minus(self, found: Mapping[str, Bounds], name: str, other: str) -> Bounded | None:
        """The paired difference; None with itself, where one is missing, or no base is common: runs may have failed."""
        if name == other or not {name, other} <= found.keys() or not self._shared(name, other):
            return None
        return Bounded.of(*found[name].minus(found[other]), within=(-1.0, 1.0))

    def _shared(self, name: str, other: str) -> set[str]:
        """The bases that both have."""
        return {run.base for run in self.paths[name]} & {run.base for run in self.paths[other]}
