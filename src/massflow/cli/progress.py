"""The live table of an experiment: a row a run, with its step, scores, rate and time left."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from massflow.lab.workers import Event

COLUMNS = ("run", "step", "pass@1", "entropy", "steps/s", "left", "state")


@dataclass
class _Line:
    steps: int
    started: float
    step: int = 0
    first: tuple[int, float] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    state: str = "starting"
    ended: float | None = None


class ExperimentTable:
    """Shows events as they come: a live table in a terminal, a line for each run that ends elsewhere.

    Inside, Ctrl-C is a KeyboardInterrupt, so that workers and the terminal are left in order.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
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
            line.first = line.first or (event.step, now)
        elif event.kind in ("done", "failed"):
            line.state, line.ended = event.kind, now
            if not self._console.is_terminal:
                self._console.print(f"{event.job.name}: {event.kind}", highlight=False)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for column in COLUMNS:
            table.add_column(column, justify="left" if column in ("run", "state") else "right", no_wrap=True)
        for name, line in self._lines.items():
            table.add_row(name, *_cells(line))
        return table


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
