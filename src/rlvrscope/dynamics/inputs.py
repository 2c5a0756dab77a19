"""Checks of the inputs that every function of the dynamics takes: rewards, a start, an objective, sizes and rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, advantages
from rlvrscope.objectives.numeric import MAX_MAGNITUDE

SUM_TOLERANCE = 1e-6
"""Largest distance from 1 of a sum of probabilities (float32 misses by this much); they are divided by their sum."""
MAX_COUNT = 10**12
"""Largest value of any count: steps, seeds, rollouts."""
MAX_QUOTED = 80
"""Characters of a refused value that an error message quotes."""


@dataclass(frozen=True, eq=False)
class Bandit:
    """One state with V actions. log_probs_V: log softmax of the initial logits, nats (-inf: never drawn)."""

    rewards_V: Floats
    log_probs_V: Floats

    @property
    def probs_V(self) -> Floats:
        return np.exp(self.log_probs_V)


def make_bandit(rewards_V: ArrayLike, probs_V: ArrayLike | None, logits_V: ArrayLike | None, axis: str = "V") -> Bandit:
    """Rewards with the start, given either as probabilities or as logits. axis: array suffix in error messages.

    Raises InputError unless exactly one of the two is given, all have one length V >= 2, rewards are finite,
    probabilities are not negative and sum to 1 within 1e-6, and logits are finite or -inf.
    """
    if (probs_V is None) == (logits_V is None):
        got = "none" if probs_V is None else "both"
        raise InputError(f"the start is either probs_{axis} or logits_{axis}; got {got}. Give one of them.")
    rewards = vector(f"rewards_{axis}", rewards_V)
    name, start = (f"probs_{axis}", probs_V) if logits_V is None else (f"logits_{axis}", logits_V)
    values = vector(name, start)
    if rewards.shape != values.shape:
        raise InputError(f"rewards_{axis} and {name} must be of one length; got {rewards.size} and {values.size}")
    if rewards.size < 2:
        raise InputError(f"a policy needs at least 2 actions; rewards_{axis} has {rewards.size}")
    in_range = np.abs(rewards) <= MAX_MAGNITUDE
    _check_entries(f"rewards_{axis}", rewards, in_range, f"finite, at most {MAX_MAGNITUDE:g}")
    return Bandit(rewards, _from_probs(name, values) if logits_V is None else _from_logits(name, values))


def _from_probs(name: str, probs: Floats) -> Floats:
    _check_entries(name, probs, (probs >= 0.0) & np.isfinite(probs), "probabilities, finite and not negative")
    total = math.fsum(probs)
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise InputError(f"{name} must sum to 1 within {SUM_TOLERANCE:g}; it sums to {total:.9g}. Divide by the sum.")
    with np.errstate(divide="ignore"):
        return np.log(probs / total)


def _from_logits(name: str, logits: Floats) -> Floats:
    """Log softmax with an exact sum."""
    _check_entries(name, logits, logits < math.inf, "finite, or -inf for an action never drawn")
    if logits.max() == -math.inf:
        raise InputError(f"{name} must have a finite entry; all are -inf")
    shifted = logits - logits.max()
    return shifted - math.log(math.fsum(np.exp(shifted)))


def _check_entries(name: str, values: Floats, valid: NDArray[np.bool_], rule: str) -> None:
    if not valid.all():
        index = int(np.argmin(valid))
        raise InputError(f"{name} must be {rule}; entry {index} is {values[index]}")


def signal(rewards_V: Floats, objective: Objective) -> Floats:
    """The signal s_v that the objective sees: the reward, or +-1 around its threshold."""
    uncompared = objective.replace(baseline="none", scale="none", shape=None, positive_weight=1.0, negative_weight=1.0)
    return advantages(rewards_V[None], uncompared)[0]


def is_relative(objective: Objective) -> bool:
    """True if the weight of a rollout depends on the others of its group."""
    return objective.baseline != "none" or objective.scale != "none" or objective.shape is not None


def vector(name: str, values: Any) -> Floats:
    """A vector of floats. Raises InputError for another shape or for entries that are not numbers."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InputError(f"{name} must be a list of numbers; got {brief(values)}") from None
    if array.ndim != 1:
        raise InputError(f"{name} must have one entry per action, shape (V,); got {array.shape}")
    return array


def whole_numbers(values: Any) -> Ints | None:
    """A non-empty list of whole numbers as an array; None for anything else."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of several lengths
        return None
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu" or array.max() > np.iinfo(np.int64).max:
        return None
    return array.astype(np.int64)


def check_group_size(group_size: float, objective: Objective) -> float:
    """A whole number of rollouts, or infinity. Raises InputError below the objective's smallest group."""
    smallest = objective.min_group_size
    if _is_number(group_size) and group_size == math.inf:
        return math.inf
    if not _is_number(group_size) or not group_size >= smallest or group_size != int(group_size):
        why = f" where rollouts are compared, as {objective.name!r} does" if smallest > 1 else ""
        raise InputError(f"group_size must be a whole number of at least {smallest}{why}; got {brief(group_size)}")
    return check_count("group_size", int(group_size))


def check_count(name: str, value: Any, minimum: int = 1, maximum: int = MAX_COUNT) -> int:
    """A whole number within bounds. Raises InputError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise InputError(f"{name} must be a whole number of at least {minimum}; got {brief(value)}")
    if value > maximum:
        raise InputError(f"{name} must be at most {maximum:,}; got {brief(value)}")
    return int(value)


def check_rate(name: str, value: Any) -> float:
    """A number above 0 and up to 1e9. Raises InputError for anything else."""
    if not _is_number(value) or not 0.0 < value <= MAX_MAGNITUDE:
        raise InputError(f"{name} must be a finite number above 0, at most {MAX_MAGNITUDE:g}; got {brief(value)}")
    return float(value)


def check_bounds(name: str, value: Any, low: float, high: float) -> float:
    """A number from low to high. Raises InputError for anything else."""
    if not _is_number(value) or not low <= value <= high:
        raise InputError(f"{name} must be a number between {low:g} and {high:g}; got {brief(value)}")
    return float(value)


def check_threshold(value: Any) -> float:
    """A mass strictly between 0 and 1. Raises InputError for anything else."""
    if not _is_number(value) or not 0.0 < value < 1.0:
        raise InputError(f"threshold must be a mass between 0 and 1; got {brief(value)}")
    return float(value)


def check_generator(rng: Any) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng must be a generator, such as rlvrscope.seeding.generator(0); got {brief(rng)}")
    return rng


def check_actions(name: str, actions: Any, num_actions: int) -> Ints:
    """A set of actions as sorted indices. Raises InputError if it is empty, has duplicates or is out of range."""
    indices = whole_numbers(actions)
    if indices is None:
        raise InputError(f"{name} must be a list of actions, whole numbers from 0 on; got {brief(actions)}")
    if indices.min() < 0 or indices.max() >= num_actions or len(np.unique(indices)) < indices.size:
        raise InputError(f"{name} must be different actions between 0 and {num_actions - 1}; got {brief(actions)}")
    return np.sort(indices)


def brief(value: Any) -> str:
    """A refused value on one line, shortened where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
