"""Folders of tables, as tools write them: below folders for each model, data set or time, with reports beside."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rlvrscope.errors import InputError, file_errors
from rlvrscope.tables.formats import KINDS, suffix_of
from rlvrscope.tables.table import UnknownTableError
from rlvrscope.tables.values import join_names

T = TypeVar("T")


def files_in(folder: Path) -> list[Path]:
    """Files of known KINDS directly in a folder, sorted by name, without hidden ones."""
    with file_errors("read", folder, InputError):
        inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [path for path in inside if suffix_of(path)]


def folder_of_tables(folder: Path) -> Path:
    """Return the folder itself, or the only one inside that holds tables. Raises InputError for none and for several.

    A folder with JSON documents alone counts only if no other holds tables.
    """
    if files_in(folder):
        return folder
    files = {path: files_in(path) for path in sorted(Path(path) for path, *_ in os.walk(folder))}
    tables = [path for path, inside in files.items() if not all(map(_is_document, inside))]
    choices = tables or [path for path, inside in files.items() if inside]
    if len(choices) == 1:
        return choices[0]
    if not choices:
        raise InputError(f"{folder}: there is no {', '.join(KINDS)} file in this folder")
    names = join_names(str(path.relative_to(folder)) for path in choices)
    raise InputError(f"{folder}: {len(choices)} folders inside hold tables: {names}. Name one of them")


def open_tables(files: Sequence[Path], open_one: Callable[[Path], T]) -> tuple[list[T], list[Path]]:
    """Open the files of a folder; return (tables, files left out): those on which it raises UnknownTableError.

    Raises the first of these errors if it leaves out all.
    """
    tables: list[T] = []
    left_out: dict[Path, UnknownTableError] = {}
    for path in files:
        try:
            tables.append(open_one(path))
        except UnknownTableError as error:
            left_out[path] = error
    if left_out and not tables:
        raise next(iter(left_out.values()))
    return tables, list(left_out)


def _is_document(path: Path) -> bool:
    return ".json" in path.suffixes
