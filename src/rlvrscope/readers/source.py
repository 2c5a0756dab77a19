"""Sources on the command line: NAME=PATH@STEP#MODEL, of which all but the path may be missing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from rlvrscope.errors import InputError
from rlvrscope.readers.layouts import STEP_FILE, TRL_FOLDER
from rlvrscope.sampling.store.store_file import FILE_NAME
from rlvrscope.tables.formats import suffix_of

_SOURCE_NAME = re.compile(r"([^=/\\]+)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """A file or folder, with the step and model to read from it. label: the user's name for it."""

    path: Path
    step: int | None = None
    model: str | None = None
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read PATH, PATH@STEP, PATH#MODEL or PATH@STEP#MODEL, after NAME= where one is given.

        The longest existing path wins. Raises InputError if no such path exists, and for a step that is no whole
        number.
        """
        reason = "there is no such file or folder"
        named = _SOURCE_NAME.fullmatch(text)
        for label, rest in [(None, text), *([(named[1].strip(), named[2])] if named else [])]:
            for path, step, model in _splits(rest):
                if not os.path.exists(path):
                    continue
                if step is not None and not re.fullmatch(r"[0-9]{1,15}", step):
                    reason = f"a step is a whole number, as in {path}@100; got {step!r}"
                elif model == "":
                    reason = "a model's name must follow '#', or leave '#' out"
                else:
                    return cls(Path(path), None if step is None else int(step), model, label)
        raise InputError(f"{text!r}: {reason}")

    @property
    def name(self) -> str:
        """The user's label, the folder's name, or the file's without its suffix; RUN@STEP for a trainer's dump."""
        if self.label is not None:
            return self.label
        path = self.path if self.path.name not in ("", "..") else self.path.resolve()
        if path.is_dir():
            return run_name(path)
        if path.name == FILE_NAME:
            return run_name(path.resolve().parent)
        name = path.name[: len(path.name) - len(suffix_of(path) or "")] or path.name
        step = STEP_FILE.fullmatch(path.name)
        return f"{run_name(path.resolve().parent)}@{int(step[1])}" if step else name


def with_distinct_names(sources: Sequence[Source]) -> list[Source]:
    """Label sources of one name by what differs in their paths: x/results.csv and y/results.csv are x and y."""
    paths_of: dict[str, list[Path]] = {}
    for source in sources:
        paths = paths_of.setdefault(source.name, [])
        if source.path.resolve() not in paths:
            paths.append(source.path.resolve())
    labels = {path: label for paths in paths_of.values() if len(paths) > 1 for path, label in _differences(paths)}
    return [
        replace(source, label=labels[source.path.resolve()])
        if source.label is None and source.path.resolve() in labels
        else source
        for source in sources
    ]


def run_name(folder: Path) -> str:
    """The run's name: TRL logs into RUN/completions."""
    return folder.resolve().parent.name if folder.name == TRL_FOLDER else folder.name


def _differences(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield (path, its parts without those that begin and those that end all the paths)."""
    start = len(Path(os.path.commonpath(paths)).parts)
    ends = [list(reversed(path.parts[start:])) for path in paths]
    common = next((place for place in range(min(map(len, ends))) if len({end[place] for end in ends}) > 1), 0)
    for path, end in zip(paths, ends, strict=True):
        yield path, "/".join(reversed(end[common:])) or path.name


def _splits(text: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Every way to split the text into (path, step, model), the longest path first."""
    if not text:
        return
    yield text, None, None
    for end in [len(text), *(at for at in range(len(text) - 1, -1, -1) if text[at] == "#")]:
        head, model = text[:end], text[end + 1 :] if end < len(text) else None
        yield head, None, model
        path, at, step = head.rpartition("@")
        if at:
            yield path, step, model
