"""The live table of an experiment: a row a run, with its step, scores, rate and time left."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from rlvrscope.experiment.workers import Event

COLUMNS = ("run", "step", "pass@1", "entropy", "steps/s", "left", "state")
MAX_ROWS = 16
"""Of the table: what runs, what failed, and what ended last."""
MAX_NAME = 30


@dataclass
class _Line:
    steps: int
    started: float
    step: int = 0
    first: tuple[int, float] | None = None
    before: int = 0
    """Steps made before this command: by one that was killed."""
    facts: dict[str, Any] = field(default_factory=dict)
    state: str = "starting"
    ended: float | None = None

    @property
    def weight(self) -> int:
        """How much a reader wants to see it."""
        return {"done": 0, "failed": 1}.get(self.state, 2)


class ExperimentTable:
    """Shows events as they come: a live table in a terminal, a line for each run that ends elsewhere.

    Inside, Ctrl-C is a KeyboardInterrupt, so that workers and the terminal are left in order.
    """

    def __init__(self, console: Console, planned: Mapping[str, int] | None = None) -> None:
        """planned: the steps of every run there is to do, by name, for a line that says how far all of it is."""
        self._console = console
        self._planned = planned or {}
        self._started = time.monotonic()
        self._lines: dict[str, _Line] = {}
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._table, transient=False)

    def __enter__(self) -> Self:
        self._handler = signal.getsignal(signal.SIGINT)
        if self._handler is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        signal.signal(signal.SIGINT, self._handler)

    def on_event(self, event: Event | None) -> None:
        if event is None:
            return
        now = time.monotonic()
        line = self._lines.setdefault(event.job.name, _Line(event.job.steps, now))
        if event.kind == "progress":
            line.step, line.facts, line.state = event.step, event.facts or {}, "running"
            if line.first is None:
                line.first, line.before = (event.step, now), event.step - 1
        elif event.kind in ("done", "failed"):
            line.state, line.ended = event.kind, now
            if not self._console.is_terminal:
                self._tell(event)

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in COLUMNS:
            left, most = column in ("run", "state"), MAX_NAME if column == "run" else None
            table.add_column(column, justify="left" if left else "right", no_wrap=True, max_width=most)
        for name, line in self._shown():
            table.add_row(name, *_cells(line))
        return Group(table, self._summary()) if self._planned else Group(table)

    def _shown(self) -> list[tuple[str, _Line]]:
        """Every line while they are few; else those that matter most, in the order they began."""
        by_weight = sorted(self._lines.items(), key=lambda item: (item[1].weight, item[1].ended or 0.0), reverse=True)
        kept = {name for name, _ in by_weight[:MAX_ROWS]}
        return [(name, line) for name, line in self._lines.items() if name in kept]

    def _summary(self) -> str:
        lines = {name: self._lines[name] for name in self._planned if name in self._lines}
        done, failed = (sum(line.state == state for line in lines.values()) for state in ("done", "failed"))
        ended = {name for name, line in lines.items() if line.ended}
        made = sum((line.steps if name in ended else line.step) - line.before for name, line in lines.items())
        open_steps = sum(steps for name, steps in self._planned.items() if name not in ended)
        open_steps -= sum(line.step for name, line in lines.items() if name not in ended)
        left = ""
        if made > 0:
            left = f", about {duration((time.monotonic() - self._started) * open_steps / made)} left"
        return f"{done} of {len(self._planned)} runs done{f', {failed} failed' if failed else ''}{left}"

    def _tell(self, event: Event) -> None:
        """A line, where there is no live table."""
        reason = f": {event.error}" if event.error else ""
        far = f" ({self._summary()})" if event.job.name in self._planned else ""
        self._console.print(f"{event.job.name}: {event.kind}{reason}{far}", highlight=False, markup=False)


def duration(seconds: float) -> str:
    """In minutes, or from 100 on in hours."""
    if seconds < 30.0:
        return "half a minute"
    return f"{seconds / 60.0:.0f} min" if seconds < 6000.0 else f"{seconds / 3600.0:.1f} hours"


def _cells(line: _Line) -> tuple[str, ...]:
    rate = _rate(line)
    left = (line.steps - line.step) / rate if rate and line.state == "running" else None
    return (
        f"{line.step}/{line.steps}",
        *(f"{line.facts[name]:.3f}" if name in line.facts else "" for name in ("pass_at_1", "token_entropy")),
        f"{rate:.1f}" if rate else "",
        "" if left is None else f"{left:.0f} s",
        line.state,
    )


def _rate(line: _Line) -> float | None:
    if line.first is None or line.step <= line.first[0]:
        return None
    elapsed = (line.ended or time.monotonic()) - line.first[1]
    return (line.step - line.first[0]) / elapsed if elapsed > 0 else None
