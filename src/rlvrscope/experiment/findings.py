"""Everything that the report of an experiment states in numbers, paired by base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.experiment.equal_gain import AtEqualGain
from rlvrscope.experiment.outcomes import EXTINCT, Estimate, Graded, GradedPair, Model, Outcome
from rlvrscope.experiment.results import Experiment, mean_over_bases
from rlvrscope.experiment.stages import ArmStages, stages
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.runs.finished_run import HELD_OUT, Run
from rlvrscope.seeding import generator
from rlvrscope.stats import BaseMeans, Interval, means_over_prompts, pass_at_k_exact, resample_weights

RESAMPLES = 10_000
FRONTIER_RESAMPLES = 2_000
"""Resamples at equal pass@1, where each one matches every run's curve again."""
PerPrompt = Callable[[Run], Floats]
"""Values of a run: (S, P), or (S, P, K)."""


class Findings:
    """Numbers of an experiment. Intervals resample the prompts, paired; with enough bases or seeds, those too."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.gains = experiment.compare.gains
        self.bases = list(dict.fromkeys(str(run.base) for run in experiment.runs))
        self.num_prompts = _num_prompts(experiment.runs)
        self.weights_RP = resample_weights(self.num_prompts, RESAMPLES, generator(0, "prompt bootstrap"))

    @cached_property
    def equal(self) -> AtEqualGain:
        """Arms, pairs and baselines at equal pass@1."""
        return AtEqualGain(self.experiment, self.gains, self.weights_RP[:FRONTIER_RESAMPLES])

    @cached_property
    def stages(self) -> Sequence[ArmStages]:
        """Stages and alarms of the runs, by arm."""
        return stages(self.experiment.runs)

    @cached_property
    def base(self) -> Model:
        return self._model("base", None)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """One per arm, in the recipe's order."""
        return [self._outcome(arm) for arm in self.experiment.arms]

    @cached_property
    def on_training(self) -> Findings | None:
        """The same on training prompts, if they were scored."""
        experiment = self.experiment.on_training()
        return None if experiment is None else Findings(experiment)

    @cached_property
    def graded(self) -> list[Graded]:
        """Common and optimal answers, one entry per arm; empty where rewards are not graded."""
        return [self._graded(arm) for arm in self.experiment.arms] if self.experiment.graded else []

    @cached_property
    def graded_pairs(self) -> list[GradedPair]:
        """Stated pairs by their final optimal mass; empty where rewards are not graded."""
        pairs = [pair for pair in self.equal.pairs if pair.bases] if self.experiment.graded else []
        return [
            GradedPair(pair.arm, pair.against, _estimate(self._optimal(pair.arm).minus(self._optimal(pair.against))))
            for pair in pairs
        ]

    def pass_curve(self, arm: str | None, ks: Sequence[int]) -> Interval:
        """(K,) pass@k over prompts with pointwise intervals: of the bases (None), or of an arm's final models."""
        curve = self._means(arm, lambda run: pass_at_k_exact(run.success_SP(), ks)).interval()
        return Interval(curve.estimate, np.maximum(curve.low, 0.0), np.minimum(curve.high, 1.0))

    def _runs(self, arm: str | None) -> tuple[list[Run], int]:
        """The runs behind a model, and the index of the evaluation that is the model's."""
        if arm is None:
            return self.experiment.starts, 0
        return self.experiment.of(arm), -1

    def _means(self, arm: str | None, values: PerPrompt) -> BaseMeans:
        runs, row = self._runs(arm)
        return means_over_prompts([str(run.base) for run in runs], [values(run)[row] for run in runs], self.weights_RP)

    def _change(self, arm: str, values: PerPrompt) -> Estimate:
        """From each run's own start to its end: on training prompts, seeds differ in prompts."""
        runs = self.experiment.of(arm)
        changes = [values(run)[-1] - values(run)[0] for run in runs]
        return _estimate(means_over_prompts([str(run.base) for run in runs], changes, self.weights_RP))

    def _model(self, name: str, arm: str | None) -> Model:
        runs, row = self._runs(arm)

        def level(values: PerPrompt) -> float:
            return float(mean_over_bases(runs, [values(run)[row].mean() for run in runs]))

        def on_held_out(metric: str) -> float | None:
            if self.experiment.prompts != HELD_OUT:
                return None
            return float(mean_over_bases(runs, [getattr(run.evaluation[row], metric) for run in runs]))

        return Model(
            name=name,
            runs=0 if arm is None else len(runs),
            pass_at_1=level(_success),
            pass_at_boundary=level(_boundary),
            greedy_accuracy=on_held_out("greedy_accuracy"),
            token_entropy=on_held_out("entropy"),
            distinct_correct=level(Run.distinct_SP),
            rare_mass=level(lambda run: run.mass_SP("rare")),
        )

    def _outcome(self, arm: str) -> Outcome:
        return Outcome(
            self._model(arm, arm),
            pass_at_1=self._change(arm, _success),
            pass_at_boundary=self._change(arm, _boundary),
            distinct_correct=self._change(arm, Run.distinct_SP),
            covers=self._means(arm, _success).covers,
        )

    def _graded(self, arm: str) -> Graded:
        runs = self.experiment.of(arm)

        def mean(values: Callable[[Run], Any]) -> Floats:
            return mean_over_bases(runs, [values(run) for run in runs])

        optimal_S = mean(lambda run: run.optimal_SP().mean(axis=1))
        common_S = mean(lambda run: run.success_SP().mean(axis=1)) - optimal_S
        boundary_S = mean(lambda run: _optimal_boundary(run).mean(axis=1))
        return Graded(
            arm,
            common=(float(common_S[0]), float(common_S[-1])),
            optimal=_start_lowest_end(optimal_S),
            optimal_change=self._change(arm, Run.optimal_SP),
            lowest_step=runs[0].evaluation_steps[int(np.argmin(optimal_S))],
            boundary=_start_lowest_end(boundary_S),
            boundary_change=self._change(arm, _optimal_boundary),
            overtaken=float(mean(lambda run: (2.0 * run.optimal_SP()[-1] > run.success_SP()[-1]).mean())),
            extinct=float(mean(lambda run: (run.optimal_SP()[-1] < EXTINCT).mean())),
        )

    def _optimal(self, arm: str) -> BaseMeans:
        """The final mass of optimal answers."""
        runs = self.experiment.of(arm)
        values = [run.optimal_SP()[-1] for run in runs]
        return means_over_prompts([str(run.base) for run in runs], values, self.weights_RP)


def _estimate(means: BaseMeans) -> Estimate:
    return Estimate.of(means.interval())


def _start_lowest_end(values_S: Floats) -> tuple[float, float, float]:
    return float(values_S[0]), float(values_S.min()), float(values_S[-1])


def _num_prompts(runs: Sequence[Run]) -> int:
    numbers = {run.name: run.success_SP().shape[1] for run in runs}
    if len(set(numbers.values())) > 1:
        raise InputError(f"compared runs must have the same number of held-out prompts; got {numbers}")
    return next(iter(numbers.values()))


def _success(run: Run) -> Floats:
    return run.success_SP()


def _boundary(run: Run) -> Floats:
    return pass_at_k_exact(run.success_SP(), [BOUNDARY_K])[..., 0]


def _optimal_boundary(run: Run) -> Floats:
    return pass_at_k_exact(run.optimal_SP(), [BOUNDARY_K])[..., 0]
