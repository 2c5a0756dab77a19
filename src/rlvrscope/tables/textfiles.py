"""CSV and JSONL tables, plain or gzipped, decoded line by line so that errors can name the line."""

from __future__ import annotations

import contextlib
import csv
import gzip
import itertools
import json
import threading
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlvrscope.errors import InputError, file_errors
from rlvrscope.tables.table import BATCH_ROWS, Batch, Column
from rlvrscope.tables.values import shorten

_MAX_BATCH_CHARACTERS = 1 << 25
"""A batch ends early past this much text, which bounds memory."""
_MAX_FIELD_CHARACTERS = 2**31 - 1
_HEAD_ROWS = 100
_CSV_LIMIT = threading.RLock()
Numbered = tuple[int, Sequence[Any], int]
"""A row's line number, its values in the selected columns, and its length in characters."""


@dataclass(frozen=True)
class CsvTable:
    """CSV table; the first line names the columns."""

    path: Path
    names: Sequence[str]
    numeric: Sequence[str] = ()
    parts: Sequence[int] = (0,)
    columnar: bool = False
    row: str = "line"

    @classmethod
    def open(cls, path: Path) -> CsvTable:
        with contextlib.closing(_csv_rows(path)) as rows:
            _, header, _ = next(rows, (1, [], 0))
        if not any(name.strip() for name in header):
            raise InputError(f"{path}: a CSV file needs a first line that names its columns; this one is empty")
        return cls(path, [name.strip() for name in header])

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        del parts  # a text file is one part
        return _in_batches(self._rows([self.names.index(name) for name in columns]), columns, rows)

    def _rows(self, places: Sequence[int]) -> Iterator[Numbered]:
        for line, fields, size in itertools.islice(_csv_rows(self.path), 1, None):
            if len(fields) != len(self.names):
                raise InputError(
                    f"{self.path}: line {line}: the header names {len(self.names)} columns, this line has {len(fields)}"
                )
            yield line, [fields[place] for place in places], size


@dataclass(frozen=True)
class JsonlTable:
    """JSONL table: one JSON object per line; the columns are the keys of the first hundred objects."""

    path: Path
    names: Sequence[str]
    numeric: Sequence[str] = ()
    parts: Sequence[int] = (0,)
    columnar: bool = False
    row: str = "line"

    @classmethod
    def open(cls, path: Path) -> JsonlTable:
        with contextlib.closing(_objects(path)) as objects:
            head = [row for _, row, _ in itertools.islice(objects, _HEAD_ROWS)]
        if not head:
            raise InputError(f"{path}: no rows: a JSONL file needs one JSON object a line")
        return cls(path, list(dict.fromkeys(name for row in head for name in row)))

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        del parts  # a text file is one part
        picked = ((line, [row.get(name) for name in columns], size) for line, row, size in _objects(self.path))
        return _in_batches(picked, columns, rows)


def _in_batches(rows: Iterator[Numbered], columns: Sequence[str], max_rows: int) -> Iterator[Batch]:
    while taken := _take(rows, max_rows, _MAX_BATCH_CHARACTERS):
        values = zip(*(values for _, values, _ in taken), strict=True)
        coded = {name: Column.of(column) for name, column in zip(columns, values, strict=True)}
        yield Batch(np.array([line for line, *_ in taken]), coded)


def _take(rows: Iterator[Numbered], max_rows: int, characters: int) -> list[Numbered]:
    """The next `max_rows` rows, or fewer if they exceed this many characters."""
    taken: list[Numbered] = []
    for row in itertools.islice(rows, max_rows):
        taken.append(row)
        characters -= row[2]
        if characters < 0:
            break
    return taken


def _objects(path: Path) -> Generator[tuple[int, dict[str, Any], int]]:
    for line, text in _lines(path):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: line {line}: damaged JSON: {_reason(error)}") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}: line {line}: needs a JSON object ({{...}}); got {shorten(row)}")
        yield line, row, len(text)


def _csv_rows(path: Path) -> Generator[Numbered]:
    """(line, fields, characters) of each record, the header included and blank lines left out."""
    records = _csv_records(path)
    while True:
        with _long_fields():
            chunk = _take(records, 1024, 1 << 20)
        if not chunk:
            return
        yield from chunk


def _csv_records(path: Path) -> Iterator[Numbered]:
    characters = 0

    def counted() -> Iterator[str]:
        nonlocal characters
        for _, text in _lines(path):
            characters += len(text)
            yield text

    reader = csv.reader(counted(), strict=True)
    while True:
        line, before = reader.line_num + 1, characters
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{path}: line {line}: damaged CSV: {error}") from error
        if fields is None:
            return
        if fields:
            yield line, fields, characters - before


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Allow CSV fields of any length. The csv module's limit is global, so it is restored at once."""
    with _CSV_LIMIT:
        before = csv.field_size_limit(_MAX_FIELD_CHARACTERS)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers. Raises InputError for what can't be read or is not UTF-8."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    line = 0
    with file_errors("read", path, InputError):
        try:
            with opened(path, "rb") as file:
                for line, raw in enumerate(file, start=1):
                    yield line, raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8") if line == 1 else raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: line {line}: not valid UTF-8 ({error.reason}): save it as UTF-8") from error
        except (EOFError, zlib.error) as error:
            raise InputError(f"{path}: after line {line}: damaged gzip data: {error}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.colno}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
