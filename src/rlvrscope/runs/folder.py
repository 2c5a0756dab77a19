"""The run folder: what a training run leaves behind, written so that it can be gone on with after a kill.

recipe.toml       the recipe as resolved
telemetry.jsonl   one row a step, no times in it: the same recipe gives the same bytes
evaluation.jsonl  one row an evaluation
wise.jsonl        one row an interpolation of the final weights with the base's, if asked for
timing.jsonl      seconds by phase, apart from the rest because they differ each time
error.log         why a run failed
checkpoints/      safetensors
environment.json  versions and machine

recipe.toml's format_version speaks for the folder.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, file_errors
from rlvrscope.runs.files import write_atomic
from rlvrscope.runs.rows import Row

_TEMPORARY = re.compile(r"\.(recipe\.toml|\w+\.jsonl|\w+\.json|\w+\.safetensors)\.\d+\.tmp")
"""Names that `replacing` gives to this folder's files while it writes them."""


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run."""

    path: Path

    @property
    def final_checkpoint(self) -> Path:
        """Written last: where it stands, the run is done."""
        return self.path / "checkpoints" / "final.safetensors"

    @property
    def resume_checkpoint(self) -> Path:
        """Weights and optimizer of the last evaluation, to go on from after a kill."""
        return self.path / "checkpoints" / "resume.safetensors"

    @property
    def done(self) -> bool:
        return self.final_checkpoint.exists()

    @property
    def error_log(self) -> Path:
        """Why the run failed: a line, and below it the traceback if there was one."""
        return self.path / "error.log"

    @property
    def failure(self) -> str | None:
        """The reason of a run that failed; None for one that did not."""
        if self.done or not self.error_log.exists():
            return None
        with file_errors("read", self.error_log):
            return self.error_log.read_text(encoding="utf-8").partition("\n")[0]

    def claim(self, recipe_toml: str) -> None:
        """Make the folder for this recipe, or find it made for the same one.

        Raises InputError if it holds another recipe's work, which is left as it is; WorkError if it can't be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file, and a run needs a folder. Choose another --out.")
        recipe = self.path / "recipe.toml"
        with file_errors("read", recipe):
            held = recipe.read_text(encoding="utf-8") if recipe.exists() else None
        if held is None:
            strangers = self.path.is_dir() and [item for item in self.path.iterdir() if not item.name.startswith(".")]
            if strangers:
                raise InputError(
                    f"{self.path} holds other files ({strangers[0].name}) and no run. Choose another --out."
                )
            write_atomic(recipe, recipe_toml)
        elif held != recipe_toml:
            raise InputError(
                f"{self.path} holds a run of another recipe ({_difference(held, recipe_toml)}). "
                "Choose another --out, or remove that folder."
            )
        self._tidy()

    def _tidy(self) -> None:
        """Remove what a kill may have left: writes cut short, and what is there to go on from in a run that is done."""
        for folder in (self.path, self.path / "checkpoints"):
            for unfinished in folder.glob(".*.*.tmp"):
                if _TEMPORARY.fullmatch(unfinished.name):
                    unfinished.unlink(missing_ok=True)
        if self.done:
            self.resume_checkpoint.unlink(missing_ok=True)

    def append(self, name: str, row: Row) -> None:
        """Add a row to `name`.jsonl. A number that is not finite is written as null: strict JSON."""
        path = self.path / f"{name}.jsonl"
        with file_errors("write", path):
            self.path.mkdir(parents=True, exist_ok=True)
        with file_errors("write", path), path.open("a") as file:
            file.write(json.dumps(_finite(row), allow_nan=False) + "\n")

    def flush(self, *names: str) -> None:
        """Make sure that these rows have reached the disk."""
        for name in names:
            path = self.path / f"{name}.jsonl"
            with file_errors("write", path), path.open("rb") as file:
                os.fsync(file.fileno())

    def rows(self, name: str) -> list[Row]:
        """The rows of `name`.jsonl; a last line cut short by a kill is not a row. Raises InputError on damage."""
        path = self.path / f"{name}.jsonl"
        with file_errors("read", path):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        try:
            rows = [json.loads(line) for line in whole]
        except json.JSONDecodeError as error:
            raise InputError(f"{path} is damaged: {error}. Remove {self.path} and run again.") from error
        if not all(isinstance(row, dict) and isinstance(row.get("step"), int) for row in rows):
            raise InputError(f"{path} is damaged: a row has no step. Remove {self.path} and run again.")
        return rows

    def complete_rows(self, name: str, last_step: int) -> list[Row]:
        """The rows of a run that is done. Raises InputError if they do not reach its last step."""
        rows = self.rows(name)
        if not rows or rows[-1]["step"] != last_step:
            raise InputError(
                f"{self.path}: {name}.jsonl does not reach step {last_step}. Remove {self.path}, run again."
            )
        return rows

    def keep_until(self, name: str, step: int) -> None:
        """Drop rows past `step`: they come again when training goes on from there."""
        if not (self.path / f"{name}.jsonl").exists():
            return
        rows = [row for row in self.rows(name) if row["step"] <= step]
        write_atomic(self.path / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _difference(held: str, wanted: str) -> str:
    """The first key in which two recipes differ, with both values."""
    try:
        theirs = _flat(tomllib.loads(held))
    except tomllib.TOMLDecodeError:
        return "it can't be read"
    ours = _flat(tomllib.loads(wanted))
    key = next((key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)), None)
    if key is None:
        return "the order of its keys"
    return f"{key} is {theirs.get(key, 'absent')} there, {ours.get(key, 'absent')} here"


def _flat(table: dict[Any, Any], prefix: str = "") -> Row:
    found = {}
    for key, value in table.items():
        inner = dict(enumerate(value)) if isinstance(value, list) else value
        found |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {f"{prefix}{key}": str(value)[:60]}
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value
