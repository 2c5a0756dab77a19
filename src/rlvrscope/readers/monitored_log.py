"""A training log under the stage monitor, read again as it grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rlvrscope.monitor.timeline import Timeline
from rlvrscope.readers.training_logs import TrainingLog


@dataclass
class MonitoredLog:
    """A training log and its timeline. version: how often it has changed.

    The monitor sees each row once. Where rows that it has seen change, as in a resumed run, it begins again.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=Timeline)
    version: int = 0

    def __post_init__(self) -> None:
        self.log = TrainingLog(self.path, self.columns)

    def poll(self, final: bool = False) -> bool:
        """Read what is new; return whether the timeline changed. final: nobody writes the log any more.

        Raises as `TrainingLog.poll`.
        """
        if not self.log.poll(final):
            return False
        rows = self.log.rows
        seen = self.timeline.rows
        if rows[: len(seen)] != seen:
            self.timeline = Timeline()
        for row in rows[len(self.timeline.rows) :]:
            self.timeline.update(row)
        self.version += 1
        return True
