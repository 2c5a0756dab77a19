"""Entries of training logs: JSON Lines, JSON documents, CSV, console lines of verl, and the lab's run folders.

A source returns what is new since the last call, so that a run can be followed. `restarts` counts how often its
entries began again from the first: a document is read again whenever it changes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from rlvrscope.errors import InputError, file_errors
from rlvrscope.files import parse_json
from rlvrscope.readers.log_names import STEP_NAMES
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.growing_lines import GrowingLines
from rlvrscope.runs.rows import EvaluationRow, LedgerRow, ProbeRow, TelemetryRow
from rlvrscope.tables.csv_table import DELIMITERS
from rlvrscope.tables.json_table import is_lines
from rlvrscope.tables.stream import document_of, head_of, lines_of

Entry = dict[str, Any]
LAB_ROWS = (TelemetryRow, LedgerRow, ProbeRow)
"""Rows of a run folder that the monitor reads, beside the exact masses of its evaluations."""
MAX_DAMAGED_SHARE = 0.1
"""Largest share of damaged lines in a file of JSON Lines."""
_JSON = re.compile(r"""\{\s*["}]|\[\s*[\[{\]]""")
"""The start of an object, or of a list of objects; other brackets open a line of a console."""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONSOLE = re.compile(r"\bstep:(\d+)((?: - [^\s:]+:\S+)+)")
_ATTEMPT = re.compile(r"attempt-([0-9]{1,9})\.jsonl")
_NUMBER = re.compile(r"(?:np\.\w+\()?([^()]+)\)?")
KINDS = (
    "a trainer_state.json, JSON Lines or a JSON list with an object for each step, verl's console lines "
    "(step:1 - critic/score/mean:0.5 - ...), or CSV with a column of steps"
)


class Entries(Protocol):
    """Source of a log's entries. notes: parts that were left out. whole: the file is written as a whole."""

    whole: ClassVar[bool]

    @property
    def restarts(self) -> int: ...

    def poll(self) -> list[Entry]:
        """Entries since the last call, from the first after a restart."""
        ...

    def finish(self) -> list[Entry]:
        """Entries of an unfinished last line, where nobody is writing it any more."""
        ...

    @property
    def notes(self) -> list[str]: ...


class NoEntries:
    """A log that does not exist yet."""

    whole: ClassVar[bool] = False
    restarts = 0

    @property
    def notes(self) -> list[str]:
        return []

    def poll(self) -> list[Entry]:
        return []

    def finish(self) -> list[Entry]:
        return []


@dataclass
class LineEntries:
    """A file of lines that may still grow. parse: the entry of a line, None for one without, ValueError for damage."""

    whole: ClassVar[bool] = False
    path: Path
    parse: Callable[[str], Entry | None]
    _damaged: list[int] = field(default_factory=list)
    _truncated: bool = False

    def __post_init__(self) -> None:
        self._lines = GrowingLines(self.path)

    @property
    def restarts(self) -> int:
        return self._lines.restarts

    def poll(self) -> list[Entry]:
        restarts = self.restarts
        lines = self._lines.poll()
        if self.restarts != restarts:
            self._damaged.clear()
        entries = [entry for number, line in lines if (entry := self._entry(number, line)) is not None]
        if len(self._damaged) > MAX_DAMAGED_SHARE * self._lines.number + 1:
            numbers = ", ".join(map(str, self._damaged[:3]))
            raise InputError(
                f"{self.path}: {len(self._damaged)} of {self._lines.number} lines are damaged (lines {numbers}, ...): "
                "JSON Lines have one JSON object a line"
            )
        return entries

    def finish(self) -> list[Entry]:
        try:
            entry = (
                self.parse(self._lines.unfinished.decode(errors="replace")) if self._lines.unfinished.strip() else None
            )
        except (ValueError, RecursionError):
            self._truncated = True
            return []
        return [] if entry is None else [entry]

    @property
    def notes(self) -> list[str]:
        damaged = ", ".join(map(str, self._damaged[:5]))
        notes = [f"damaged lines are left out: {damaged}"] if self._damaged else []
        return [*notes, "the last line is cut short and left out"] if self._truncated else notes

    def _entry(self, number: int, line: bytes) -> Entry | None:
        try:
            return self.parse(line.decode(errors="replace"))
        except (ValueError, RecursionError):
            self._damaged.append(number)
            return None


@dataclass
class DocumentEntries:
    """A file that is written as a whole. read: its entries."""

    whole: ClassVar[bool] = True
    path: Path
    read: Callable[[Path], tuple[list[Entry], list[str]]]
    restarts: int = 0
    notes: list[str] = field(default_factory=list)
    _seen: tuple[int, int, int] | None = None

    def poll(self) -> list[Entry]:
        with file_errors("read", self.path, InputError):
            status = self.path.stat()
        seen = status.st_ino, status.st_size, status.st_mtime_ns
        if seen == self._seen:
            return []
        self.restarts += self._seen is not None
        self._seen = seen
        entries, self.notes = self.read(self.path)
        return entries

    def finish(self) -> list[Entry]:
        return []


@dataclass
class LabEntries:
    """A run folder of the lab."""

    whole: ClassVar[bool] = False
    path: Path
    restarts: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        folder = RunFolder(self.path)
        self._followers = [folder.follow(kind) for kind in LAB_ROWS]
        self._evaluations = folder.follow(EvaluationRow)

    def poll(self) -> list[Entry]:
        rows = [row.model_dump() for follower in self._followers for row in follower.poll()]
        exact = [{"step": row.step, "rare_log_mass": row.rare_log_mass} for row in self._evaluations.poll() if row.step]
        return [*rows, *exact]

    def finish(self) -> list[Entry]:
        return []


@dataclass
class AttemptEntries:
    """Logs of a run's attempts, one file each, in order: a resumed run writes a new one and goes back some steps."""

    whole: ClassVar[bool] = False
    folder: Path
    _opened: dict[Path, LineEntries] = field(default_factory=dict)

    @property
    def restarts(self) -> int:
        return sum(entries.restarts for entries in self._opened.values())

    def poll(self) -> list[Entry]:
        for file in attempt_files(self.folder):
            self._opened.setdefault(file, LineEntries(file, _json_line))
        return [entry for entries in self._opened.values() for entry in entries.poll()]

    def finish(self) -> list[Entry]:
        return [entry for entries in self._opened.values() for entry in entries.finish()]

    @property
    def notes(self) -> list[str]:
        return [
            f"{file.name}: {note}" if len(self._opened) > 1 else note
            for file, entries in self._opened.items()
            for note in entries.notes
        ]


def attempt_files(folder: Path) -> list[Path]:
    """Files attempt-1.jsonl, attempt-2.jsonl, ... of a folder, in the order of their numbers."""
    numbers = {file: match for file in folder.glob("attempt-*.jsonl") if (match := _ATTEMPT.fullmatch(file.name))}
    return sorted(numbers, key=lambda file: int(numbers[file][1]))


def entries_of(path: Path) -> Entries:
    """Open a log by its content. Raises InputError if it can't be read."""
    if path.is_dir() and attempt_files(path):
        return AttemptEntries(path)
    if path.is_dir():
        return LabEntries(path)
    head = head_of(path).decode(errors="replace").lstrip()
    if _JSON.match(head):
        return LineEntries(path, _json_line) if is_lines(path) else DocumentEntries(path, _document)
    if _is_csv(path, head.partition("\n")[0]):
        return DocumentEntries(path, _csv)
    return LineEntries(path, _console_line)


def _is_csv(path: Path, first: str) -> bool:
    names = {name.strip("\"' \r") for name in re.split(f"[{DELIMITERS}]", first)}
    return not names.isdisjoint(STEP_NAMES) or any(suffix in (".csv", ".tsv") for suffix in path.suffixes)


def _json_line(line: str) -> Entry | None:
    """The object of a line, with verl's {"step", "data"} merged into one."""
    if not line.strip():
        return None
    entry = parse_json(line)
    if not isinstance(entry, dict):
        raise ValueError("no JSON object")
    data = entry.get("data")
    return {**data, "step": entry.get("step")} if isinstance(data, dict) else entry


def _console_line(line: str) -> Entry | None:
    match = _CONSOLE.search(_ESCAPES.sub("", line))
    if match is None:
        return None
    pairs = (pair.rpartition(":") for pair in match[2].split(" - ")[1:])
    values = {name: _NUMBER.fullmatch(value) for name, _, value in pairs}
    return {name: value[1] for name, value in values.items() if value} | {"step": match[1]}


def _document(path: Path) -> tuple[list[Entry], list[str]]:
    """The log_history of transformers' trainers, or a list of objects."""
    try:
        document = document_of(path)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: damaged JSON: {error}") from error
    entries = document.get("log_history", [document]) if isinstance(document, dict) else document
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: a JSON log is an object with a log_history, or a list of objects, one for each step")
    return entries, []


def _csv(path: Path) -> tuple[list[Entry], list[str]]:
    """Rows of a table; a short last one is left out."""
    first = next((text for _, text in lines_of(path) if text.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader((text for _, text in lines_of(path)), delimiter=delimiter)
    try:
        header, *rows = [row for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: damaged CSV: {error}") from error
    short = [number for number, row in enumerate(rows, start=1) if len(row) != len(header)]
    if short and short != [len(rows)]:
        raise InputError(
            f"{path}: row {short[0]} of the table has {len(rows[short[0] - 1])} cells, its header {len(header)} names"
        )
    names = [name.strip() for name in header]
    notes = ["the last line is cut short and left out"] if short else []
    return [dict(_filled(names, row)) for row in rows if len(row) == len(header)], notes


def _filled(names: list[str], row: list[str]) -> Iterator[tuple[str, str]]:
    """Cells with a value; exports leave those of other rows empty."""
    return ((name, cell) for name, cell in zip(names, row, strict=True) if cell.strip())
