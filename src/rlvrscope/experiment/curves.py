"""What charts draw: means over runs, each run seen from its own base, so that a run that failed shifts no curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.experiment.results import Experiment, mean_over_bases
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.runs.run import Run
from rlvrscope.stats import envelope, pass_at_k_exact

ENVELOPE_POINTS = 60
JOINTS = 8
"""Parts into which the line between two scored points is cut."""
PointsOf = Callable[[Run], Floats]
"""A run's points (N, 2): pass@1 and pass@256; NaN where it has none."""


def both(success_NP: Floats) -> Floats:
    """(N, 2): pass@1 and pass@256, means over prompts."""
    return np.stack(
        [success_NP.mean(axis=-1), pass_at_k_exact(success_NP, [BOUNDARY_K])[..., 0].mean(axis=-1)], axis=-1
    )


def start(experiment: Experiment) -> Floats:
    """(2,) pass@1 and pass@256 of the bases, their mean."""
    return np.mean([both(run.success_SP()[0]) for run in experiment.starts], axis=0)


def mean_curve(experiment: Experiment, runs: Sequence[Run], points: PointsOf) -> Floats:
    """(N, 2) the bases' mean plus the mean change, base by base."""
    changes = [points(run) - both(run.success_SP()[0]) for run in runs]
    return start(experiment) + mean_over_bases(runs, changes)


def trained(run: Run) -> Floats:
    return both(run.success_SP())


def decoded_base(experiment: Experiment, temperature: float) -> Floats:
    """(2,) the bases, untrained, at a temperature."""
    return np.mean([both(run.success_SP(temperature)[0]) for run in experiment.starts], axis=0)


def interpolated(run: Run) -> Floats:
    """(N, 2) the weights between base and final model, in order of alpha, at temperature 1."""
    return both(run.interpolated_AP())


def envelope_gains(experiment: Experiment) -> Floats:
    """Gains in pass@1 from 0 to the largest that any run has at any temperature."""
    temperatures = experiment.recipe.evaluate.temperatures
    most = max(_decoded(run, temperatures)[..., 0].max() - trained(run)[0, 0] for run in experiment.runs)
    return np.linspace(0.0, most, ENVELOPE_POINTS)


def best_at(temperatures: Sequence[float], gains_X: Floats, evaluations: slice = slice(None)) -> PointsOf:
    """A run's envelope over some evaluations and temperatures, at gains over its base, as points for `mean_curve`.

    Neighbours in training and in temperature are joined by straight lines.
    """

    def points(run: Run) -> Floats:
        at_X = trained(run)[0, 0] + gains_X
        joined_N2 = _joined(_decoded(run, temperatures)[:, evaluations])
        return np.stack([at_X, envelope(joined_N2[:, 0], joined_N2[:, 1], at_X)], axis=1)

    return points


def _decoded(run: Run, temperatures: Sequence[float]) -> Floats:
    """(temperatures, S, 2), in order of temperature."""
    return np.stack([both(run.success_SP(temperature)) for temperature in sorted(temperatures)])


def _joined(points_TS2: Floats) -> Floats:
    """(N, 2): the points and, between neighbours along either axis, more on the lines between them."""
    found = [points_TS2.reshape(-1, 2)]
    for low, high in ((points_TS2[:-1], points_TS2[1:]), (points_TS2[:, :-1], points_TS2[:, 1:])):
        found += [(low + share * (high - low)).reshape(-1, 2) for share in np.arange(1, JOINTS) / JOINTS]
    return np.concatenate(found)
