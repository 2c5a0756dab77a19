"""Closed forms of three actions: a dominant one, a rare better one, a worse one.

Leading order in kappa, from a start where the rare action is rare. Dominant: the one of the second reward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.dynamics.inputs import bandit, check_group_size, check_rate, known_objective
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective

TURN = 7 / 27
"""The share of the transition's time at which the rare action turns, where T goes as 1 / kappa^2."""


@dataclass(frozen=True)
class _Corner:
    """gap: r_1 - r_3. lead: D = r_2 - r_1. kappa: see `kappa`. best: the mass of the best action."""

    gap: float
    lead: float
    kappa: float
    best: float


def kappa(rewards_V: ArrayLike, probs_V: ArrayLike) -> float:
    """The invariant of stage 1: pi_2 / sqrt(pi_1 pi_3), 2 the best action, 1 and 3 the others.

    Conserved by the mean field of any objective to O(pi_2): the rare action falls as the square root of the worst.
    Raises InputError unless there are three actions of different reward, all possible.
    """
    return _corner(rewards_V, probs_V).kappa


def transition_time(
    rewards_V: ArrayLike,
    objective: Objective | str,
    group_size: float,
    *,
    probs_V: ArrayLike,
    learning_rate: float = 1.0,
) -> float:
    """Steps until the best action has half of the mass, by the mean field near the corner of the dominant action.

        RLOO                    r_1 / (6 eta D^2 kappa^2)             (without std and baseline of all: n / (n-1) of it)
        std, n pi << 1          1 / (6 eta a kappa^2)                 a: a singleton's advantage, sqrt(n-1) (ddof 0)
        std, n infinite         (2/3) sqrt(r_1) (r_1^1.5 - D^1.5) / (eta D kappa (r_1 - D))

    with r_1 counted from the worst reward and D = r_2 - r_1. In steps; rewards and probs_V: (3,).
    Leading order, the better the rarer the best action; the second line needs n pi_2 well below 1 (at .16 it says 378
    where the flow says 570). Raises InputError for n pi_2 of .5 or more there, for a best action that is not rare (see
    `lowest_mass`), for other than three different rewards,
    and for objectives without a closed form: -N, -P, weighted or signed ones and those without a baseline (use flow).
    """
    corner, chosen, size, eta = _case(rewards_V, objective, group_size, probs_V, learning_rate)
    gap, lead, kept = corner.gap, corner.lead, corner.kappa
    if chosen.scale == "none":
        return gap / (6.0 * eta * _mean_only_factor(chosen, size) * lead**2 * kept**2)
    if size == math.inf:
        if math.isclose(gap, lead, rel_tol=1e-6):  # the limit of the quotient is 1.5 sqrt(r_1)
            return gap / (eta * lead * kept)
        return (2 / 3) * math.sqrt(gap) * (gap**1.5 - lead**1.5) / (eta * lead * kept * (gap - lead))
    return 1.0 / (6.0 * eta * _singleton(chosen, int(size)) * kept**2)


def lowest_mass(rewards_V: ArrayLike, objective: Objective | str, group_size: float, *, probs_V: ArrayLike) -> float:
    """The least mass of the best action on its way, by the mean field near the corner of the dominant action.

        RLOO, or std and n infinite     27 D kappa^2 / (4 r_1)
        std, n pi << 1                  27 kappa^2 / 4

    Raises as `transition_time` does: also where this is not below the start, or the start has half of the mass.
    """
    corner, chosen, size, _ = _case(rewards_V, objective, group_size, probs_V, 1.0)
    return _lowest(corner, chosen, size)


def _lowest(corner: _Corner, objective: Objective, size: float) -> float:
    few = objective.scale == "group_std" and size != math.inf
    return 27.0 / 4.0 * corner.kappa**2 * (1.0 if few else corner.lead / corner.gap)


def _case(
    rewards_V: ArrayLike, objective: Objective | str, group_size: float, probs_V: ArrayLike, learning_rate: float
) -> tuple[_Corner, Objective, float, float]:
    chosen = known_objective(objective)
    size = check_group_size(group_size, chosen)
    both = chosen.positive_weight == chosen.negative_weight == 1.0 and chosen.kl_coef == 0.0
    if not both or chosen.shape is not None or chosen.signal != "reward" or chosen.baseline == "none":
        raise InputError(f"objective {chosen.name!r} has no closed form here (GRPO, Dr. GRPO, RLOO have): use flow")
    corner = _corner(rewards_V, probs_V)
    if chosen.scale == "group_std" and size != math.inf and size * corner.best >= 0.5:
        raise InputError(
            f"with std the closed form needs n pi well below 1 for the best action; got {size * corner.best:.3g}: use "
            "flow, or group_size=inf"
        )
    if corner.best >= 0.5 or _lowest(corner, chosen, size) >= corner.best:
        raise InputError(
            f"the closed forms need a rare best action, that falls before it rises; its start of {corner.best:.3g} is "
            "not rare beside the others: use flow"
        )
    return corner, chosen, size, check_rate("learning_rate", learning_rate)


def _corner(rewards_V: ArrayLike, probs_V: ArrayLike) -> _Corner:
    state = bandit(rewards_V, probs_V, None)
    if state.rewards_V.size != 3 or len(np.unique(state.rewards_V)) != 3:
        raise InputError(f"the closed forms are for three actions of different reward; got {state.rewards_V.tolist()}")
    worst, dominant, best = np.argsort(state.rewards_V)
    probs, rewards = state.probs_V, state.rewards_V
    if not probs.all():
        raise InputError(f"the closed forms need three possible actions; probs_V is {probs.tolist()}")
    invariant = probs[best] / math.sqrt(probs[dominant] * probs[worst])
    gap, lead = rewards[dominant] - rewards[worst], rewards[best] - rewards[dominant]
    return _Corner(float(gap), float(lead), float(invariant), float(probs[best]))


def _mean_only_factor(objective: Objective, size: float) -> float:
    """The share of the policy gradient that a mean without scale gives: 1 of leave-one-out, (n-1)/n of the mean."""
    return 1.0 if objective.baseline == "leave_one_out" or size == math.inf else (size - 1.0) / size


def _singleton(objective: Objective, size: int) -> float:
    """The advantage of a lone better reward, whatever the gap: sqrt(n-1), or (n-1)/sqrt(n) with the sample std."""
    population = math.sqrt(size - 1.0) if objective.std_ddof == 0 else (size - 1.0) / math.sqrt(size)
    return population * (size / (size - 1.0) if objective.baseline == "leave_one_out" else 1.0)
