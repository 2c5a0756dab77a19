"""A user's own function has to weigh each group by itself here: seeds are trainings apart from each other."""

from __future__ import annotations

import numpy as np

from rlvrscope.dynamics.inputs import Floats
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, advantages
from rlvrscope.objectives.shape import FunctionShape
from rlvrscope.seeding import generator

GROUPS = 32
"""Groups that are weighed together and alone."""
MAX_REWARDS = 1 << 20
"""Of these groups: fewer groups where they are large."""
TOLERANCE = 1e-9


def check_groups_apart(rewards_V: Floats, objective: Objective, group_size: int) -> None:
    """Raises InputError if an own function gives a group other weights where other groups stand beside it."""
    if not isinstance(objective.shape, FunctionShape):
        return
    groups = max(2, min(GROUPS, MAX_REWARDS // group_size))
    rewards_PG = generator(0, "groups apart").choice(rewards_V, size=(groups, group_size))
    together_PG = advantages(rewards_PG, objective)
    alone_PG = np.concatenate([advantages(row_G[None], objective) for row_G in rewards_PG])
    if not np.allclose(together_PG, alone_PG, rtol=TOLERANCE, atol=TOLERANCE):
        raise InputError(
            f"{objective.shape.function} must weigh each group by itself, the same every time: alone it gives a group "
            "other advantages than among others. In the dynamics groups are of different trainings."
        )


def check_equals_alike(objective: Objective, alike: bool) -> None:
    """Raises InputError unless rollouts of one group and one reward weigh alike, as a sum over counts needs."""
    if not alike:
        raise InputError(
            f"objective {objective.name!r} weighs rollouts of one group and one reward differently, and groups are "
            "summed by their counts: use simulate, or a function that doesn't look at the order of rollouts"
        )
