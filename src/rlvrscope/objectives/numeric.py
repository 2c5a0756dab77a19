"""Array helpers of the objectives: NumPy or torch, and bounds that keep every product finite in float32."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from array_api_compat import array_namespace

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError

MAX_PARAMETER = 1e6
"""Largest weight, coefficient or bound of an objective."""
MAX_MAGNITUDE = 1e9
"""Largest absolute reward or advantage; times MAX_PARAMETER and e^20 (`loss.MAX_LOG_RATIO`) it is finite in float32."""


def at_least_single(xp: ModuleType, values: Array) -> Array:
    """Half precision as float32; other floating-point arrays unchanged."""
    return xp.astype(values, xp.float32) if xp.finfo(values.dtype).bits < 32 else values


def namespace(arrays: Sequence[Array]) -> ModuleType:
    """The arrays' array-API namespace. Raises InputError unless they are all NumPy or all torch."""
    try:
        return array_namespace(*arrays)
    except TypeError as error:
        kinds = ", ".join(sorted({type(array).__module__.partition(".")[0] for array in arrays}))
        raise InputError(f"arrays must be all NumPy or all torch; got {kinds}") from error


def first_beyond(xp: ModuleType, values: Array) -> tuple[int, ...] | None:
    """Index of the first entry that is not finite or above MAX_MAGNITUDE in size; None if there is none."""
    bad = ~(xp.abs(xp.astype(values, xp.float64)) <= MAX_MAGNITUDE)  # also true of NaN
    if not bool(xp.any(bad)):
        return None
    return tuple(int(indices[0]) for indices in xp.nonzero(bad))


def check_number(owner: str, name: str, value: Any, low: float, high: float) -> None:
    """Raise InputError unless the parameter is a number within its bounds."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise InputError(f"{owner}: {name} must be a number from {low:g} to {high:g}; got {value!r}")
