"""What an experiment found: every number of its report, paired by base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.experiment.equal_gain import AtEqualGain
from rlvrscope.experiment.outcomes import EXTINCT, Estimate, Graded, GradedPair, Model, Outcome
from rlvrscope.experiment.results import Experiment, mean_over_bases
from rlvrscope.experiment.sentences import sentences
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.runs.run import HELD_OUT, Run
from rlvrscope.seeding import generator
from rlvrscope.stats import (
    BaseMeans,
    Interval,
    means_over_prompts,
    pass_at_k_exact,
    resample_weights,
)

RESAMPLES = 10_000
FRONTIER_RESAMPLES = 2_000
"""Each of them draws every run's curve anew."""
PerPrompt = Callable[[Run], Floats]
"""What a run has at each evaluation, prompt by prompt: (S, P), or (S, P, K)."""


class Findings:
    """The summary of an experiment. Intervals resample the held-out prompts, paired; with several bases, bases too."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.gains = experiment.compare.gains
        self.bases = list(dict.fromkeys(str(run.base) for run in experiment.runs))
        self.prompts = _prompts(experiment.runs)
        self.weights_RP = resample_weights(self.prompts, RESAMPLES, generator(0, "prompt bootstrap"))

    @cached_property
    def equal(self) -> AtEqualGain:
        """Arms, pairs and baselines at equal pass@1."""
        return AtEqualGain(self.experiment, self.gains, self.weights_RP[:FRONTIER_RESAMPLES])

    def pass_curve(self, arm: str | None, ks: list[int]) -> Interval:
        """pass@k over prompts with pointwise intervals: of the bases (None), or of an arm's final models."""
        found = self._means(arm, lambda run: pass_at_k_exact(run.success_SP(), ks)).interval()
        return Interval(found.estimate, np.maximum(found.low, 0.0), np.minimum(found.high, 1.0))

    @cached_property
    def base(self) -> Model:
        return self._model("base", None)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """One an arm, in the recipe's order."""
        return [self._outcome(arm) for arm in self.experiment.arms]

    @cached_property
    def on_training(self) -> Findings | None:
        """The same on training prompts, where they were scored."""
        trained = self.experiment.on_training()
        return None if trained is None else Findings(trained)

    @cached_property
    def graded(self) -> list[Graded]:
        """What became of common and of optimal answers, an entry an arm; none where rewards are not graded."""
        return [self._graded(arm) for arm in self.experiment.arms] if self.experiment.graded else []

    def _graded(self, arm: str) -> Graded:
        runs = self.experiment.of(arm)

        def mean(values: Callable[[Run], Any]) -> Any:
            return mean_over_bases(runs, [values(run) for run in runs])

        optimal_S = mean(lambda run: run.optimal_SP().mean(axis=1))
        common_S = mean(lambda run: run.success_SP().mean(axis=1)) - optimal_S
        boundary_S = mean(lambda run: _optimal_boundary(run).mean(axis=1))
        return Graded(
            arm,
            common=(float(common_S[0]), float(common_S[-1])),
            optimal=(float(optimal_S[0]), float(optimal_S.min()), float(optimal_S[-1])),
            optimal_change=self._change(arm, Run.optimal_SP),
            lowest_step=runs[0].evaluation_steps[int(np.argmin(optimal_S))],
            boundary=(float(boundary_S[0]), float(boundary_S.min()), float(boundary_S[-1])),
            boundary_change=self._change(arm, _optimal_boundary),
            overtaken=float(mean(lambda run: (2.0 * run.optimal_SP()[-1] > run.success_SP()[-1]).mean())),
            extinct=float(mean(lambda run: (run.optimal_SP()[-1] < EXTINCT).mean())),
        )

    @cached_property
    def graded_pairs(self) -> list[GradedPair]:
        """The stated pairs of arms by their optimal answers at the end; none where rewards are not graded."""
        stated = [(pair.arm, pair.against) for pair in self.equal.pairs if pair.bases] if self.experiment.graded else []
        return [
            GradedPair(arm, against, Estimate.of(self._optimal(arm).minus(self._optimal(against)).interval()))
            for arm, against in stated
        ]

    def _optimal(self, arm: str) -> BaseMeans:
        """The mass of optimal answers at the end."""
        runs = self.experiment.of(arm)
        values = [run.optimal_SP()[-1] for run in runs]
        return means_over_prompts([str(run.base) for run in runs], values, self.weights_RP)

    @cached_property
    def sentences(self) -> list[str]:
        """What happened, in plain words, each claim with its interval."""
        return sentences(self)

    def _runs(self, arm: str | None) -> tuple[list[Run], int]:
        """The runs that show a model, and which evaluation of theirs is it."""
        if arm is None:
            return self.experiment.starts, 0
        return self.experiment.of(arm), -1

    def _means(self, arm: str | None, values: PerPrompt) -> BaseMeans:
        runs, row = self._runs(arm)
        return means_over_prompts([str(run.base) for run in runs], [values(run)[row] for run in runs], self.weights_RP)

    def _change(self, arm: str, values: PerPrompt) -> Estimate:
        """From each run's own start to its end: on training prompts, seeds of one base have prompts of their own."""
        runs = self.experiment.of(arm)
        changes = [values(run)[-1] - values(run)[0] for run in runs]
        return Estimate.of(means_over_prompts([str(run.base) for run in runs], changes, self.weights_RP).interval())

    def _model(self, name: str, arm: str | None) -> Model:
        runs, at = self._runs(arm)

        def level(values: PerPrompt) -> float:
            return float(mean_over_bases(runs, [values(run)[at].mean() for run in runs]))

        def logged(name: str) -> float | None:
            known = self.experiment.prompts == HELD_OUT
            return float(mean_over_bases(runs, [getattr(run.evaluation[at], name) for run in runs])) if known else None

        return Model(
            name=name,
            runs=0 if arm is None else len(runs),
            pass_at_1=level(_success),
            pass_at_256=level(_boundary),
            greedy_accuracy=logged("greedy_accuracy"),
            token_entropy=logged("entropy"),
            distinct_correct=level(Run.distinct_SP),
            rare_mass=level(lambda run: run.mass_SP("rare")),
        )

    def _outcome(self, arm: str) -> Outcome:
        return Outcome(
            self._model(arm, arm),
            pass_at_1=self._change(arm, _success),
            pass_at_256=self._change(arm, _boundary),
            distinct_correct=self._change(arm, Run.distinct_SP),
            covers=self._means(arm, _success).covers,
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything above as plain values, but for `times`: the same runs give the same bytes."""
        entries = [asdict(entry) for entry in self.equal.entries]
        for target in (target for entry in entries for target in entry["targets"]):
            del target["seconds"]
        return {
            "format_version": 4,
            "recipe": self.experiment.recipe.name,
            "prompts": {"kind": self.experiment.prompts, "number": self.prompts},
            "bases": len(self.bases),
            "base": asdict(self.base),
            "gains": list(self.gains),
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
            "not_known_here": self.experiment.missing_arms,
            "common_range": self.equal.common and asdict(self.equal.common),
            "at_equal_pass_at_1": entries,
            "pairs": [asdict(pair) for pair in self.equal.pairs],
            "graded": [asdict(graded) for graded in self.graded],
            "graded_pairs": [asdict(pair) for pair in self.graded_pairs],
            "training_prompts": self.on_training.as_dict() if self.on_training else None,
            "failed": [asdict(failure) for failure in self.experiment.failed],
            "sentences": self.sentences,
        }

    def times(self) -> dict[str, Any]:
        """The median CPU seconds of training to each declared gain, by arm: they differ each time."""
        return {
            "format_version": 2,
            "gains": list(self.gains),
            "cpu_seconds": {
                entry.name: [target.seconds and asdict(target.seconds) for target in entry.targets]
                for entry in self.equal.entries
                if entry.trained
            },
        }


def _prompts(runs: list[Run]) -> int:
    counts = {run.name: len(run.scores()[0].success_P) for run in runs}
    if len(set(counts.values())) > 1:
        raise InputError(f"runs that are compared need the same number of held-out prompts; got {counts}")
    return next(iter(counts.values()))


def _success(run: Run) -> Floats:
    return run.success_SP()


def _boundary(run: Run) -> Floats:
    return pass_at_k_exact(run.success_SP(), [BOUNDARY_K])[..., 0]


def _optimal_boundary(run: Run) -> Floats:
    return pass_at_k_exact(run.optimal_SP(), [BOUNDARY_K])[..., 0]
