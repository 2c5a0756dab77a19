"""Timeline of a run: its stages and alarms as ranges of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rlvrscope.monitor.stage import Reading, StageMonitor


@dataclass(frozen=True)
class Span:
    """A stage, or an alarm, that was read at every row from step `first` to `last`. evidence: that of its last row."""

    name: str
    first: int
    last: int
    evidence: str


@dataclass
class Timeline:
    """Rows of a run, and what the stage monitor reads from them. reading: at the last row; None before the first."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    stages: list[Span] = field(default_factory=list)
    alarms: list[Span] = field(default_factory=list)
    """In the order in which they began."""
    reading: Reading | None = None
    _monitor: StageMonitor = field(default_factory=StageMonitor)
    _sounding: dict[str, int] = field(default_factory=dict)
    """Place in `alarms` of those that hold at the last row."""

    def update(self, row: Mapping[str, Any]) -> Reading:
        """Add a row. Raises InputError for a step that is missing or does not rise."""
        reading = self._monitor.update(row)
        self.rows.append(row)
        self.reading = reading
        if self.stages and self.stages[-1].name == reading.stage:
            self.stages[-1] = replace(self.stages[-1], last=reading.step, evidence=reading.evidence)
        else:
            self.stages.append(Span(reading.stage, reading.step, reading.step, reading.evidence))
        self._note_alarms(reading)
        return reading

    def _note_alarms(self, reading: Reading) -> None:
        before, self._sounding = self._sounding, {}
        for alarm in reading.alarms:
            place = before.get(alarm.name, len(self.alarms))
            if place == len(self.alarms):
                self.alarms.append(Span(alarm.name, alarm.since, reading.step, alarm.evidence))
            else:
                self.alarms[place] = replace(self.alarms[place], last=reading.step, evidence=alarm.evidence)
            self._sounding[alarm.name] = place

    def holds(self, span: Span) -> bool:
        """Return whether a stage or an alarm holds at the last row."""
        return self.reading is not None and span.last == self.reading.step
