"""Advantages: rewards of groups of rollouts -> how much each rollout is reinforced. Rectangular and ragged groups."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from array_api_compat import device

from rlvrscope.arrays import Array, Ints
from rlvrscope.errors import InputError
from rlvrscope.objectives.likelihood import Likelihood, Smoothing, Unlikeliness
from rlvrscope.objectives.numeric import MAX_MAGNITUDE, at_least_single, first_beyond, namespace
from rlvrscope.objectives.objective import Objective
from rlvrscope.objectives.shape import BatchBalance, PassAtK


def advantages(rewards_PG: Array, objective: Objective, likelihood: Likelihood | None = None) -> Array:
    """Advantages of P groups of G rollouts each; the rollouts of a group answer the same prompt.

        s = r, or +1 where r >= threshold and -1 elsewhere (signal "signed")
        a = shape(r, (s - baseline) / scale)
        A = positive_weight max(a, 0) + negative_weight min(a, 0)

    baseline: mean of the group, mean of the other rollouts (leave_one_out; equals G/(G-1) (s - mean)), or none.
    scale: standard deviation of the group (std_ddof) + std_eps, or none.
    With a baseline or a scale, groups of equal rewards get (s - baseline) / scale = 0 exactly, so eps can't amplify
    rounding errors. The shape comes after that, so a user's function may fill such groups; the sign weights come last,
    so a weight of 0 removes a sign whatever the shape.

    rewards_PG: (P, G) floating point, NumPy or torch. Returns the same kind, dtype, device and shape, always finite;
    half precision is computed in float32. likelihood: (P, G) each, for shapes that read it; else not looked at.
    Raises InputError for another shape or dtype, rewards that are not finite, G < 2 with a baseline or a scale,
    G <= k with pass@k, a shape that lacks what it reads, a user's function that
    fails. For groups of different sizes see `advantages_by_group`.
    Source: DeepSeekMath (arXiv 2402.03300, section 4.1); sign weights: arXiv 2510.04028 and 2506.01347.
    """
    xp = namespace([rewards_PG])
    if rewards_PG.ndim != 2 or 0 in tuple(rewards_PG.shape):
        raise InputError(f"rewards_PG must have shape (problems, rollouts); got {tuple(rewards_PG.shape)}")
    if objective.is_relative and rewards_PG.shape[1] < 2:
        raise InputError(
            f"objective {objective.name!r} compares the rollouts of a group, so a group needs at least 2; "
            f"rewards_PG has shape {tuple(rewards_PG.shape)}"
        )
    _check_rewards(xp, rewards_PG, "rewards_PG")
    return _group_advantages(xp, rewards_PG, objective, _likelihood(objective, rewards_PG, likelihood))


def advantages_by_group(
    rewards_B: Array, group_B: Array, objective: Objective, likelihood: Likelihood | None = None
) -> Array:
    """Advantages of B rollouts in groups of any sizes, in any order.

    Each group gets what `advantages` gives for it alone, bit for bit on the CPU. One exception: with a baseline or a
    scale, a rollout that is alone in its group has nothing to be compared with, and its advantage is exactly 0.

    rewards_B: (B,) floating point, NumPy or torch. group_B: (B,) integers, NumPy or torch; equal labels are one group.
    Returns (B,), of the kind, dtype and device of the rewards. Groups of equal size are computed together, and a
    user's shape function is called once per group size. likelihood: (B,) each, as in `advantages`.
    Raises InputError as `advantages` does, for labels that don't match the rewards, and for groups that are too small
    for the objective's shape (pass@k needs k + 1 rollouts), with the group's label and size.
    """
    xp = namespace([rewards_B])
    if rewards_B.ndim != 1 or 0 in tuple(rewards_B.shape):
        raise InputError(f"rewards_B must have shape (rollouts,), not empty; got {tuple(rewards_B.shape)}")
    _check_rewards(xp, rewards_B, "rewards_B")
    label_N, index_B, size_N = _groups(group_B, tuple(rewards_B.shape))
    if isinstance(objective.shape, PassAtK) and size_N.min() < objective.min_group_size:
        smallest = int(size_N.argmin())
        raise InputError(
            f"objective {objective.name!r} needs groups of at least {objective.min_group_size} rollouts; "
            f"group {label_N[smallest]} has {size_N[smallest]}. Leave the group out, or lower k."
        )
    if isinstance(objective.shape, BatchBalance) and size_N.min() != size_N.max():
        raise InputError(
            f"objective {objective.name!r} weighs the groups of a batch together, so they must have one size; "
            f"got {size_N.min()} to {size_N.max()} rollouts"
        )
    likelihood = _likelihood(objective, rewards_B, likelihood)
    order_B = np.lexsort((index_B, size_N[index_B]))  # by size, then by group; within a group as given
    by_size_B = _on_device(xp, order_B, rewards_B)
    sorted_B = xp.take(rewards_B, by_size_B, axis=0)
    if likelihood is not None:
        likelihood = Likelihood(*(xp.take(values_B, by_size_B, axis=0) for values_B in likelihood))
    parts, start = [], 0
    for size, groups in zip(*np.unique(size_N, return_counts=True), strict=True):
        stop = start + int(size * groups)
        shape_PG = (int(groups), int(size))
        rewards_PG = xp.reshape(sorted_B[start:stop], shape_PG)
        part = likelihood and Likelihood(*(xp.reshape(values_B[start:stop], shape_PG) for values_B in likelihood))
        alone = size == 1 and objective.is_relative
        advantage_PG = xp.zeros_like(rewards_PG) if alone else _group_advantages(xp, rewards_PG, objective, part)
        parts.append(xp.reshape(advantage_PG, (-1,)))
        start = stop
    return xp.take(xp.concat(parts), _on_device(xp, np.argsort(order_B), rewards_B), axis=0)


def sign_weighted(advantages: Array, objective: Objective) -> Array:
    """Weights of the signs, the last step of `advantages`: positive_weight max(a, 0) + negative_weight min(a, 0).

    advantages: of any shape, NumPy or torch. For trainers that compute the advantages of a group themselves.
    """
    xp = namespace([advantages])
    positive, negative = xp.clip(advantages, min=0.0), xp.clip(advantages, max=0.0)
    return objective.positive_weight * positive + objective.negative_weight * negative


def _group_advantages(xp: ModuleType, rewards_PG: Array, objective: Objective, likelihood: Likelihood | None) -> Array:
    signal_PG = at_least_single(xp, rewards_PG)
    if objective.signal == "signed":
        signal_PG = xp.where(signal_PG >= objective.threshold, xp.ones_like(signal_PG), -xp.ones_like(signal_PG))

    advantage_PG = signal_PG - _baseline(xp, signal_PG, objective)
    if objective.scale == "group_std":
        advantage_PG = advantage_PG / (_std(xp, signal_PG, objective.std_ddof) + objective.std_eps)
    if objective.is_relative:
        equal_P1 = xp.max(signal_PG, axis=1, keepdims=True) == xp.min(signal_PG, axis=1, keepdims=True)
        advantage_PG = xp.where(equal_P1, xp.zeros_like(advantage_PG), advantage_PG)
    shape, seen_PG = objective.shape, at_least_single(xp, rewards_PG)
    if isinstance(shape, Unlikeliness | Smoothing):
        assert likelihood is not None  # checked in `_likelihood`
        advantage_PG = shape(seen_PG, advantage_PG, objective.threshold, likelihood)
    elif shape is not None:
        advantage_PG = shape(seen_PG, advantage_PG, objective.threshold)
    return xp.astype(sign_weighted(advantage_PG, objective), rewards_PG.dtype)


def _likelihood(objective: Objective, rewards: Array, likelihood: Likelihood | None) -> Likelihood | None:
    """The likelihood, checked, if the objective reads it."""
    if not isinstance(objective.shape, Unlikeliness | Smoothing):
        return None
    if likelihood is None:
        raise InputError(
            f"objective {objective.name!r} reads the log-probabilities of completions under the policy that sampled "
            "them: give likelihood=Likelihood(logp, length)"
        )
    return likelihood.checked(at_least_single(namespace([rewards]), rewards))


def _baseline(xp: ModuleType, signal_PG: Array, objective: Objective) -> Array | float:
    if objective.baseline == "none":
        return 0.0
    if objective.baseline == "group_mean":
        return xp.mean(signal_PG, axis=1, keepdims=True)
    return (xp.sum(signal_PG, axis=1, keepdims=True) - signal_PG) / (signal_PG.shape[1] - 1)


def _std(xp: ModuleType, signal_PG: Array, ddof: int) -> Array:
    """(P, 1) standard deviations in two passes, bit for bit NumPy's; torch.std depends on how many groups there are."""
    deviation_PG = signal_PG - xp.mean(signal_PG, axis=1, keepdims=True)
    squares_P1 = xp.sum(deviation_PG * deviation_PG, axis=1, keepdims=True)
    return xp.sqrt(squares_P1 / (signal_PG.shape[1] - ddof))


def _groups(group_B: Array, shape: tuple[int, ...]) -> tuple[Ints, Ints, Ints]:
    """(label_N, index_B, size_N): each group's label, each rollout's group, each group's size."""
    label_B = np.asarray(group_B.cpu() if hasattr(group_B, "cpu") else group_B)
    if label_B.dtype.kind not in "iu" or label_B.shape != shape:
        raise InputError(
            f"group_B must hold an integer for each of the {shape[0]} rewards; "
            f"got {label_B.dtype} of shape {label_B.shape}"
        )
    return np.unique(label_B, return_inverse=True, return_counts=True)


def _on_device(xp: ModuleType, index_B: Ints, like: Array) -> Array:
    return xp.asarray(index_B, device=device(like))


def _check_rewards(xp: ModuleType, rewards: Array, name: str) -> None:
    if not xp.isdtype(rewards.dtype, "real floating"):
        raise InputError(f"{name} must be floating point; got {rewards.dtype}. Convert it first.")
    at = first_beyond(xp, rewards)
    if at is not None:
        raise InputError(
            f"rewards must be finite and at most {MAX_MAGNITUDE:g} in size; "
            f"{name}[{', '.join(map(str, at))}] is {float(rewards[at])}"
        )
