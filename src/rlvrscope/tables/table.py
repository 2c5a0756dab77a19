"""Tables: column names, and batches of selected columns."""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Ints
from rlvrscope.errors import InputError
from rlvrscope.tables.values import to_json

BATCH_ROWS = 16384
MAX_BATCH_CHARACTERS = 1 << 25
"""A batch of a text file ends early past this much text, which bounds memory."""
Numbered = tuple[int, Sequence[Any], int]
"""A row's number, its values in the selected columns, and its length in characters."""


class UnknownTableError(InputError):
    """The file holds no table, or one whose columns say nothing of what is asked for: in a folder, a report."""


@dataclass(frozen=True, eq=False)
class Column:
    """A dictionary-encoded column of a batch: row i holds values[code_B[i]]."""

    code_B: Ints
    values: Sequence[Any]

    @classmethod
    def of(cls, values_B: Sequence[Any]) -> Column:
        types = set(map(type, values_B))
        if bool in types and len(types) > 1:  # True and 1 are equal, and not the same
            return cls._by_key([(type(value).__name__, to_json(value)) for value in values_B], values_B)
        try:
            return cls._by_key(values_B, values_B)
        except TypeError:  # lists and objects
            pass
        try:
            return cls._by_key([tuple(value) if type(value) is list else value for value in values_B], values_B)
        except TypeError:  # lists of lists, and objects: distinguished by their JSON
            return cls._by_key([(type(value).__name__, to_json(value)) for value in values_B], values_B)

    @classmethod
    def _by_key(cls, keys_B: Sequence[Any], values_B: Sequence[Any]) -> Column:
        """Code values by their keys; of equal ones the first stands for all."""
        index = {key: code for code, key in enumerate(dict.fromkeys(keys_B))}
        code_B = np.fromiter(map(index.__getitem__, keys_B), np.int64, len(keys_B))
        if keys_B is values_B:
            return cls(code_B, list(index))
        first = dict(zip(reversed(keys_B), reversed(values_B), strict=True))
        return cls(code_B, [first[key] for key in index])

    def map(self, change: Callable[[Any], Any]) -> Column:
        """Apply `change` once per distinct value."""
        return Column(self.code_B, [change(value) for value in self.values])

    def array(self, change: Callable[[Any], Any]) -> NDArray[Any]:
        """(B,) `change` of each row's value."""
        return np.array([change(value) for value in self.values])[self.code_B]

    def list(self) -> list[Any]:
        return [self.values[code] for code in self.code_B.tolist()]

    def select(self, rows: NDArray[Any]) -> Column:
        """Some rows, by mask or by index."""
        return Column(self.code_B[rows], self.values)


@dataclass(frozen=True)
class Batch:
    """Rows of a table: row_B, their numbers in the file, and the selected columns."""

    row_B: Ints
    columns: Mapping[str, Column]

    def select(self, keep_B: NDArray[np.bool_]) -> Batch:
        return Batch(self.row_B[keep_B], {name: column.select(keep_B) for name, column in self.columns.items()})


class Table(Protocol):
    """A file that can be read repeatedly, in batches of selected columns."""

    @property
    def path(self) -> Path: ...

    @property
    def names(self) -> Sequence[str]:
        """Column names."""
        ...

    @property
    def numeric(self) -> Sequence[str]:
        """Columns of a numeric type; known only for Parquet."""
        ...

    @property
    def parts(self) -> Sequence[int]:
        """Parts that can be read separately: row groups of Parquet."""
        ...

    @property
    def columnar(self) -> bool:
        """True if reading few columns costs less than reading all."""
        ...

    @property
    def row(self) -> str:
        """Unit of row numbers: "line" or "row"."""
        ...

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        """Yield batches of at most `rows` rows. Raises InputError, naming file and row, for damaged data."""
        ...


def group_rows(columns: Sequence[Column]) -> tuple[Ints, Ints]:
    """(code_B, first_C): index of each row's combination of values, and the first row of each of the C combinations."""
    code_B = np.zeros(len(columns[0].code_B), dtype=np.int64)
    for column in columns:
        if len(column.values) > 1:  # renumbered at each column, so that the product stays small
            code_B = np.unique(code_B * len(column.values) + column.code_B, return_inverse=True)[1]
    return code_B, np.unique(code_B, return_index=True)[1]


def in_batches(rows: Iterator[Numbered], columns: Sequence[str], max_rows: int) -> Iterator[Batch]:
    """Yield the rows of a text file in batches of at most `max_rows` rows and MAX_BATCH_CHARACTERS."""
    while taken := take_rows(rows, max_rows, MAX_BATCH_CHARACTERS):
        values = zip(*(values for _, values, _ in taken), strict=True)
        coded = {name: Column.of(column) for name, column in zip(columns, values, strict=True)}
        yield Batch(np.array([number for number, *_ in taken]), coded)


def take_rows(rows: Iterator[Numbered], max_rows: int, characters: int) -> list[Numbered]:
    """Return the next `max_rows` rows, or fewer if they exceed this many characters."""
    taken: list[Numbered] = []
    with collector_paused():
        for row in itertools.islice(rows, max_rows):
            taken.append(row)
            characters -= row[2]
            if characters < 0:
                break
    return taken


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector: rows hold no cycles, and going through them again and again takes half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
