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


@dataclass(frozen=True)
class Layout:
    """Columns of another tool's files. names: its column for each of our fields. columns: those that identify it."""

    tool: str
    names: Mapping[str, str]
    columns: frozenset[str]


LAYOUTS = (
    Layout(
        "verl's dumps",
        {"prompt": "input", "text": "output", "answer": "gts"},
        frozenset({"input", "output", "gts"}),
    ),
    Layout(
        "verl's data sets",
        {"answer": "reward_model.ground_truth", "text": "responses"},
        frozenset({"prompt", "reward_model.ground_truth"}),
    ),
    Layout(
        "Qwen2.5-Math",
        {"id": "idx", "prompt": "question", "text": "code", "answer": "gt", "finish": "finish_reason"},
        frozenset({"idx", "question", "code", "gt"}),
    ),
    Layout(
        "LIMO",
        {"prompt": "question", "text": "generated_responses", "answer": "gold_answer"},
        frozenset({"question", "generated_responses", "gold_answer"}),
    ),
)


@dataclass(frozen=True)
class FileRow:
    """One row by field name. where: "file: line 3". columns: the file's name of each field. note: the layout's."""

    where: str
    values: Mapping[str, Any]
    columns: Mapping[str, str]
    note: str = ""

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


def read_rows(path: Path, fields: Sequence[str], needed: Sequence[str], known: Sequence[str]) -> Iterator[FileRow]:
    """Yield every row of a file. Raises InputError for a missing column.

    fields: pairs "name=column"; they take precedence over the LAYOUTS, and those over our names.
    """
    column_of = parse_column_map(fields, known, "--field", "prompt=question")
    table = open_table(path)
    for field, column in column_of.items():
        if column not in table.names:
            raise InputError(f"{path} has no column {column!r} ({field}). {did_you_mean(column, table.names)}")
    layout_columns, note = _layout_columns(table.names, known, column_of)
    column_of = layout_columns | column_of
    columns = {field: column_of.get(field, field) for field in known if column_of.get(field, field) in table.names}
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
            yield FileRow(f"{path}: {table.row} {number}", row, columns, note)


def _layout_columns(
    present: Sequence[str], known: Sequence[str], column_of: Mapping[str, str]
) -> tuple[dict[str, str], str]:
    """Return the columns of the file's layout for fields that the user did not name, and one line about them."""
    layout = next((layout for layout in LAYOUTS if layout.columns <= set(present)), None)
    if layout is None:
        return {}, ""
    names = {field: name for field, name in layout.names.items() if name in present and field in known}
    names = {field: name for field, name in names.items() if field not in column_of}
    shown = ", ".join(f"{field} from {name!r}" for field, name in names.items())
    return names, f"read like {layout.tool}: {shown}" if names else ""
