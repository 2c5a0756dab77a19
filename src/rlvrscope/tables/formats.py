"""File formats by suffix, and the user's map of column names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlvrscope.errors import InputError, did_you_mean, file_errors
from rlvrscope.tables.parquet import ParquetTable
from rlvrscope.tables.table import Table
from rlvrscope.tables.textfiles import CsvTable, JsonlTable

KINDS: dict[str, type[CsvTable] | type[JsonlTable] | type[ParquetTable]] = {
    ".csv": CsvTable,
    ".csv.gz": CsvTable,
    ".jsonl": JsonlTable,
    ".jsonl.gz": JsonlTable,
    ".parquet": ParquetTable,
}


def open_table(path: Path) -> Table:
    """Open a file as a table. Raises InputError for an unknown suffix or a file without columns."""
    suffix = suffix_of(path)
    if suffix is None:
        raise InputError(f"{path}: samples and counts are read from {', '.join(KINDS)}; got {path.suffix!r}")
    return KINDS[suffix].open(path)


def suffix_of(path: Path) -> str | None:
    """The suffix in KINDS that a file has, or None."""
    return next((suffix for suffix in KINDS if path.name.lower().endswith(suffix)), None)


def files_in(folder: Path) -> list[Path]:
    """Files of these KINDS directly in a folder, sorted by name, without hidden ones."""
    with file_errors("read", folder, InputError):
        inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [path for path in inside if suffix_of(path)]


def parse_column_map(pairs: Sequence[str], known: Sequence[str], option: str, example: str) -> dict[str, str]:
    """Parse options of the form OURS=THEIRS into a map from our column names to the file's.

    >>> parse_column_map(["prompt=question"], ["prompt", "answer"], "--field", "prompt=question")
    {'prompt': 'question'}

    Raises InputError for another form, for a name that is not in `known`, and for one that is mapped twice.
    """
    columns: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not column:
            raise InputError(f"{option} takes OURS=THEIRS, such as {example}; got {pair!r}")
        if name not in known:
            raise InputError(f"{option} {pair}: unknown {option.lstrip('-')} {name!r}. {did_you_mean(name, known)}")
        if columns.setdefault(name, column) != column:
            raise InputError(f"{option} names {name!r} twice: {columns[name]!r} and {column!r}. Give it once.")
    return columns
