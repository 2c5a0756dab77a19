"""The objective in force at each step of a run."""

from __future__ import annotations

from collections.abc import Sequence

from rlvrscope.lab.recipe import TrainConfig
from rlvrscope.monitor.saturation import saturated_at
from rlvrscope.objectives import Objective


def objective_at(step: int, config: TrainConfig, entropies: Sequence[float]) -> Objective:
    """The objective of a step (from 1), given the token entropies of the steps before it."""
    if config.then is None:
        return config.objective
    at = config.then.at
    if at == "saturation":
        saturated = saturated_at(entropies[: step - 1])
        return config.objective if saturated is None else config.then.objective
    return config.then.objective if step >= at else config.objective
