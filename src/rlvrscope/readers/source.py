"""A source as users write it: PATH, PATH@STEP, PATH#MODEL or PATH@STEP#MODEL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rlvrscope.errors import InputError
from rlvrscope.sampling.store.file import FILE_NAME
from rlvrscope.tables.files import suffix_of

COMPLETIONS = "completions"
STEP_FILE = re.compile(r"(?:completions_)?([0-9]{1,15})\.(?:jsonl|parquet)")
"""verl writes {step}.jsonl, TRL completions/completions_{step}.parquet."""


@dataclass(frozen=True)
class Source:
    """A file or folder, and which step and model of it are meant."""

    path: Path
    step: int | None = None
    model: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """A path that exists with these characters in it wins; then the longest one that exists.

        Raises InputError if there is no such path, or a step that is no whole number.
        """
        refused = "there is no such file or folder"
        for path, step, model in _readings(text):
            if not os.path.exists(path):
                continue
            if step is not None and not re.fullmatch(r"[0-9]{1,15}", step):
                refused = f"a step is a whole number, as in {path}@100; got {step!r}"
            elif model == "":
                refused = "a model's name must follow '#', or leave '#' out"
            else:
                return cls(Path(path), None if step is None else int(step), model)
        raise InputError(f"{text!r}: {refused}")

    @property
    def name(self) -> str:
        """The folder's name, or the file's without its suffix; of an engine's dump the run's, for a step names none."""
        path = self.path if self.path.name not in ("", "..") else self.path.resolve()
        if path.is_dir():
            return _run_name(path)
        if path.name == FILE_NAME:
            return _run_name(path.resolve().parent)
        name = path.name[: len(path.name) - len(suffix_of(path) or "")] or path.name
        step = STEP_FILE.fullmatch(path.name)
        return f"{_run_name(path.resolve().parent)}@{int(step[1])}" if step else name


def _run_name(folder: Path) -> str:
    """TRL logs into RUN/completions."""
    return folder.resolve().parent.name if folder.name == COMPLETIONS else folder.name


def _readings(text: str) -> Iterator[tuple[str, str | None, str | None]]:
    """The ways to read (path, step, model), the longest path first."""
    if not text:
        return
    yield text, None, None
    for end in [len(text), *(at for at in range(len(text) - 1, -1, -1) if text[at] == "#")]:
        head, model = text[:end], text[end + 1 :] if end < len(text) else None
        yield head, None, model
        path, at, step = head.rpartition("@")
        if at:
            yield path, step, model
