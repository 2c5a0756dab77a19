"""When training goes over to another objective."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from massflow.lab.training import TrainConfig
from massflow.objectives import Objective

HALF_LIFE = 4
"""Steps of the moving average of the entropy."""
WINDOW = 20
"""Steps over which its slope is taken."""
SHARE = 0.1
PATIENCE = 3


def saturated_at(entropies: Sequence[float]) -> int | None:
    """The first step (from 1) at which the fall of the token entropy has died away; None if it has not.

    The slope over WINDOW steps of the entropy's moving average is above SHARE of its steepest fall so far, PATIENCE
    steps in a row. Only the past counts, so a run that goes on after a kill switches at the same step.
    """
    if len(entropies) <= WINDOW:
        return None
    keep = 0.5 ** (1.0 / HALF_LIFE)
    smooth = [entropies[0]]
    for value in entropies[1:]:
        smooth.append(keep * smooth[-1] + (1.0 - keep) * value)
    slope_T = np.array(smooth[WINDOW:]) - np.array(smooth[:-WINDOW])
    steepest_T = np.minimum.accumulate(slope_T)
    flat_T = (steepest_T < 0.0) & (slope_T > SHARE * steepest_T)
    for index in range(PATIENCE - 1, len(flat_T)):
        if flat_T[index - PATIENCE + 1 : index + 1].all():
            return index + WINDOW + 1
    return None


def objective_at(step: int, config: TrainConfig, entropies: Sequence[float]) -> Objective:
    """The objective of a step (from 1), given the token entropies of the steps before it."""
    if config.then is None:
        return config.objective
    at = config.then.at
    if at == "saturation":
        saturated = saturated_at(entropies[: step - 1])
        return config.objective if saturated is None else config.then.objective
    return config.then.objective if step >= at else config.objective
