"""Rows of the user's files by field name, with the place of each value for error messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.tables.formats import open_table, parse_column_map
from rlvrscope.tables.nested import is_chat
from rlvrscope.tables.values import join_names, message_text, shorten, to_label, to_text

ALTERNATIVES: Mapping[str, tuple[str, ...]] = {"answer": ("reward_model.ground_truth",)}
"""Columns that replace a missing column of the field's name: those of verl's data sets."""


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

    def notes(self) -> list[str]:
        """Return one line for each field that is read from one of its ALTERNATIVES."""
        alternatives = {field: self.columns.get(field) for field in ALTERNATIVES}
        return [
            f"{field} from column {column!r}" for field, column in alternatives.items() if column in ALTERNATIVES[field]
        ]

    def prompt(self) -> str:
        """Return the prompt's text, "" if missing. Raises InputError for a list that is no chat, and for an object."""
        value = self.get("prompt")
        if isinstance(value, dict) or (isinstance(value, list) and not is_chat(value)):
            raise self.error("prompt", f"a prompt is a text, or chat messages with roles; got {shorten(value)}")
        return message_text(value)


def read_rows(path: Path, fields: Sequence[str], needed: Sequence[str], known: Sequence[str]) -> Iterator[FileRow]:
    """Yield every row of a file. fields: pairs "name=column". Raises InputError for a missing column."""
    column_of = parse_column_map(fields, known, "--field", "prompt=question")
    table = open_table(path)
    for field, column in column_of.items():
        if column not in table.names:
            raise InputError(f"{path} has no column {column!r} ({field}). {did_you_mean(column, table.names)}")
    columns: dict[str, str] = {}
    for field in known:
        names = [column_of[field]] if field in column_of else [field, *ALTERNATIVES.get(field, ())]
        present = [name for name in names if name in table.names]
        columns |= {field: present[0]} if present else {}
    for field in needed:
        if field not in columns:
            raise InputError(
                f"{path} has no column {field!r}; it has {join_names(table.names)}. If the column has another name, "
                f"use --field {field}=NAME"
            )
    for batch in table.batches(list(dict.fromkeys(columns.values()))):
        values = {field: batch.columns[column].list() for field, column in columns.items()}
        for index, number in enumerate(batch.row_B.tolist()):
            row = {field: column[index] for field, column in values.items()}
            yield FileRow(f"{path}: {table.row} {number}", row, columns)
