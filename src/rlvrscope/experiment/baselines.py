"""Baselines that cost no training, as paths like those of runs: the base at other temperatures, weights averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlvrscope.experiment.results import Experiment
from rlvrscope.runs.run import Run
from rlvrscope.stats import TrainingRun


def decoded(experiment: Experiment, temperatures: Sequence[float]) -> list[TrainingRun]:
    """The base, step by step from temperature 1 through these, nearest first: a path of each base."""
    path = (1.0, *sorted(temperatures, key=lambda temperature: abs(temperature - 1.0)))
    return [
        TrainingRun(str(run.base), np.array([run.success_SP(temperature)[0] for temperature in path]))
        for run in experiment.starts
    ]


def mixed(run: Run) -> TrainingRun:
    """From the base to a final model through the weights between them (WiSE), in order of alpha."""
    success_SP = run.success_SP()
    return TrainingRun(str(run.base), np.concatenate([success_SP[:1], run.interpolated_AP(), success_SP[-1:]]))


def baselines(experiment: Experiment) -> dict[str, list[TrainingRun]]:
    """By name: the base cooled, the base heated, and of each arm its WISE; those of them that were scored."""
    temperatures = experiment.recipe.evaluate.temperatures
    found = {
        COOLED: [temperature for temperature in temperatures if temperature < 1.0],
        HEATED: [temperature for temperature in temperatures if temperature > 1.0],
    }
    paths = {name: decoded(experiment, some) for name, some in found.items() if some}
    for arm in experiment.arms:
        runs = [run for run in experiment.of(arm) if len(run.interpolated_AP())]
        if runs:
            paths[wise_of(arm)] = [mixed(run) for run in runs]
    return paths


COOLED, HEATED = "base, cooled", "base, heated"


def wise_of(arm: str) -> str:
    return f"WiSE of {arm}"
