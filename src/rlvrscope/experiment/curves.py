"""Points of an experiment's charts. Means over runs are relative to each run's base, so failed runs shift no curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.experiment.results import Experiment, mean_over_bases
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.runs.finished_run import Run
from rlvrscope.stats import envelope, pass_at_k_exact

ENVELOPE_POINTS = 60
POINTS_PER_LINE = 8
"""Parts into which the line between two scored points is cut."""
TELEMETRY_WINDOW = 10
"""Steps averaged into one point of a telemetry curve."""
MASS_KINDS = ("dominant", "other", "rare", "wrong")
"""Correct completions by their class under the base, and wrong ones."""
ENVELOPE_KINDS = {
    "any checkpoint, any temperature": (slice(1, None), True),
    "final model, any temperature": (slice(-1, None), True),
    "any checkpoint, T = 1": (slice(1, None), False),
}
"""The evaluations of each envelope, and whether it is taken over all temperatures."""
PointsOf = Callable[[Run], Floats]
"""(N, 2) pass@1 and pass@BOUNDARY_K of a run; NaN where undefined."""


class Point(NamedTuple):
    """A model in the plane of pass@1 and the boundary; at: its step, temperature or alpha."""

    at: float
    pass_at_1: float
    pass_at_boundary: float


class StepValue(NamedTuple):
    """A value at a training step."""

    step: int
    value: float


class MassPoint(NamedTuple):
    """Probability mass of one kind of completion at a training step."""

    kind: str
    step: int
    mass: float


@dataclass(frozen=True)
class Frontier:
    """Paths of the arms over training, of the base over temperatures, and of WiSE over alpha."""

    arms: dict[str, list[Point]]
    base: list[Point]
    wise: dict[str, list[Point]]
    start: Floats


@dataclass(frozen=True)
class Envelope:
    """Best boundary at each pass@1 or above, up to where some run has no point. arm: None for the base."""

    arm: str | None
    kind: str
    points: list[tuple[float, float]]


def frontier(experiment: Experiment) -> Frontier:
    """The paths of all arms, of the base over the recipe's temperatures, and of interpolated weights."""
    arms, wise = {}, {}
    for arm in experiment.arms:
        runs = experiment.of(arm)
        arms[arm] = _points(runs[0].evaluation_steps, mean_curve(experiment, runs, trained))
        interpolated_runs = [run for run in runs if len(run.interpolated_AP())]
        if interpolated_runs:
            alphas = [row.alpha for row in interpolated_runs[0].interpolation]
            wise[arm] = _points(alphas, mean_curve(experiment, interpolated_runs, interpolated))
    temperatures = sorted(experiment.recipe.evaluate.temperatures)
    decoded = np.array([_mean_start(experiment, temperature) for temperature in temperatures])
    return Frontier(arms, _points(temperatures, decoded), wise, start(experiment))


def envelopes(experiment: Experiment) -> list[Envelope]:
    """Every arm's envelopes, then the base's over all temperatures."""
    temperatures, gains_X = experiment.recipe.evaluate.temperatures, _envelope_gains(experiment)

    def measured(arm: str | None, kind: str, points: PointsOf) -> Envelope:
        curve_X2 = mean_curve(experiment, experiment.runs if arm is None else experiment.of(arm), points)
        return Envelope(arm, kind, [(x, y) for x, y in curve_X2.tolist() if np.isfinite(y)])

    curves = [
        measured(arm, kind, best_at(temperatures if hot else (1.0,), gains_X, evaluations))
        for arm in experiment.arms
        for kind, (evaluations, hot) in ENVELOPE_KINDS.items()
    ]
    return [*curves, measured(None, next(iter(ENVELOPE_KINDS)), best_at(temperatures, gains_X, slice(0, 1)))]


def training_series(experiment: Experiment) -> dict[str, dict[str, list[StepValue]]]:
    """Scores and telemetry over steps, by quantity and arm; telemetry is averaged over TELEMETRY_WINDOW steps."""
    quantities: dict[str, Callable[[Run], list[StepValue]]] = {
        "pass@1 (held out)": lambda run: _scored(run, [score.pass_at_1 for score in run.scores()]),
        "greedy accuracy (held out)": lambda run: _scored(run, [row.greedy_accuracy for row in run.evaluation]),
        f"pass@{BOUNDARY_K} (held out)": lambda run: _scored(run, [score.pass_at_k for score in run.scores()]),
        "token entropy, nats (held out)": lambda run: _scored(run, [row.entropy for row in run.evaluation]),
        "entropy of updated tokens, nats": lambda run: _logged(run, "actor_entropy"),
        "reward (training)": lambda run: _logged(run, "reward"),
    }
    return {
        quantity: {arm: _mean_series([series(run) for run in experiment.of(arm)]) for arm in experiment.arms}
        for quantity, series in quantities.items()
    }


def mass_series(experiment: Experiment) -> dict[str, list[MassPoint]]:
    """Mass by MASS_KINDS over steps, by arm."""
    return {
        arm: [
            MassPoint(kind, *point)
            for kind in MASS_KINDS
            for point in _mean_series([_scored(run, _mass_S(run, kind)) for run in experiment.of(arm)])
        ]
        for arm in experiment.arms
    }


