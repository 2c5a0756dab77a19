"""Training logs as rows for the stage monitor: of the lab, TRL, verl, W&B, CSV and JSON Lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from rlvrscope.errors import InputError
from rlvrscope.monitor.stage import SIGNALS
from rlvrscope.readers.log_entries import KINDS, Entries, LabEntries, NoEntries, attempt_files, entries_of
from rlvrscope.readers.log_names import READ, STEP_NAMES, LogNames, LogRow, looked_for
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import TelemetryRow
from rlvrscope.tables.values import join_names

ATTEMPTS = "metrics"
"""Folder with the metrics of each attempt of `rlvrscope verl`, attempt-1.jsonl and so on."""
FILES = ("trainer_state.json", "logging.jsonl", "metrics.jsonl")
"""Logs that are looked for in a folder, after a run of the lab and before TRL's checkpoints."""
NEEDED = ("reward", "pass_at_group", "rare_log_mass")
"""Metrics of which a log of reinforcement learning has at least one."""
MIN_CHECKED = 8
"""Rows from which a log without rewards is refused while it still grows."""
_CHECKPOINT = re.compile(r"checkpoint-([0-9]{1,15})")


@dataclass
class TrainingLog:
    """Rows of a training log, one for each step, which may still grow.

    Where the steps go back, a run was resumed there: rows from that step on are those of the later attempt. Rows of one
    step in a row are parts of its batch, and their mean is taken.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    """The user's names in the log for canonical ones."""

    def __post_init__(self) -> None:
        self._file: Path | None = None
        self._entries: Entries = NoEntries()
        self._begin()

    def _begin(self) -> None:
        """Forget the rows so far."""
        self._names = LogNames(self.columns)
        self._rows: dict[int, LogRow] = {}
        self._replaced = self._averaged = 0
        self._times: Counter[str] = Counter()
        """Rows of the last step that have each metric."""
        self._resumed_at: int | None = None

    def poll(self, final: bool = False) -> bool:
        """Read what was logged since the last call; return whether there was any.

        final: nobody writes the log any more. Raises InputError for damage and for what is no training log, WorkError
        if it can't be read.
        """
        self._open(final)
        restarts = self._entries.restarts
        entries = self._entries.poll()
        if self._entries.restarts != restarts:
            self._begin()
        entries += self._entries.finish() if final else []
        try:
            rows = [row for entry in entries if (row := self._names.row(entry)) is not None]
        except InputError as error:
            raise InputError(f"{self._file}: {error}") from error
        newest_first = self._entries.whole and len(rows) > 1 and rows[0]["step"] > rows[-1]["step"]
        for row in reversed(rows) if newest_first else rows:
            self._add(row)
        if final or len(self._rows) >= MIN_CHECKED:
            self._check()
        return bool(entries)

    def _open(self, final: bool) -> None:
        """Open the log, or the newer one that has appeared in its folder."""
        file = find_log(self.path)
        if file is None and final:
            raise_missing(self.path)
        if file is not None and file != self._file:
            self._file, self._entries = file, entries_of(file)
            self._begin()

    def _add(self, row: LogRow) -> None:
        step = row["step"]
        last = next(reversed(self._rows), -1)
        if step < last and not isinstance(self._entries, LabEntries):
            replaced = [other for other in self._rows if other >= step]
            for other in replaced:
                del self._rows[other]
            self._replaced += len(replaced)
            self._resumed_at = step if self._resumed_at is None else min(step, self._resumed_at)
        if step != last:
            self._times.clear()
        before = self._rows.get(step, {})
        again = [name for name in before.keys() & row.keys() if name in SIGNALS]
        self._averaged += bool(again)
        self._times.update(row.keys())
        means = {name: before[name] + (row[name] - before[name]) / self._times[name] for name in again}
        self._rows[step] = before | row | means

    def _check(self) -> None:
        """Raise InputError unless the rows are those of a training run."""
        names = self._names
        if not names.met:
            raise InputError(f"{self._file} holds no step. Looked for {KINDS}")
        logs = f"It logs {join_names(sorted(names.met))}"
        for name, logged in self.columns.items():
            if logged not in names.met:
                raise InputError(f"{self._file} has no {logged!r}, named by --column {name}={logged}. {logs}")
        if not set(NEEDED) & names.used.keys():
            known_step = bool({*STEP_NAMES, self.columns.get("step")} & names.met.keys())
            steps = "" if known_step else f", and steps as {', '.join(STEP_NAMES)}"
            raise InputError(
                f"{self._file} has no steps with a reward. Looked for {looked_for(NEEDED)}{steps}. {logs}. "
                "Say which is which: --column reward=NAME"
            )

    @property
    def rows(self) -> list[LogRow]:
        """Rows in the order of their steps."""
        return [self._rows[step] for step in sorted(self._rows)]

    @property
    def account(self) -> str:
        """Steps, trainer and metrics that were read, in one line."""
        steps = sorted(self._rows)
        if not steps:
            return "no step yet"
        ends = f" {steps[0]} to {steps[-1]}" if len(steps) > 1 else ""
        used = [name for name in READ if name in self._names.used and name != "top_level"]
        lacks = {"ledger": "pass_at_group", "probe": "rare_log_mass"}
        missing = [f"no {word}" for word, name in lacks.items() if name not in self._names.used]
        parts = [", ".join(used), *([", ".join(missing)] if missing else [])]
        return f"{len(steps):,} steps{ends} ({self.trainer}): {'; '.join(parts)}"

    @property
    def trainer(self) -> str:
        if isinstance(self._entries, LabEntries):
            return "a run folder"
        return self._names.trainer or "canonical names"

    @property
    def notes(self) -> list[str]:
        """Doubtful parts of the log, one line each."""
        notes = list(self._entries.notes)
        if self._replaced:
            notes.append(
                f"steps from {self._resumed_at} on were logged again, as by a resumed run: the later rows count, "
                f"{self._replaced:,} earlier ones are left out"
            )
        if self._averaged:
            notes.append(f"{self._averaged:,} rows have the step of the row before: the mean of a step's rows is read")
        if functions := self._names.reward_functions:
            notes.append(
                f"reward is the weighted sum of {len(functions)} functions ({join_names(functions)}): "
                "to read one of them, --column reward=NAME"
            )
        return notes


