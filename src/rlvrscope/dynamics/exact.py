"""The expected update of one step, exact: a sum over every group that can be drawn."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.dynamics.groups import Groups, Total
from rlvrscope.dynamics.inputs import Bandit, Floats, bandit, check_group_size, check_rate, known_objective, signal
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective


def expected_update(
    rewards_V: ArrayLike,
    objective: Objective | str,
    group_size: float,
    *,
    probs_V: ArrayLike | None = None,
    logits_V: ArrayLike | None = None,
    learning_rate: float = 1.0,
) -> Floats:
    """The expected change of the logits in one on-policy step, a group of n rollouts.

        E[dz_v] = eta pi_v (At_v - sum_u pi_u At_u),   At_v = E[w_i | a_i = v]

    rewards_V, probs_V, logits_V: (V,), one of the last two; returns (V,). group_size may be math.inf.
    Importance ratios are 1, so clipping, aggregation and the kind of ratio don't enter.
    Raises InputError for bad input, an objective with a KL term, or more than 5 million count vectors.
    Source: Theorem 1 of arXiv 2510.04028, with the advantage's own dependence on the group kept.
    """
    state = bandit(rewards_V, probs_V, logits_V)
    eta = check_rate("learning_rate", learning_rate)
    effective_V = effective_advantage_of(state.rewards_V, objective, group_size)(state.log_probs_V, math.fsum)
    return eta * softmax_step(state.probs_V, effective_V, math.fsum)


def effective_advantage(
    rewards_V: ArrayLike,
    objective: Objective | str,
    group_size: float,
    *,
    probs_V: ArrayLike | None = None,
    logits_V: ArrayLike | None = None,
) -> Floats:
    """At_v = E[w_i | a_i = v]: the mean weight of a rollout of action v, over its group's other rollouts. (V,)

    Defined for actions of probability 0 too: what a first sample of them would weigh.
    Raises as `expected_update` does.
    """
    state: Bandit = bandit(rewards_V, probs_V, logits_V)
    return effective_advantage_of(state.rewards_V, objective, group_size)(state.log_probs_V, math.fsum)


def effective_advantage_of(
    rewards_V: Floats, objective: Objective | str, group_size: float
) -> Callable[[Floats, Total], Floats]:
    """log_probs_V, a way to sum -> At_V. The groups are listed once, for any number of policies."""
    chosen = known_objective(objective)
    size = check_group_size(group_size, chosen)
    if chosen.kl_coef > 0.0:
        raise InputError(
            f"objective {chosen.name!r} has kl_coef {chosen.kl_coef:g}, and an expected update has no reference: "
            "set it to 0, or use simulate"
        )
    if size == math.inf and chosen.shape is not None:
        raise InputError(
            f"objective {chosen.name!r} has a shape, whose limit in an infinite group is not known here: "
            "give a finite group_size"
        )
    if size == math.inf:
        return lambda log_probs_V, total: limit_advantage(rewards_V, np.exp(log_probs_V), chosen, total)
    return Groups.of(rewards_V, chosen, int(size)).effective_advantage


def limit_advantage(rewards_V: Floats, probs_V: Floats, objective: Objective, total: Total) -> Floats:
    """The advantage in a group of infinite size: w((s_v - E s) / (std s + eps)), with no part of a choice left out.

    leave_one_out and both conventions of the std have one limit. 0 where all that can be drawn is equal.
    """
    seen_V = signal(rewards_V, objective)
    possible = seen_V[probs_V > 0.0]
    if possible.min() == possible.max() and objective.baseline != "none":
        return np.zeros_like(seen_V)
    mean = total(probs_V * seen_V)
    advantage_V = seen_V if objective.baseline == "none" else seen_V - mean
    if objective.scale == "group_std":
        advantage_V = advantage_V / (math.sqrt(total(probs_V * (seen_V - mean) ** 2)) + objective.std_eps)
    positive_V, negative_V = np.maximum(advantage_V, 0.0), np.minimum(advantage_V, 0.0)
    return objective.positive_weight * positive_V + objective.negative_weight * negative_V


def softmax_step(probs_V: Floats, advantage_V: Floats, total: Total = math.fsum) -> Floats:
    """pi_v (A_v - sum_u pi_u A_u): the gradient of sum_v pi_v A_v, A held fixed. (V,)"""
    return probs_V * (advantage_V - total(probs_V * advantage_V))
