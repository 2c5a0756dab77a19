"""Rows of the user's files by field name, with the place of each value for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.problems.tool_files import WITH_ANSWERS, Field, ToolFile, is_later_output, second_row
from rlvrscope.tables.csv_table import CsvTable
from rlvrscope.tables.formats import open_table, parse_column_map
from rlvrscope.tables.nested import is_chat
from rlvrscope.tables.table import Batch, Table, UnknownTableError
from rlvrscope.tables.values import join_names, message_text, shorten, to_label, to_text

FIELD_OF: Mapping[Field, str] = {
    "id": "id", "prompt": "prompt", "gold": "answer", "text": "text", "finish": "finish", "tokens": "tokens",
}  # fmt: skip
"""Our field for each field of a tool's file."""
OTHER = ToolFile("", frozenset(), {})
"""A file of no known tool."""
_LIST_AS_TEXT = re.compile(r"""\s*\[\s*["'].*["']\s*\]\s*""", re.DOTALL)
TEXT_ROWS = 1_024
"""Rows of a batch, which hold texts."""


@dataclass(frozen=True)
class FileRow:
    """One row by field name. where: "file: line 3". columns: the file's name of each field."""

    where: str
    values: Mapping[str, Any]
    columns: Mapping[str, str]

    def error(self, field: str, message: str) -> InputError:
        """Return the error on one value, with its file, row and column."""
        return InputError(f"{self.where}, column {self.columns.get(field, field)!r}: {message}")

    def get(self, field: str) -> Any:
        return self.values.get(field)

    def has(self, field: str) -> bool:
        """Test whether the field has a value that is not blank."""
        return to_label(self.get(field)) is not None

    def label(self, field: str) -> str | None:
        """Return a name or number as text; None if missing or blank. Raises InputError for a list or object."""
        value = self.get(field)
        if isinstance(value, list | dict):
            raise self.error(field, f"{field} must be a text or a number; got {shorten(value)}")
        return to_text(value) if self.has(field) else None

    def prompt(self) -> str:
        """Return the prompt's text, "" if missing. Raises InputError for a list that is no chat, and for an object."""
        value = self.get("prompt")
        if isinstance(value, dict) or (isinstance(value, list) and not is_chat(value)):
            raise self.error("prompt", f"a prompt is a text, or chat messages with roles; got {shorten(value)}")
        return message_text(value)


@dataclass(frozen=True)
class FileRows:
    """The rows of a file. columns: the file's name of each field that it has. note: one line about a known tool's."""

    table: Table
    file: ToolFile
    columns: Mapping[str, str]
    note: str

    @classmethod
    def open(cls, path: Path, fields: Sequence[str], needed: Sequence[str], known: Sequence[str]) -> FileRows:
        """Raises UnknownTableError for a missing column.

        fields: pairs "name=column"; they take precedence over the columns of known tools, and those over our names.
        """
        column_of = parse_column_map(fields, known, "--field", "prompt=question")
        table = open_table(path)
        for field, column in column_of.items():
            if column not in table.names:
                raise UnknownTableError(
                    f"{path} has no column {column!r} ({field}). {did_you_mean(column, table.names)}"
                )
        file = next((file for file in WITH_ANSWERS if file.matches(table.names)), OTHER)
        tool_columns, note = _tool_columns(file, table, known, column_of)
        column_of = tool_columns | column_of
        columns = {field: column_of.get(field, field) for field in known if column_of.get(field, field) in table.names}
        for field in needed:
            if field not in columns:
                raise UnknownTableError(
                    f"{path} has no column {field!r}; it has {join_names(table.names)}. If the column has another "
                    f"name, use --field {field}=NAME"
                )
        return cls(table, file, columns, note)

    @property
    def path(self) -> Path:
        return self.table.path

    @cached_property
    def evaluation(self) -> str | None:
        """What the file holds all of."""
        return self.file.evaluation(self.table)

    def __iter__(self) -> Iterator[FileRow]:
        columns, prefix = self.columns, self.file.prefix(self.table)
        for batch in _samples_once(self.file, self.table, list(dict.fromkeys(columns.values())), columns.get("id")):
            values = {field: batch.columns[column].list() for field, column in columns.items()}
            _refuse_written_lists(self.table, columns.get("text"), values.get("text", []))
            if prefix and "id" in values:
                values["id"] = [f"{prefix}{to_text(value)}" for value in values["id"]]
            for index, number in enumerate(batch.row_B.tolist()):
                row = {field: column[index] for field, column in values.items()}
                yield FileRow(f"{self.path}: {self.table.row} {number}", row, columns)


def _tool_columns(
    file: ToolFile, table: Table, known: Sequence[str], column_of: Mapping[str, str]
) -> tuple[dict[str, str], str]:
    """Return the columns of a tool's file for fields that the user did not name, and one line about them."""
    named = file.named(table)
    names = {FIELD_OF[name]: column for name, column in named.items() if name in FIELD_OF}
    names = {field: name for field, name in names.items() if field in known and field not in column_of}
    shown = ", ".join(f"{field} from {name!r}" for field, name in names.items() if field != name)
    once = f"; of the rows for each {file.gradings} the first" if file.gradings in table.names else ""
    sessions = "; of a session's outputs the first" if "session" in named else ""
    return names, f"read like {file.tool}: {shown}{once}{sessions}" if shown else ""


def _refuse_written_lists(table: Table, column: str | None, texts: Sequence[Any]) -> None:
    """Refuse a CSV file whose texts are all lists, as pandas writes them: each would count as one completion."""
    if isinstance(table, CsvTable) and texts and all(map(_LIST_AS_TEXT.fullmatch, map(str, texts))):
        raise InputError(
            f"{table.path}: every {column!r} is a list written as text, such as {shorten(texts[0])}. CSV has no lists: "
            "write one row for each completion, or JSON Lines or Parquet"
        )


def _samples_once(file: ToolFile, table: Table, columns: Sequence[str], id_column: str | None) -> Iterator[Batch]:
    """Yield batches of rows that are samples of their own.

    Left out are rows that grade the same completions again, in another way than the first row, and later outputs of a
    session. Raises InputError for a second row of a problem that nothing tells from a second grading.
    """
    gradings = file.gradings if file.gradings in table.names else None
    session = file.named(table).get("session")
    first, seen = None, set[str | None]()
    for batch in table.batches([*columns, *filter(None, (gradings, session))], rows=TEXT_ROWS):
        if gradings is not None:
            labels = batch.columns[gradings].map(to_label)
            first = labels.list()[0] if first is None else first
            batch = batch.select(labels.array(lambda label, first=first: label == first))
        if session is not None:
            batch = batch.select(~batch.columns[session].array(is_later_output))
        for name in batch.columns[id_column].map(to_label).list() if file.once and id_column else ():
            if name in seen:
                raise second_row(file.tool, table.path, str(name))
            seen.add(name)
        yield batch
