"""Rewards of groups of rollouts -> advantages."""

from __future__ import annotations

from types import ModuleType

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError
from rlvrscope.objectives.numeric import MAX_MAGNITUDE, at_least_single, first_beyond, namespace
from rlvrscope.objectives.objective import Objective


def advantages(rewards_PG: Array, objective: Objective) -> Array:
    """Advantages of groups of rollouts of the same prompt.

        a = shape(r, (s - baseline) / scale),   A = positive_weight max(a, 0) + negative_weight min(a, 0)

    baseline: mean of the group, mean of the others (leave_one_out; equals G/(G-1) (s - mean)), or none.
    scale: standard deviation over the group (std_ddof) + std_eps, or none. Where a baseline or a scale is taken, a
    group whose rewards are all equal has A = 0 exactly: eps must not amplify rounding. Half precision is computed in
    float32. The result is always finite.
    shape: the objective's, if it has one. It comes after that 0, which a user's own function may thus fill, and before
    the sign weights, so that a weight of 0 removes a sign whatever the shape: the negative half of any objective is
    its positive_weight=0.
    rewards_PG: (P, G), a floating NumPy array or torch tensor; the result is of the same kind, dtype and shape.
    Raises InputError for another shape of the array, rewards that are not finite, G < 2 where a baseline or scale is
    taken, G <= k of pass@k, or a user's function that fails.
    Source: DeepSeekMath (arXiv 2402.03300); the sign weights, arXiv 2510.04028 and 2506.01347.
    """
    xp = namespace([rewards_PG])
    _check_rewards(xp, rewards_PG, objective)
    signal_PG = at_least_single(xp, rewards_PG)
    if objective.signal == "signed":
        signal_PG = xp.where(signal_PG >= objective.threshold, xp.ones_like(signal_PG), -xp.ones_like(signal_PG))

    advantage_PG = signal_PG - _baseline(xp, signal_PG, objective)
    if objective.scale == "group_std":
        std_P1 = xp.std(signal_PG, axis=1, keepdims=True, correction=objective.std_ddof)
        advantage_PG = advantage_PG / (std_P1 + objective.std_eps)
    if objective.baseline != "none" or objective.scale != "none":
        equal_P1 = xp.max(signal_PG, axis=1, keepdims=True) == xp.min(signal_PG, axis=1, keepdims=True)
        advantage_PG = xp.where(equal_P1, xp.zeros_like(advantage_PG), advantage_PG)
    if objective.shape is not None:
        advantage_PG = objective.shape(at_least_single(xp, rewards_PG), advantage_PG, objective.threshold)

    positive_PG = xp.clip(advantage_PG, min=0.0)
    negative_PG = xp.clip(advantage_PG, max=0.0)
    weighted_PG = objective.positive_weight * positive_PG + objective.negative_weight * negative_PG
    return xp.astype(weighted_PG, rewards_PG.dtype)


def _baseline(xp: ModuleType, signal_PG: Array, objective: Objective) -> Array | float:
    if objective.baseline == "none":
        return 0.0
    if objective.baseline == "group_mean":
        return xp.mean(signal_PG, axis=1, keepdims=True)
    return (xp.sum(signal_PG, axis=1, keepdims=True) - signal_PG) / (signal_PG.shape[1] - 1)


def _check_rewards(xp: ModuleType, rewards_PG: Array, objective: Objective) -> None:
    if rewards_PG.ndim != 2 or 0 in tuple(rewards_PG.shape):
        raise InputError(f"rewards_PG must have shape (problems, rollouts); got {tuple(rewards_PG.shape)}")
    if not xp.isdtype(rewards_PG.dtype, "real floating"):
        raise InputError(f"rewards_PG must be floating point; got {rewards_PG.dtype}. Convert it first.")
    relative = objective.baseline != "none" or objective.scale != "none"
    if relative and rewards_PG.shape[1] < 2:
        raise InputError(
            f"objective {objective.name!r} compares the rollouts of a group, so a group needs at least 2; "
            f"rewards_PG has shape {tuple(rewards_PG.shape)}"
        )
    at = first_beyond(xp, rewards_PG)
    if at is not None:
        raise InputError(
            f"rewards must be finite and at most {MAX_MAGNITUDE:g} in size; "
            f"rewards_PG[{at[0]}, {at[1]}] is {float(rewards_PG[at[0], at[1]])}"
        )
