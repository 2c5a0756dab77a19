"""The exact expected update of one training step: a sum over every group that can be drawn."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.arrays import Floats
from rlvrscope.dynamics.groups import Groups
from rlvrscope.dynamics.inputs import check_group_size, check_rate, make_bandit, signal
from rlvrscope.dynamics.softmax import Sum, policy_gradient
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, objective_from


def expected_update(
    rewards_V: ArrayLike,
    objective: Objective | str,
    group_size: float,
    *,
    probs_V: ArrayLike | None = None,
    logits_V: ArrayLike | None = None,
    learning_rate: float = 1.0,
) -> Floats:
    """Expected change of the logits in one on-policy step on a group of n rollouts.

        E[dz_v] = eta pi_v (At_v - sum_u pi_u At_u),   At_v = E[w_i | a_i = v]

    w_i is the weight (advantage after sign weights) of rollout i, a_i its action; n is the group size, which
    may be math.inf. rewards_V and either probs_V or logits_V: (V,); returns (V,).
    Importance ratios are 1, so clipping, aggregation and the kind of ratio have no effect.
    Raises InputError for bad input, an objective with a KL term, or more than 5 million count vectors.
    Source: Theorem 1 of arXiv 2510.04028, extended to advantages that depend on the group.
    """
    bandit = make_bandit(rewards_V, probs_V, logits_V)
    eta = check_rate("learning_rate", learning_rate)
    effective_V = effective_advantage_function(bandit.rewards_V, objective, group_size)(bandit.log_probs_V, math.fsum)
    return eta * policy_gradient(bandit.probs_V, effective_V)


def effective_advantage(
    rewards_V: ArrayLike,
    objective: Objective | str,
    group_size: float,
    *,
    probs_V: ArrayLike | None = None,
    logits_V: ArrayLike | None = None,
) -> Floats:
    """Effective advantage At_v = E[w_i | a_i = v]: expected weight of a rollout that took action v. Shape (V,).

    Also defined for actions of probability 0: the weight that a first sample would get.
    Raises InputError as `expected_update` does.
    """
    bandit = make_bandit(rewards_V, probs_V, logits_V)
    return effective_advantage_function(bandit.rewards_V, objective, group_size)(bandit.log_probs_V, math.fsum)


def effective_advantage_function(
    rewards_V: Floats, objective: Objective | str, group_size: float
) -> Callable[[Floats, Sum], Floats]:
    """Return (log_probs_V, sum) -> At_V. The groups are enumerated once and serve any number of policies."""
    objective = objective_from(objective)
    size = check_group_size(group_size, objective)
    if objective.kl_coef > 0.0:
        raise InputError(
            f"objective {objective.name!r} has kl_coef {objective.kl_coef:g}, and an expected update has no reference: "
            "set it to 0, or use simulate"
        )
    if size != math.inf:
        return Groups.enumerate(rewards_V, objective, int(size)).effective_advantage
    if objective.shape is not None:
        raise InputError(
            f"objective {objective.name!r} has a shape, whose limit in an infinite group is unknown: "
            "give a finite group_size"
        )
    signal_V = signal(rewards_V, objective)
    return lambda log_probs_V, total: infinite_group_advantage(signal_V, np.exp(log_probs_V), objective, total)


def infinite_group_advantage(signal_V: Floats, probs_V: Floats, objective: Objective, total: Sum) -> Floats:
    """Advantage in an infinite group, where mean and std are those of the policy: w((s_v - E s) / (std s + eps)).

    leave_one_out and both values of std_ddof share this limit. 0 where all possible actions have the same signal.
    """
    possible = signal_V[probs_V > 0.0]
    if possible.min() == possible.max() and objective.baseline != "none":
        return np.zeros_like(signal_V)
    mean = total(probs_V * signal_V)
    advantage_V = signal_V if objective.baseline == "none" else signal_V - mean
    if objective.scale == "group_std":
        advantage_V = advantage_V / (math.sqrt(total(probs_V * (signal_V - mean) ** 2)) + objective.std_eps)
    positive_V, negative_V = np.maximum(advantage_V, 0.0), np.minimum(advantage_V, 0.0)
    return objective.positive_weight * positive_V + objective.negative_weight * negative_V
