"""What every function here is given: rewards, a start, an objective, sizes and rates. Checked in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, objective_from
from rlvrscope.objectives.advantages import MAX_MAGNITUDE

Floats = NDArray[np.float64]
SUM_TOLERANCE = 1e-6
"""Probabilities may miss 1 by this much, as float32 does; they are divided by their sum."""
MOST = 10**12
"""No count is above this."""
MAX_SHOWN = 80
"""Characters of a refused value that a message quotes."""


@dataclass(frozen=True, eq=False)
class Bandit:
    """One state, V actions. log_probs_V: log softmax of the start's logits, nats (-inf: never drawn)."""

    rewards_V: Floats
    log_probs_V: Floats

    @property
    def probs_V(self) -> Floats:
        return np.exp(self.log_probs_V)


def bandit(rewards_V: ArrayLike, probs_V: ArrayLike | None, logits_V: ArrayLike | None, axis: str = "V") -> Bandit:
    """Rewards with the start, given as probabilities or as logits. axis: the letter that messages name arrays with.

    Raises InputError unless exactly one of the two is given, all are numbers of one length V >= 2, rewards are finite,
    probabilities are not negative and sum to 1 within 1e-6, and logits are finite or -inf.
    """
    if (probs_V is None) == (logits_V is None):
        given = "none" if probs_V is None else "both"
        raise InputError(f"the start is either probs_{axis} or logits_{axis}; got {given}. Give one of them.")
    rewards = numbers(f"rewards_{axis}", rewards_V)
    name, start = (f"probs_{axis}", probs_V) if logits_V is None else (f"logits_{axis}", logits_V)
    values = numbers(name, start)
    if rewards.shape != values.shape:
        raise InputError(f"rewards_{axis} and {name} must be of one length; got {rewards.size} and {values.size}")
    if rewards.size < 2:
        raise InputError(f"a policy needs at least 2 actions; rewards_{axis} has {rewards.size}")
    _all_hold(f"rewards_{axis}", rewards, np.abs(rewards) <= MAX_MAGNITUDE, f"finite, at most {MAX_MAGNITUDE:g}")
    return Bandit(rewards, _log_probs(name, values) if logits_V is None else _log_softmax(name, values))


def numbers(name: str, values: Any) -> Floats:
    """A vector of floats. Raises InputError for another shape, or for what is no number."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InputError(f"{name} must be a list of numbers; got {brief(values)}") from None
    if array.ndim != 1:
        raise InputError(f"{name} must have one entry an action, shape (V,); got {array.shape}")
    return array


def known_objective(objective: Objective | str) -> Objective:
    """An objective or a name of the catalogue. Raises InputError, with the nearest names, for another."""
    return objective_from(objective)


def check_group_size(group_size: float, objective: Objective) -> float:
    """A whole number of rollouts, or infinity. Raises InputError below 1, or below 2 where a group is compared."""
    least = objective.min_group_size
    if _is_number(group_size) and group_size == math.inf:
        return math.inf
    if not _is_number(group_size) or not group_size >= least or group_size != int(group_size):
        why = f" where rollouts are compared, as {objective.name!r} does" if least > 1 else ""
        raise InputError(f"group_size must be a whole number of at least {least}{why}; got {brief(group_size)}")
    return check_count("group_size", int(group_size))


def check_count(name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """A whole number. Raises InputError for another value, or one out of bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}; got {brief(value)}")
    if value > most:
        raise InputError(f"{name} must be at most {most:,}; got {brief(value)}")
    return int(value)


def check_rate(name: str, value: Any) -> float:
    """A number above 0 and up to 1e9. Raises InputError for another value."""
    if not _is_number(value) or not 0.0 < value <= MAX_MAGNITUDE:
        raise InputError(f"{name} must be a finite number above 0, at most {MAX_MAGNITUDE:g}; got {brief(value)}")
    return float(value)


def check_bounds(name: str, value: Any, low: float, high: float) -> float:
    """A number from low to high. Raises InputError for another value."""
    if not _is_number(value) or not low <= value <= high:
        raise InputError(f"{name} must be a number between {low:g} and {high:g}; got {brief(value)}")
    return float(value)


def check_threshold(value: Any) -> float:
    """A mass to be passed. Raises InputError unless it lies between 0 and 1."""
    if not _is_number(value) or not 0.0 < value < 1.0:
        raise InputError(f"threshold must be a mass between 0 and 1; got {brief(value)}")
    return float(value)


def check_generator(rng: Any) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng must be a generator, such as rlvrscope.seeding.generator(0); got {brief(rng)}")
    return rng


def check_actions(name: str, actions: Any, num_actions: int) -> NDArray[np.int64]:
    """A set of actions as sorted indices. Raises InputError if it is empty, repeats one, or names one outside."""
    found = whole_numbers(actions)
    if found is None:
        raise InputError(f"{name} must be a list of actions, whole numbers from 0 on; got {brief(actions)}")
    if found.min() < 0 or found.max() >= num_actions or len(np.unique(found)) < found.size:
        raise InputError(f"{name} must be different actions between 0 and {num_actions - 1}; got {brief(actions)}")
    return np.sort(found)


def whole_numbers(values: Any) -> NDArray[np.int64] | None:
    """A list of whole numbers that is not empty; None of anything else."""
    try:
        found = np.asarray(values)
    except ValueError:  # lists of several lengths
        return None
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu" or found.max() > np.iinfo(np.int64).max:
        return None
    return found.astype(np.int64)


def brief(value: Any) -> str:
    """A refused value on one line, its end left out where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_relative(objective: Objective) -> bool:
    """Whether rollouts are compared with others of their group."""
    return objective.baseline != "none" or objective.scale != "none" or objective.shape is not None


def signal(rewards_V: Floats, objective: Objective) -> Floats:
    """What the objective sees of a reward: the reward itself, or +1 at or above the threshold and -1 below."""
    return np.where(rewards_V >= objective.threshold, 1.0, -1.0) if objective.signal == "signed" else rewards_V


def _log_probs(name: str, probs: Floats) -> Floats:
    _all_hold(name, probs, (probs >= 0.0) & np.isfinite(probs), "probabilities, finite and not negative")
    total = math.fsum(probs)
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise InputError(f"{name} must sum to 1 within {SUM_TOLERANCE:g}; it sums to {total:.9g}. Divide by the sum.")
    with np.errstate(divide="ignore"):
        return np.log(probs / total)


def _log_softmax(name: str, logits: Floats) -> Floats:
    _all_hold(name, logits, logits < math.inf, "finite, or -inf for an action never drawn")
    if logits.max() == -math.inf:
        raise InputError(f"{name} must have a finite entry; all are -inf")
    shifted = logits - logits.max()
    return shifted - math.log(math.fsum(np.exp(shifted)))


def _all_hold(name: str, values: Floats, holds: NDArray[np.bool_], rule: str) -> None:
    if not holds.all():
        index = int(np.argmin(holds))
        raise InputError(f"{name} must be {rule}; entry {index} is {values[index]}")
