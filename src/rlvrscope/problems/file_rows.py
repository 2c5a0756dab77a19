"""Rows of the user's files by field name, with the place of each value for error messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.problems.tool_files import (
    INSPECT_LOG,
    OWN,
    WITH_ANSWERS,
    Field,
    ToolFile,
    is_later_output,
    joined_id,
    second_row,
)
from rlvrscope.tables.csv_table import CsvTable
from rlvrscope.tables.formats import open_table, parse_column_map
from rlvrscope.tables.inspect_log import log_note
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
TOOLS_OWN = ("id", "problem", "base", "seed")
"""Fields of which a tool's file says what they are: a column of this name may be a prompt, or a seed of sampling."""
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
    """The rows of a file. columns: the file's name of each field that it has. ids: the columns that make up an id.
    note: one line about a known tool's file. left_out: rows left out so far, by reason.
    """

    table: Table
    file: ToolFile
    columns: Mapping[str, str]
    ids: tuple[str, ...]
    note: str
    left_out: Counter[str] = field(default_factory=Counter)

    @classmethod
    def open(cls, path: Path, fields: Sequence[str], needed: Sequence[str], known: Sequence[str]) -> FileRows:
        """Raises UnknownTableError for a missing column.

        fields: pairs "name=column"; they take precedence over the columns of known tools, and those over our names.
        """
        column_of = parse_column_map(fields, known, "--field", "prompt=question")
        table = open_table(path)
        for name, column in column_of.items():
            if column not in table.names:
                raise UnknownTableError(
                    f"{path} has no column {column!r} ({name}). {did_you_mean(column, table.names)}"
                )
        file = next((file for file in WITH_ANSWERS if file.matches(table.names)), OTHER)
        tool_columns, note = _tool_columns(file, table, known, column_of)
        ids = file.ids_of(table) if "id" in tool_columns else ()
        column_of = tool_columns | column_of
        own = [field for field in known if file in (OTHER, OWN) or field not in TOOLS_OWN]
        columns = {name: column_of.get(name, name) for name in dict.fromkeys((*column_of, *own))}
        columns = {name: column for name, column in columns.items() if column in table.names}
        for name in needed:
            if name not in columns:
                raise UnknownTableError(
                    f"{path} has no column {name!r}; it has {join_names(table.names)}. If the column has another "
                    f"name, use --field {name}=NAME"
                )
        return cls(table, file, columns, ids, note)

    @property
    def path(self) -> Path:
        return self.table.path

    @cached_property
    def evaluation(self) -> str | None:
        """What the file holds all of."""
        return self.file.evaluation(self.table)

    @property
    def notes(self) -> list[str]:
        """One line for each thing that was done to the rows read so far."""
        from_log = [log_note(self.path)] if self.file is INSPECT_LOG else []
        reasons = [
            f"{self.path.name}: left out: {reason}: {number:,}" for reason, number in self.left_out.items() if number
        ]
        return [note for note in (self.note, *from_log, *reasons) if note]

    def __iter__(self) -> Iterator[FileRow]:
        columns, prefix = self.columns, self.file.prefix(self.table)
        for batch in self._samples():
            values = {field: batch.columns[column].list() for field, column in columns.items()}
            _refuse_written_lists(self.table, columns.get("text"), values.get("text", []))
            if self.ids:
                rows = zip(*(batch.columns[column].list() for column in self.ids), strict=True)
                values["id"] = [name and f"{prefix}{name}" for name in map(joined_id, rows)]
            for index, number in enumerate(batch.row_B.tolist()):
                row = {field: column[index] for field, column in values.items()}
                yield FileRow(f"{self.path}: {self.table.row} {number}", row, columns)

    def _samples(self) -> Iterator[Batch]:
        """Yield batches of rows that are samples of their own.

        Left out are rows that grade the same completions again, in another way than the first row, later outputs of a
        session, and rows without a completion because of an error. Raises InputError for a second row of a problem that
        nothing tells from a second grading.
        """
        file, present = self.file, self.table.names
        gradings, failed = (name if name in present else None for name in (file.gradings, file.failed))
        session = file.named(self.table).get("session")
        names = dict.fromkeys([*self.columns.values(), *self.ids, *filter(None, (gradings, failed, session))])
        first, seen = None, set[str | None]()
        for batch in self.table.batches(list(names), rows=TEXT_ROWS):
            if gradings is not None:
                labels = batch.columns[gradings].map(to_label)
                first = labels.list()[0] if first is None else first
                batch = self._keep(batch, labels.array(lambda label, first=first: label == first), f"other {gradings}s")
            if session is not None:
                batch = self._keep(batch, ~batch.columns[session].array(is_later_output), "later outputs of a session")
            if failed is not None:
                batch = self._keep(batch, batch.columns[failed].array(lambda error: error is None), failed)
            for name in batch.columns[self.ids[0]].map(to_label).list() if file.once and self.ids else ():
                if name in seen:
                    raise second_row(file.tool, self.path, str(name))
                seen.add(name)
            if len(batch.row_B):
                yield batch

    def _keep(self, batch: Batch, keep_B: NDArray[np.bool_], reason: str) -> Batch:
        self.left_out[reason] += int((~keep_B).sum())
        return batch.select(keep_B)


def _tool_columns(
    file: ToolFile, table: Table, known: Sequence[str], column_of: Mapping[str, str]
) -> tuple[dict[str, str], str]:
    """Return the columns of a tool's file for fields that the user did not name, and one line about them."""
    named = file.named(table)
    names = {FIELD_OF[name]: column for name, column in named.items() if name in FIELD_OF}
    names = {field: name for field, name in names.items() if field in known and field not in column_of}
    shown = ", ".join(f"{field} from {name!r}" for field, name in names.items() if field != name)
    return names, f"read like {file.tool}: {shown}" if shown else ""


def _refuse_written_lists(table: Table, column: str | None, texts: Sequence[Any]) -> None:
    """Refuse a CSV file whose texts are all lists, as pandas writes them: each would count as one completion."""
    if isinstance(table, CsvTable) and texts and all(map(_LIST_AS_TEXT.fullmatch, map(str, texts))):
        raise InputError(
            f"{table.path}: every {column!r} is a list written as text, such as {shorten(texts[0])}. CSV has no lists: "
            "write one row for each completion, or JSON Lines or Parquet"
        )
