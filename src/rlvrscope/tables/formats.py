"""File formats by content, and the user's map of column names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.tables.csv_table import CsvTable
from rlvrscope.tables.inspect_log import LOG_SUFFIX, is_inspect_log, open_inspect_log
from rlvrscope.tables.json_table import JsonTable
from rlvrscope.tables.parquet import ParquetTable
from rlvrscope.tables.stream import head_of
from rlvrscope.tables.table import Table

Kind = type[CsvTable] | type[JsonTable] | type[ParquetTable]
KINDS: dict[str, Kind] = {
    ".csv": CsvTable,
    ".tsv": CsvTable,
    ".jsonl": JsonTable,
    ".ndjson": JsonTable,
    ".json": JsonTable,
    ".parquet": ParquetTable,
    LOG_SUFFIX: JsonTable,
}
COMPRESSED = ("", ".gz", ".zst")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def open_table(path: Path) -> Table:
    """Open a file as a table, by its content: Parquet, JSON or CSV. Raises InputError for a file without columns."""
    if is_inspect_log(path):
        return open_inspect_log(path)
    head = head_of(path)
    if head.startswith(b"PAR1"):
        return ParquetTable.open(path)
    if head.lstrip()[:1] in (b"{", b"["):
        return JsonTable.open(path)
    if b"\0" in head[:8] and not head.startswith(UTF_16):
        raise InputError(f"{path}: tables are read from CSV, JSON and Parquet files; this is another kind of file")
    suffix = suffix_of(path) or ""
    kind = next((kind for name, kind in KINDS.items() if suffix.startswith(name)), CsvTable)
    return kind.open(path)


def suffix_of(path: Path) -> str | None:
    """The suffix in KINDS that a file has, with that of its compression, or None."""
    suffixes = (f"{kind}{compressed}" for kind in KINDS for compressed in COMPRESSED)
    return next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)


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
