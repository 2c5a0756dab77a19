"""CSV tables, separated by commas, tabs or semicolons."""

from __future__ import annotations

import contextlib
import csv
import itertools
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.files import MAX_LINE_BYTES
from rlvrscope.tables.stream import lines_of
from rlvrscope.tables.table import BATCH_ROWS, Batch, Numbered, in_batches, take_rows

DELIMITERS = ",\t;"
_MAX_FIELD_CHARACTERS = MAX_LINE_BYTES
_CSV_LIMIT = threading.RLock()


@dataclass(frozen=True)
class CsvTable:
    """CSV table; the first line names the columns, and its most frequent delimiter separates them."""

    path: Path
    names: Sequence[str]
    delimiter: str
    numeric: Sequence[str] = ()
    parts: Sequence[int] = (0,)
    columnar: bool = False
    row: str = "line"

    @classmethod
    def open(cls, path: Path) -> CsvTable:
        first = next((text for _, text in lines_of(path) if text.strip()), "")
        delimiter = max(DELIMITERS, key=first.count)
        with contextlib.closing(_rows(path, delimiter)) as rows:
            _, header, _ = next(rows, (1, [], 0))
        if not any(name.strip() for name in header):
            raise InputError(f"{path}: a CSV file needs a first line that names its columns; this one is empty")
        return cls(path, [name.strip() for name in header], delimiter)

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        del parts  # a text file is one part
        return in_batches(self._cells([self.names.index(name) for name in columns]), columns, rows)

    def _cells(self, places: Sequence[int]) -> Iterator[Numbered]:
        for line, fields, size in itertools.islice(_rows(self.path, self.delimiter), 1, None):
            if len(fields) != len(self.names):
                raise InputError(
                    f"{self.path}: line {line}: the header names {len(self.names)} columns, this line has {len(fields)}"
                )
            yield line, [fields[place] for place in places], size


def _rows(path: Path, delimiter: str) -> Generator[Numbered]:
    """(line, fields, characters) of each record, the header included and blank lines left out."""
    records = _records(path, delimiter)
    while True:
        with _long_fields():
            chunk = take_rows(records, 1024, 1 << 20)
        if not chunk:
            return
        yield from chunk


def _records(path: Path, delimiter: str) -> Iterator[Numbered]:
    characters = 0

    def counted() -> Iterator[str]:
        nonlocal characters
        for _, text in lines_of(path):
            characters += len(text)
            yield text

    reader = csv.reader(counted(), strict=True, delimiter=delimiter)
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
    """Allow CSV fields as long as a line. The csv module's limit is global, so it is restored at once."""
    with _CSV_LIMIT:
        before = csv.field_size_limit(_MAX_FIELD_CHARACTERS)
        try:
            yield
        finally:
            csv.field_size_limit(before)
