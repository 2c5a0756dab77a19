"""Names that verl's configuration knows our parts by, and the objectives that each process registers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from rlvrscope.errors import InputError
from rlvrscope.objectives import OBJECTIVES, Objective, objective_from
from rlvrscope.objectives.recipe_field import objective_table

TRAINER_MODE = "rlvrscope"
"""trainer.v1.trainer_mode of our trainer."""
OBJECTIVE_VARIABLE = "RLVRSCOPE_VERL_OBJECTIVE"
"""Environment variable with the objective of a run as JSON, for objectives that are not in the catalogue: verl's
configuration refuses keys that it doesn't know, and its workers see nothing else of the recipe."""


def registered_name(objective: Objective) -> str:
    """Name of an objective's loss (actor.policy_loss.loss_mode) and of its estimator (algorithm.adv_estimator)."""
    return f"rlvrscope_{objective.name}"


def base_loss(objective: Objective) -> str:
    """verl's own policy loss for the ratio and surrogate of an objective.

    Raises InputError for combinations that verl has no loss for, and for objectives that read more than rewards.
    """
    if objective.reads is not None:
        raise InputError(f"objective {objective.name!r} reads {objective.reads}, which verl's estimators do not get")
    if objective.surrogate == "clip":
        if objective.ratio == "token":
            return "vanilla"
        if objective.dual_clip is None:
            return "gspo"
        raise InputError(
            f"objective {objective.name!r}: verl's loss with sequence ratios has no dual_clip: leave it out"
        )
    if objective.ratio == "token":
        return "cispo"
    raise InputError(f"objective {objective.name!r}: verl's cispo has token ratios only: set ratio = 'token'")


def to_environment(objective: Objective) -> str:
    """Value of OBJECTIVE_VARIABLE."""
    return json.dumps(objective_table(objective))


def registered_objectives() -> Sequence[Objective]:
    """Objectives of this process: those of the catalogue, and the run's own.

    Raises InputError for an environment variable that holds no objective.
    """
    catalogue = [objective for objective in OBJECTIVES.values() if objective.reads is None]
    own = os.environ.get(OBJECTIVE_VARIABLE)
    if own is None:
        return catalogue
    try:
        values = json.loads(own)
    except json.JSONDecodeError as error:
        raise InputError(f"{OBJECTIVE_VARIABLE} must hold an objective as JSON: {error}") from error
    objective = objective_from(values)
    return [*(known for known in catalogue if known.name != objective.name), objective]


def objective_of(loss: str) -> Objective | None:
    """The objective whose loss has a name in verl's configuration; None for verl's own losses."""
    return next((one for one in registered_objectives() if registered_name(one) == loss), None)
