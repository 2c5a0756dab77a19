"""JSON tables: JSON Lines, read line by line, and whole documents that hold a list of objects."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.files import parse_json
from rlvrscope.tables.nested import at_path, is_chat, leaf_names
from rlvrscope.tables.stream import document_of, lines_of
from rlvrscope.tables.table import BATCH_ROWS, Batch, UnknownTableError, collector_paused, in_batches
from rlvrscope.tables.values import join_names, shorten

KEY = "key"
"""Column of the key under which a document has a row: `{"aime-1": {...}}`."""
_LINES_SUFFIXES = (".jsonl", ".ndjson")
Object = dict[str, Any]
NumberedObject = tuple[int, Object, int]


@dataclass(frozen=True)
class JsonTable:
    """Rows that are JSON objects; the columns are the keys of all of them, and nested ones by dotted names.

    objects: yields (number, object, characters) of every row.
    """

    path: Path
    names: Sequence[str]
    objects: Callable[[Path], Generator[NumberedObject]]
    row: str = "line"
    numeric: Sequence[str] = ()
    parts: Sequence[int] = (0,)
    columnar: bool = False

    @classmethod
    def open(cls, path: Path) -> JsonTable:
        """Open JSON Lines, or a document, which is read whole: a list of objects, or an object that holds one."""
        return cls.of(path, _line_objects) if is_lines(path) else cls.of(path, _document_objects, "item")

    @classmethod
    def of(cls, path: Path, objects: Callable[[Path], Generator[NumberedObject]], row: str = "line") -> JsonTable:
        """Raises InputError for a file without rows."""
        with contextlib.closing(objects(path)) as rows, collector_paused():
            names = leaf_names(row for _, row, _ in rows)
        if not names:
            raise InputError(f"{path}: no rows: a JSON file needs one object a line, or a list of objects")
        return cls(path, names, objects, row)

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        del parts  # a text file is one part
        paths = [(name, name.split(".")) for name in columns]
        plain = not any("." in name for name in columns)
        cells = (
            (number, [*map(row.get, columns)] if plain else [_cell(row, *path) for path in paths], size)
            for number, row, size in self.objects(self.path)
        )
        return in_batches(cells, columns, rows)


def document_rows(document: Any) -> list[Any]:
    """Return the rows of a document: the items of its one list of objects, or the values of its one map of objects.

    >>> document_rows({"date": "today", "eval": {"sum/0": [{"status": "pass"}, {"status": "fail"}]}})
    [{'key': 'sum/0', 'status': 'pass'}, {'key': 'sum/0', 'status': 'fail'}]

    An object without any is one row. Raises ValueError for several lists, and for a document that is neither list nor
    object.
    """
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise ValueError(f"it needs a list of objects; got {shorten(document)}")
    if document and all(isinstance(value, dict) for value in document.values()):
        return [{KEY: key, **row} for key, row in document.items()]
    lists = dict(_row_lists(document))
    if len(lists) > 1:
        raise ValueError(f"it holds {len(lists)} lists of rows: {join_names(lists)}. Write each to a file of its own")
    return next(iter(lists.values()), [document])


def _row_lists(document: Object, prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield (dotted name, rows) of every list of objects; a map of such lists is one, if it has a name."""
    if prefix and any(document.values()) and all(map(_is_rows, document.values())):
        empty = next((key for key, rows in document.items() if not rows), None)
        if empty is not None:
            raise ValueError(f"{empty!r} in {prefix[:-1]!r} holds no rows: leave it out, or give it some")
        yield prefix[:-1], [{KEY: key, **row} for key, rows in document.items() for row in rows]
        return
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _row_lists(value, f"{prefix}{key}.")
        elif value and _is_rows(value) and not is_chat(value):
            yield f"{prefix}{key}", value


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def is_lines(path: Path) -> bool:
    """True for JSON Lines: the first line is an object, and others follow (or the file's name says so)."""
    with contextlib.closing(lines_of(path)) as lines:
        texts = (text for _, text in lines if text.strip())
        first, second = next(texts, ""), next(texts, None)
    if not first.lstrip().startswith("{"):
        return not first.lstrip().startswith("[")
    if any(suffix in _LINES_SUFFIXES for suffix in path.suffixes):
        return True
    try:
        return isinstance(parse_json(first), dict) and second is not None
    except ValueError:
        return False


def _document_objects(path: Path) -> Generator[NumberedObject]:
    try:
        document = document_of(path)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: damaged JSON: {_reason(error, document=True)}") from error
    try:
        rows = document_rows(document)
    except ValueError as error:
        raise UnknownTableError(f"{path}: {error}") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UnknownTableError(f"{path}: item {number}: needs a JSON object ({{...}}); got {shorten(row)}")
        yield number, row, 0


def _line_objects(path: Path) -> Generator[NumberedObject]:
    for line, text in lines_of(path):
        if not text.strip():
            continue
        try:
            row = parse_json(text)
        except ValueError as error:
            raise InputError(f"{path}: line {line}: damaged JSON: {_reason(error)}") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}: line {line}: needs a JSON object ({{...}}); got {shorten(row)}")
        yield line, row, len(text)


def _cell(row: Mapping[str, Any], name: str, path: Sequence[str]) -> Any:
    """The value of a column: of the key itself, else of the nested one."""
    value = row.get(name)
    return at_path(row, path) if value is None and len(path) > 1 and name not in row else value


def _reason(error: Exception, document: bool = False) -> str:
    if isinstance(error, json.JSONDecodeError):
        line = f"line {error.lineno}, " if document else ""
        return f"{error.msg} at {line}character {error.colno}"
    return str(error)