def graded_series(experiment: Experiment) -> dict[str, list[MassPoint]]:
    """Mass of optimal (reward 1) and common answers over steps, by arm, on training and on held-out prompts."""
    series: dict[str, list[MassPoint]] = {arm: [] for arm in experiment.arms}
    for scored in [one for one in (experiment.on_training(), experiment) if one]:
        for arm in experiment.arms:
            runs = scored.of(arm)
            masses_S2 = mean_over_bases(runs, [_common_and_optimal(run) for run in runs])
            for step, masses in zip(runs[0].evaluation_steps, masses_S2.tolist(), strict=True):
                series[arm] += [
                    MassPoint(f"{name}, {scored.prompts}", step, mass)
                    for name, mass in zip(("common", "optimal"), masses, strict=True)
                ]
    return series


def both(success_NP: Floats) -> Floats:
    """(N, 2) pass@1 and pass@BOUNDARY_K, means over prompts."""
    boundary_N = pass_at_k_exact(success_NP, [BOUNDARY_K])[..., 0].mean(axis=-1)
    return np.stack([success_NP.mean(axis=-1), boundary_N], axis=-1)


def start(experiment: Experiment) -> Floats:
    """(2,) the mean of the bases."""
    return _mean_start(experiment, 1.0)


def mean_curve(experiment: Experiment, runs: Sequence[Run], points: PointsOf) -> Floats:
    """(N, 2) the bases' mean plus the mean change, base by base."""
    changes = [points(run) - both(run.success_SP()[0]) for run in runs]
    return start(experiment) + mean_over_bases(runs, changes)


def trained(run: Run) -> Floats:
    """(S, 2) every evaluation at temperature 1."""
    return both(run.success_SP())


def interpolated(run: Run) -> Floats:
    """(A, 2) weights between base and final model, in order of alpha, at temperature 1."""
    return both(run.interpolated_AP())


def best_at(temperatures: Sequence[float], gains_X: Floats, evaluations: slice = slice(None)) -> PointsOf:
    """A run's envelope over evaluations and temperatures, at gains over its base, as points for `mean_curve`.

    Neighbours in training and in temperature are joined by straight lines.
    """

    def points(run: Run) -> Floats:
        pass_at_1_X = trained(run)[0, 0] + gains_X
        joined_N2 = _joined(_decoded(run, temperatures)[:, evaluations])
        return np.stack([pass_at_1_X, envelope(joined_N2[:, 0], joined_N2[:, 1], pass_at_1_X)], axis=1)

    return points


def _points(at: Sequence[float], points_N2: Floats) -> list[Point]:
    return [Point(place, x, y) for place, (x, y) in zip(at, points_N2.tolist(), strict=True)]


def _mean_start(experiment: Experiment, temperature: float) -> Floats:
    return np.mean([both(run.success_SP(temperature)[0]) for run in experiment.starts], axis=0)


def _envelope_gains(experiment: Experiment) -> Floats:
    """Gains in pass@1 from 0 to the largest of any run at any temperature."""
    temperatures = experiment.recipe.evaluate.temperatures
    max_gain = max(_decoded(run, temperatures)[..., 0].max() - trained(run)[0, 0] for run in experiment.runs)
    return np.linspace(0.0, max_gain, ENVELOPE_POINTS)


def _decoded(run: Run, temperatures: Sequence[float]) -> Floats:
    """(temperatures, S, 2), in order of temperature."""
    return np.stack([both(run.success_SP(temperature)) for temperature in sorted(temperatures)])


def _joined(points_TS2: Floats) -> Floats:
    """(N, 2) the points, and points on the lines between neighbours along either axis."""
    points = [points_TS2.reshape(-1, 2)]
    for low, high in ((points_TS2[:-1], points_TS2[1:]), (points_TS2[:, :-1], points_TS2[:, 1:])):
        shares = np.arange(1, POINTS_PER_LINE) / POINTS_PER_LINE
        points += [(low + share * (high - low)).reshape(-1, 2) for share in shares]
    return np.concatenate(points)


def _scored(run: Run, values_S: Sequence[float] | Floats) -> list[StepValue]:
    return [StepValue(step, float(value)) for step, value in zip(run.evaluation_steps, values_S, strict=True)]


def _logged(run: Run, name: str) -> list[StepValue]:
    """A telemetry column averaged over windows of steps; a window with no value (nothing trained on) is left out."""
    points = []
    for first in range(0, len(run.telemetry), TELEMETRY_WINDOW):
        rows = run.telemetry[first : first + TELEMETRY_WINDOW]
        values = np.array([getattr(row, name) for row in rows])
        if not np.isnan(values).all():
            points.append(StepValue(rows[-1].step, float(np.nanmean(values))))
    return points


def _mass_S(run: Run, kind: str) -> Floats:
    return (1.0 - run.success_SP() if kind == "wrong" else run.mass_SP(kind)).mean(axis=1)


def _common_and_optimal(run: Run) -> Floats:
    """(S, 2) masses of common and of optimal answers, means over prompts."""
    optimal_S = run.optimal_SP().mean(axis=1)
    return np.stack([run.success_SP().mean(axis=1) - optimal_S, optimal_S], axis=1)


def _mean_series(series: Sequence[list[StepValue]]) -> list[StepValue]:
    """Mean over runs at the steps that all of them have."""
    by_step = [dict(points) for points in series]
    shared = [step for step in by_step[0] if all(step in values for values in by_step)]
    return [StepValue(step, float(np.mean([values[step] for values in by_step]))) for step in shared]
