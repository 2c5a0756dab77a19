"""Closed forms for three actions: a dominant one, a rare better one, a worse one.

Leading order in kappa, from a start where the best action is rare. Dominant: the action of the second reward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.dynamics.inputs import check_group_size, check_rate, make_bandit
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, objective_from

TURNING_SHARE = 7 / 27
"""Share of the transition time at which the rare action turns, where T goes as 1 / kappa^2."""


@dataclass(frozen=True)
class _Problem:
    """gap: r_1 - r_3. lead: D = r_2 - r_1. kappa: see `kappa`. best: initial mass of the best action."""

    gap: float
    lead: float
    kappa: float
    best: float


def kappa(rewards_V: ArrayLike, probs_V: ArrayLike) -> float:
    """Invariant of stage 1: pi_2 / sqrt(pi_1 pi_3), 2 the best action, 1 and 3 the others.

    Conserved by the mean field of any objective to O(pi_2): the best action falls as the square root of the worst.
    Raises InputError unless there are three actions of different reward, all possible.
    """
    return _three_actions(rewards_V, probs_V).kappa


def transition_time(
    rewards_V: ArrayLike,
    objective: Objective | str,
    group_size: float,
    *,
    probs_V: ArrayLike,
    learning_rate: float = 1.0,
) -> float:
    """Steps until the best action has half of the mass, by the mean field near pi_1 = 1.

        RLOO                    r_1 / (6 eta D^2 kappa^2)             (with group_mean: n / (n-1) of it)
        std, n pi << 1          1 / (6 eta a kappa^2)                 a: a singleton's advantage, sqrt(n-1) (ddof 0)
        std, n infinite         (2/3) sqrt(r_1) (r_1^1.5 - D^1.5) / (eta D kappa (r_1 - D))

    with r_1 counted from the worst reward and D = r_2 - r_1. rewards_V and probs_V: (3,).
    Leading order: more accurate the rarer the best action. The second line needs n pi_2 well below 1 (at .16 it gives
    378 steps, the flow 570). Raises InputError for n pi_2 of .5 or more there, for a best action that is not rare (see
    `lowest_mass`), unless there are three different rewards, and for objectives without a closed form: -N, -P,
    weighted or signed ones and those without a baseline (use flow).
    """
    problem, objective, size, eta = _checked(rewards_V, objective, group_size, probs_V, learning_rate)
    gap, lead, kappa = problem.gap, problem.lead, problem.kappa
    if objective.scale == "none":
        return gap / (6.0 * eta * _gradient_share(objective, size) * lead**2 * kappa**2)
    if size == math.inf:
        if math.isclose(gap, lead, rel_tol=1e-6):  # the limit of the quotient is 1.5 sqrt(r_1)
            return gap / (eta * lead * kappa)
        return (2 / 3) * math.sqrt(gap) * (gap**1.5 - lead**1.5) / (eta * lead * kappa * (gap - lead))
    return 1.0 / (6.0 * eta * _singleton_advantage(objective, int(size)) * kappa**2)


def lowest_mass(rewards_V: ArrayLike, objective: Objective | str, group_size: float, *, probs_V: ArrayLike) -> float:
    """Lowest mass of the best action on its path, by the mean field near pi_1 = 1.

        RLOO, or std and n infinite     27 D kappa^2 / (4 r_1)
        std, n pi << 1                  27 kappa^2 / 4

    Raises InputError as `transition_time` does, also if this is not below the start, or the start is half or more.
    """
    problem, objective, size, _ = _checked(rewards_V, objective, group_size, probs_V, 1.0)
    return _lowest(problem, objective, size)


def _lowest(problem: _Problem, objective: Objective, size: float) -> float:
    singletons = objective.scale == "group_std" and size != math.inf
    return 27.0 / 4.0 * problem.kappa**2 * (1.0 if singletons else problem.lead / problem.gap)


def _checked(
    rewards_V: ArrayLike, objective: Objective | str, group_size: float, probs_V: ArrayLike, learning_rate: float
) -> tuple[_Problem, Objective, float, float]:
    objective = objective_from(objective)
    size = check_group_size(group_size, objective)
    unweighted = objective.positive_weight == objective.negative_weight == 1.0 and objective.kl_coef == 0.0
    unshaped = objective.shape is None and objective.signal == "reward"
    if not unweighted or not unshaped or objective.baseline == "none":
        raise InputError(
            f"objective {objective.name!r} has no closed form, only GRPO, Dr. GRPO, RLOO and their like have: use flow"
        )
    problem = _three_actions(rewards_V, probs_V)
    if objective.scale == "group_std" and size != math.inf and size * problem.best >= 0.5:
        raise InputError(
            f"with std the closed form needs n pi well below 1 for the best action; got {size * problem.best:.3g}: use "
            "flow, or group_size=inf"
        )
    if problem.best >= 0.5 or _lowest(problem, objective, size) >= problem.best:
        raise InputError(
            "the closed forms need a rare best action, whose mass falls before it rises; its initial mass of "
            f"{problem.best:.3g} is not rare compared with the others: use flow"
        )
    return problem, objective, size, check_rate("learning_rate", learning_rate)


def _three_actions(rewards_V: ArrayLike, probs_V: ArrayLike) -> _Problem:
    bandit = make_bandit(rewards_V, probs_V, None)
    rewards, probs = bandit.rewards_V, bandit.probs_V
    if rewards.size != 3 or len(np.unique(rewards)) != 3:
        raise InputError(f"the closed forms are for three actions of different reward; got {rewards.tolist()}")
    if not probs.all():
        raise InputError(f"the closed forms need three possible actions; probs_V is {probs.tolist()}")
    worst, dominant, best = np.argsort(rewards)
    invariant = probs[best] / math.sqrt(probs[dominant] * probs[worst])
    gap, lead = rewards[dominant] - rewards[worst], rewards[best] - rewards[dominant]
    return _Problem(float(gap), float(lead), float(invariant), float(probs[best]))


def _gradient_share(objective: Objective, size: float) -> float:
    """Share of the policy gradient without std: 1 with leave_one_out, (n-1)/n with the group's mean."""
    return 1.0 if objective.baseline == "leave_one_out" or size == math.inf else (size - 1.0) / size


def _singleton_advantage(objective: Objective, size: int) -> float:
    """Advantage of a lone better reward, whatever the gap: sqrt(n-1), or (n-1)/sqrt(n) with the sample std."""
    population = math.sqrt(size - 1.0) if objective.std_ddof == 0 else (size - 1.0) / math.sqrt(size)
    return population * (size / (size - 1.0) if objective.baseline == "leave_one_out" else 1.0)
