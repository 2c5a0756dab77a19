"""The run folder: everything a training run leaves behind, written so that a killed run can resume.

recipe.toml          the recipe as resolved; its format_version is that of the folder
telemetry.jsonl      one row per step, without times: the same recipe gives the same bytes
evaluation.jsonl     one row per evaluation
interpolation.jsonl  one row per mixture of the final weights with the base's, if asked for
timing.jsonl         seconds by phase
error.log            why the run failed
checkpoints/         safetensors
environment.json     versions and machine
"""

from __future__ import annotations

import itertools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from rlvrscope.errors import InputError, file_errors
from rlvrscope.files import lines_in, open_ordinary, parse_toml, read_bounded
from rlvrscope.runs.files import write_atomic
from rlvrscope.runs.growing_lines import GrowingLines
from rlvrscope.runs.rows import Row
from rlvrscope.runs.whole import is_whole

MAX_REASON_BYTES = 4096
"""Length of the reason of a failure that is read."""
_TEMPORARY = re.compile(r"\.(recipe\.toml|\w+\.jsonl|\w+\.json|\w+\.safetensors)\.\d+\.tmp")
"""Names that `files.replacing` gives to files of this folder while it writes them."""
AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run."""

    path: Path

    @property
    def final_checkpoint(self) -> Path:
        """Final weights. Written last: the run is done once this file exists."""
        return self.path / "checkpoints" / "final.safetensors"

    @property
    def resume_checkpoint(self) -> Path:
        """Weights and optimizer state at the last evaluation, to resume from."""
        return self.path / "checkpoints" / "resume.safetensors"

    @property
    def done(self) -> bool:
        """Whether the run has its final checkpoint, and that is whole."""
        return is_whole(self.final_checkpoint)

    @property
    def error_log(self) -> Path:
        """Why the run failed, in the first line; then the traceback."""
        return self.path / "error.log"

    @property
    def failure(self) -> str | None:
        """Why the run failed; None for any other run."""
        if self.done or not self.error_log.exists():
            return None
        with open_ordinary(self.error_log) as file:
            return file.readline(MAX_REASON_BYTES).decode("utf-8", "replace").rstrip("\n")

    def claim(self, recipe_toml: str) -> None:
        """Create the folder for this recipe, or accept it if it was created for the same one.

        Raises InputError if it holds anything else, which is left untouched; WorkError if it can't be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file, and a run needs a folder. Choose another --out.")
        recipe = self.path / "recipe.toml"
        existing = read_bounded(recipe).decode("utf-8", "replace") if recipe.exists() else None
        if existing is None:
            others = self.path.is_dir() and [item for item in self.path.iterdir() if not item.name.startswith(".")]
            if others:
                raise InputError(f"{self.path} holds other files ({others[0].name}) and no run. Choose another --out.")
            write_atomic(recipe, recipe_toml)
        elif existing != recipe_toml:
            raise InputError(
                f"{self.path} holds a run of another recipe ({_difference(existing, recipe_toml)}). "
                "Choose another --out, or remove that folder."
            )
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """Remove unfinished writes of a killed process, and the resume checkpoint of a finished run."""
        for folder in (self.path, self.path / "checkpoints"):
            for unfinished in folder.glob(".*.*.tmp"):
                if _TEMPORARY.fullmatch(unfinished.name):
                    unfinished.unlink(missing_ok=True)
        if self.done:
            self.resume_checkpoint.unlink(missing_ok=True)

    def file(self, kind: type[Row]) -> Path:
        """File that holds the rows of this kind."""
        return self.path / f"{kind.FILE}.jsonl"

    def append(self, row: Row) -> None:
        """Append a row to its file. Raises WorkError if it can't be written."""
        path = self.file(type(row))
        with file_errors("write", path):
            self.path.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(_line(row))

    def flush(self, *kinds: type[Row]) -> None:
        """Force the rows of these kinds to disk."""
        for kind in kinds:
            with file_errors("write", self.file(kind)), self.file(kind).open("rb") as file:
                os.fsync(file.fileno())

    def rows(self, kind: type[AnyRow]) -> list[AnyRow]:
        """All rows of a kind; a last line cut short by a kill does not count. Raises InputError for damage."""
        path = self.file(kind)
        if not path.exists():
            return []
        with open_ordinary(path) as file:
            lines = enumerate(lines_in(file, path), start=1)
            return [_parse(line, kind, path, number) for number, line in lines if line.endswith(b"\n")]

    def complete_rows(self, kind: type[AnyRow], last_step: int) -> list[AnyRow]:
        """Rows of a finished run. Raises InputError unless their steps rise, up to its last step."""
        rows = self.rows(kind)
        name = self.file(kind).name
        if not rows or rows[-1].step != last_step:
            raise InputError(f"{self.path}: {name} does not reach step {last_step}. Remove {self.path}, run again.")
        for before, after in itertools.pairwise(rows):
            if before.step >= after.step:
                raise InputError(
                    f"{self.path / name} is damaged: step {after.step} follows step {before.step}. Remove {self.path} "
                    "and run again."
                )
        return rows

    def keep_until(self, kind: type[Row], step: int) -> None:
        """Drop rows after `step`: a run that resumes there writes them again."""
        if self.file(kind).exists():
            rows = [row for row in self.rows(kind) if row.step <= step]
            write_atomic(self.file(kind), "".join(map(_line, rows)))

    def follow(self, kind: type[AnyRow]) -> RowFollower[AnyRow]:
        """Follow the rows of a run that may still be training."""
        return RowFollower(self.file(kind), kind)


@dataclass
class RowFollower(Generic[AnyRow]):
    """New rows of a growing file. A poll reads only what was appended since the last one.

    When a killed run resumes, it drops its last rows and writes them again: rows up to the last step already returned
    are then skipped, so every step is returned once.
    """

    path: Path
    kind: type[AnyRow]
    last_step: int = -1

    def __post_init__(self) -> None:
        self._lines = GrowingLines(self.path)

    def poll(self) -> list[AnyRow]:
        """Rows that were completed since the last call. Raises InputError for damage, WorkError if it can't be read."""
        new = []
        for number, line in self._lines.poll():
            row = _parse(line, self.kind, self.path, number)
            if row.step > self.last_step:
                self.last_step = row.step
                new.append(row)
        return new


def _line(row: Row) -> str:
    values = row.model_dump(mode="json", exclude_none=True)
    return json.dumps({name: value for name, value in values.items() if value is not None}, allow_nan=False) + "\n"


def _parse(line: bytes, kind: type[AnyRow], path: Path, number: int) -> AnyRow:
    try:
        return kind.model_validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, reason = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{path} is damaged: line {number}: {f'{where}: ' if where else ''}{reason}. "
            f"Remove {path.parent} and run again."
        ) from error


def _difference(existing: str, recipe_toml: str) -> str:
    """Name the first key in which two recipes differ, with both values."""
    try:
        before = _flat(parse_toml(existing))
    except ValueError:
        return "it can't be read"
    after = _flat(parse_toml(recipe_toml))
    key = next((key for key in {**after, **before} if after.get(key) != before.get(key)), None)
    if key is None:
        return "the order of its keys"
    return f"{key} is {before.get(key, 'absent')} there, {after.get(key, 'absent')} here"


def _flat(table: dict[Any, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        inner = dict(enumerate(value)) if isinstance(value, list) else value
        flat |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {f"{prefix}{key}": str(value)[:60]}
    return flat
