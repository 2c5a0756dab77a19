"""What the formulas here share: the two kinds of arrays, and the bounds that keep every product finite."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from array_api_compat import array_namespace

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError

MAX_PARAMETER = 1e6
"""No weight, coefficient or bound may pass this: with advantages below 1e9 every product is finite in float32."""
MAX_MAGNITUDE = 1e9
"""Rewards and advantages beyond this are refused: it keeps every product below finite in float32."""


def at_least_single(xp: ModuleType, values: Array) -> Array:
    """Half precision as float32; other floating numbers as they are."""
    return xp.astype(values, xp.float32) if xp.finfo(values.dtype).bits < 32 else values


def namespace(arrays: Sequence[Array]) -> ModuleType:
    """The array API of these arrays. Raises InputError unless they are all NumPy arrays or all torch tensors."""
    try:
        return array_namespace(*arrays)
    except TypeError as error:
        kinds = ", ".join(sorted({type(array).__module__.partition(".")[0] for array in arrays}))
        raise InputError(f"arrays must be all NumPy or all torch; got {kinds}") from error


def first_beyond(xp: ModuleType, values_PG: Array) -> tuple[int, int] | None:
    """Row and column of the first number that is not finite or beyond the bound; None if all are within it."""
    bad = ~(xp.abs(xp.astype(values_PG, xp.float64)) <= MAX_MAGNITUDE)  # also true of NaN
    if not bool(xp.any(bad)):
        return None
    rows, columns = xp.nonzero(bad)
    return int(rows[0]), int(columns[0])
