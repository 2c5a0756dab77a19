"""Folders of tables, as tools write them: below folders for each model, data set or time, with reports beside."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

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


@dataclass(frozen=True)
class FolderTables(Generic[T]):
    """The tables of a folder, opened, and the names of what was left out: other files, and folders with tables."""

    tables: list[T]
    left_out: list[str]

    @classmethod
    def open(cls, folder: Path, open_one: Callable[[Path], T]) -> FolderTables[T]:
        """Open the tables directly in a folder; if it has none, those of the only folder inside that has.

        open_one raises UnknownTableError for a file that is no such table. Raises InputError for a folder without any,
        for several folders inside that have some, and for files of one name, such as a.csv and a.jsonl.
        """
        inside = {Path(path): files for path, *_ in sorted(os.walk(folder)) if (files := files_in(Path(path)))}
        direct = _open_all(inside.get(folder, []), open_one)
        if direct.tables:
            below = [f"{path.relative_to(folder)}/" for path in inside if path != folder]
            return cls(direct.tables, [*direct.left_out, *below])
        opened = {path: opened for path, files in inside.items() if (opened := _open_all(files, open_one)).tables}
        if len(opened) > 1:
            names = join_names(str(path.relative_to(folder)) for path in opened)
            raise InputError(f"{folder}: {len(opened)} folders inside hold tables: {names}. Name one of them")
        if opened:
            return next(iter(opened.values()))
        for file in itertools.chain.from_iterable(inside.values()):
            open_one(file)  # raises what is wrong with it
        raise InputError(f"{folder}: there is no {', '.join(KINDS)} file in this folder")


def _open_all(files: Sequence[Path], open_one: Callable[[Path], T]) -> FolderTables[T]:
    tables: dict[Path, T] = {}
    left_out: list[str] = []
    for path in files:
        try:
            tables[path] = open_one(path)
        except UnknownTableError:
            left_out.append(path.name)
    names: dict[str, Path] = {}
    for path in tables:
        stem = path.name.removesuffix(suffix_of(path) or "")
        first = names.setdefault(stem, path)
        if first != path:
            raise InputError(
                f"{path.parent}: {first.name} and {path.name} have one name, so they may be the same samples. Name one"
            )
    return FolderTables(list(tables.values()), left_out)