def read_log(path: Path, columns: Mapping[str, str] | None = None) -> TrainingLog:
    """Read a log that nobody writes any more. Raises InputError for what is no training log."""
    log = TrainingLog(path, columns or {})
    log.poll(final=True)
    return log


def find_log(path: Path) -> Path | None:
    """Return the log at a path; None before the first step was logged.

    In a folder: a run of the lab itself, else the attempts of `rlvrscope verl`, else a trainer's file, TRL's in the
    last checkpoint.
    """
    if path.is_file():
        return path if path.stat().st_size else None
    if RunFolder(path).file(TelemetryRow).is_file():
        return path
    attempts = next((folder for folder in (path, path / ATTEMPTS) if attempt_files(folder)), None)
    if attempts is not None:
        return attempts
    states = [
        (int(match[1]), state)
        for state in path.glob("checkpoint-*/trainer_state.json")
        if (match := _CHECKPOINT.fullmatch(state.parent.name))
    ]
    files = [path / name for name in FILES if (path / name).is_file()]
    return files[0] if files else max(states, default=(0, None))[1]


def raise_missing(path: Path) -> NoReturn:
    """Raise InputError for a path without a log."""
    if path.is_file():
        raise InputError(f"{path} is empty: no step has been logged yet")
    if not path.exists():
        raise InputError(f"there is no such file or folder: {path}")
    raise InputError(
        f"{path} holds no training log. Looked for telemetry.jsonl (a run of the lab), "
        f"{ATTEMPTS}/attempt-N.jsonl (rlvrscope verl), {', '.join(FILES)} and "
        "checkpoint-N/trainer_state.json; name the file itself, or the folder of one run"
    )
