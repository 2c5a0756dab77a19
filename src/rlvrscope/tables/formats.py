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
    """The file as a table. Raises InputError for a suffix not known and for a file that holds no columns."""
    suffix = suffix_of(path)
    if suffix is None:
        raise InputError(f"{path}: samples and counts are read from {', '.join(KINDS)}; got {path.suffix!r}")
    return KINDS[suffix].open(path)


def suffix_of(path: Path) -> str | None:
    """Which of KINDS a file is; None if none."""
    return next((suffix for suffix in KINDS if path.name.lower().endswith(suffix)), None)


def files_in(folder: Path) -> list[Path]:
    """The folder's own files of these KINDS, by name, hidden ones left out."""
    with file_errors("read", folder, InputError):
        inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [path for path in inside if suffix_of(path)]


def parse_column_map(pairs: Sequence[str], known: Sequence[str], option: str, example: str) -> dict[str, str]:
    """Pairs "ours=theirs", as the option of the command line has them.

    >>> parse_column_map(["prompt=question"], ["prompt", "answer"], "--field", "prompt=question")
    {'prompt': 'question'}

    Raises InputError for one that is no pair, for an `ours` that is not known, and for one given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not equals or not theirs:
            raise InputError(f"{option} takes OURS=THEIRS, such as {example}; got {pair!r}")
        if ours not in known:
            raise InputError(f"{option} {pair}: unknown {option.lstrip('-')} {ours!r}. {did_you_mean(ours, known)}")
        if found.setdefault(ours, theirs) != theirs:
            raise InputError(f"{option} names {ours!r} twice: {found[ours]!r} and {theirs!r}. Give it once.")
    return found
