"""What every function here is given: rewards, a start, an objective, sizes and rates. Checked in one place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from massflow.errors import InputError
from massflow.objectives import Objective, objective_from
from massflow.objectives.advantage import MAGNITUDE_BOUND

Floats = NDArray[np.float64]
SUM_TOLERANCE = 1e-6
"""Probabilities may miss 1 by this much, as float32 does; they are divided by their sum."""


@dataclass(frozen=True, eq=False)
class Bandit:
    """One state, V actions. log_probs_V: log softmax of the start's logits, nats (-inf: never drawn)."""

    rewards_V: Floats
    log_probs_V: Floats

    @property
    def probs_V(self) -> Floats:
        return np.exp(self.log_probs_V)


def bandit(rewards_V: ArrayLike, probs_V: ArrayLike | None, logits_V: ArrayLike | None) -> Bandit:
    """Rewards with the start, given as probabilities or as logits.

    Raises InputError unless exactly one of the two is given, all are numbers of one length V >= 2, rewards are finite,
    probabilities are not negative and sum to 1 within 1e-6, and logits are finite or -inf.
    """
    if (probs_V is None) == (logits_V is None):
        given = "none" if probs_V is None else "both"
        raise InputError(f"the start is either probs_V or logits_V; got {given}. Give one of them.")
    rewards = numbers("rewards_V", rewards_V)
    name, start = ("probs_V", probs_V) if logits_V is None else ("logits_V", logits_V)
    values = numbers(name, start)
    if rewards.shape != values.shape:
        raise InputError(f"rewards_V and {name} must be of one length; got {rewards.size} and {values.size}")
    if rewards.size < 2:
        raise InputError(f"a policy needs at least 2 actions; rewards_V has {rewards.size}")
    _all_hold("rewards_V", rewards, np.abs(rewards) <= MAGNITUDE_BOUND, f"finite and at most {MAGNITUDE_BOUND:g}")
    return Bandit(rewards, _log_probs(values) if logits_V is None else _log_softmax(values))


def numbers(name: str, values: Any) -> Floats:
    """A vector of floats. Raises InputError for another shape, or for what is no number."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a list of numbers; got {values!r}") from None
    if array.ndim != 1:
        raise InputError(f"{name} must have one entry an action, shape (V,); got {array.shape}")
    return array


def known_objective(objective: Objective | str) -> Objective:
    """An objective or a name of the catalogue. Raises InputError, with the nearest names, for another."""
    return objective_from(objective)


def check_group_size(group_size: float, objective: Objective) -> float:
    """A whole number of rollouts, or infinity. Raises InputError below 1, or below 2 where a group is compared."""
    least = objective.least_group_size
    whole = isinstance(group_size, (int, float, np.integer, np.floating)) and not isinstance(group_size, bool)
    if not whole or not group_size >= least or (group_size != math.inf and group_size != int(group_size)):
        why = f" where rollouts are compared, as {objective.name!r} does" if least > 1 else ""
        raise InputError(f"group_size must be a whole number of at least {least}{why}; got {group_size!r}")
    return group_size if group_size == math.inf else int(group_size)


def check_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number. Raises InputError for another value, or one below `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return int(value)


def check_rate(name: str, value: Any) -> float:
    """A finite number above 0. Raises InputError for another value."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0.0 < value < math.inf:
        raise InputError(f"{name} must be a finite number above 0; got {value!r}")
    return float(value)


def check_actions(name: str, actions: Sequence[int] | NDArray[np.int64], num_actions: int) -> NDArray[np.int64]:
    """A set of actions as sorted indices. Raises InputError if it is empty, repeats one, or names one outside."""
    found = np.asarray(actions)
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu":
        raise InputError(f"{name} must be a list of actions, whole numbers from 0 on; got {actions!r}")
    if found.min() < 0 or found.max() >= num_actions or len(np.unique(found)) < found.size:
        raise InputError(f"{name} must be different actions between 0 and {num_actions - 1}; got {found.tolist()}")
    return np.sort(found).astype(np.int64)


def is_relative(objective: Objective) -> bool:
    """Whether rollouts are compared with others of their group."""
    return objective.baseline != "none" or objective.scale != "none" or objective.shape is not None


def signal(rewards_V: Floats, objective: Objective) -> Floats:
    """What the objective sees of a reward: the reward itself, or +1 at or above the threshold and -1 below."""
    return np.where(rewards_V >= objective.threshold, 1.0, -1.0) if objective.signal == "signed" else rewards_V


def _log_probs(probs: Floats) -> Floats:
    _all_hold("probs_V", probs, (probs >= 0.0) & np.isfinite(probs), "probabilities, finite and not negative")
    total = math.fsum(probs)
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise InputError(f"probs_V must sum to 1 within {SUM_TOLERANCE:g}; it sums to {total:.9g}. Divide by the sum.")
    with np.errstate(divide="ignore"):
        return np.log(probs / total)


def _log_softmax(logits: Floats) -> Floats:
    _all_hold("logits_V", logits, logits < math.inf, "finite, or -inf for an action never drawn")
    if logits.max() == -math.inf:
        raise InputError("logits_V must have a finite entry; all are -inf")
    shifted = logits - logits.max()
    return shifted - math.log(math.fsum(np.exp(shifted)))


def _all_hold(name: str, values: Floats, holds: NDArray[np.bool_], rule: str) -> None:
    if not holds.all():
        index = int(np.argmin(holds))
        raise InputError(f"{name} must be {rule}; entry {index} is {values[index]}")
