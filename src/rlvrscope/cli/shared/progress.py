"""Progress of long work: one bar, and a live table of training runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rlvrscope.cli.shared.console import MESSAGES
from rlvrscope.cli.shared.guard import on_interrupt
from rlvrscope.experiment.workers import Event

REFRESH_SECONDS = 0.1
"""Shortest time between two updates of a bar."""
FIRST_LINE_SECONDS = 2.0
"""Time of the first line of progress where there is no terminal."""
COLUMNS = ("run", "step", "pass@1", "entropy", "steps/s", "left", "state")
MAX_ROWS = 16
"""Rows of the live table: unfinished runs first, then failed ones, then the last to finish."""
MAX_NAME_WIDTH = 30


class Advance(Protocol):
    """Reports progress: `done` of `total` (None: as before), with a detail that may span lines."""

    def __call__(self, done: int, total: int | None = None, detail: str = "") -> None: ...


@contextlib.contextmanager
def progress_bar(
    label: str,
    total: int | None = None,
    *,
    delay: float = 0.0,
    line_every: float | None = None,
    console: Console = MESSAGES,
) -> Iterator[Advance]:
    """Show a bar with rate and time left on a terminal; elsewhere nothing, or lines up to `line_every` seconds apart.

    The bar appears after `delay` seconds, the first line after FIRST_LINE_SECONDS; then the pauses double.
    """
    bar = _Bar(label, total, console)
    started = drawn = time.monotonic()
    pause = min(FIRST_LINE_SECONDS, line_every or 0.0)

    def advance(done: int, total: int | None = None, detail: str = "") -> None:
        nonlocal drawn, pause
        now = time.monotonic()
        if _draws(console):
            if now - started >= delay and (now - drawn >= REFRESH_SECONDS or done == total):
                drawn = now
                bar.show(done, total, detail)
        elif line_every is not None and now - drawn >= pause:
            drawn, pause = now, min(2.0 * pause, line_every)
            console.print(f"{label}: {bar.line(done, total, detail)}")

    try:
        yield advance
    finally:
        bar.stop()


class _Bar(Progress):
    """A progress bar with details in the lines below it."""

    def __init__(self, label: str, total: int | None, console: Console) -> None:
        self._detail, self._total = "", total
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
        columns += (TimeElapsedColumn(), TimeRemainingColumn())
        super().__init__(*columns, console=console, transient=True, disable=not _draws(console))
        self._task = self.add_task(label, total=total)

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self._detail:
            yield Text(self._detail)

    def show(self, done: int, total: int | None, detail: str) -> None:
        self._detail = detail
        self.start()
        self.update(self._task, completed=done, total=total)

    def line(self, done: int, total: int | None, detail: str) -> str:
        total = self._total if total is None else total
        of = f" of {total:,}" if total is not None else ""
        return ", ".join([f"{done:,}{of}", *detail.splitlines()])


def _draws(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def duration(seconds: float) -> str:
    """Return seconds below two minutes, then minutes, and hours from 100 minutes on."""
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 6000.0 else f"{seconds / 3600.0:.1f} hours"


@dataclass
class _Run:
    """Progress of one training run."""

    steps: int
    step: int = 0
    first: tuple[int, float] | None = None
    """Step and time of the first report."""
    before: int = 0
    """Steps made by an earlier command that was killed."""
    facts: dict[str, Any] = field(default_factory=dict)
    state: str = "starting"
    ended: float | None = None

    @property
    def steps_per_second(self) -> float | None:
        if self.first is None or self.step <= self.first[0]:
            return None
        elapsed = (self.ended or time.monotonic()) - self.first[1]
        return (self.step - self.first[0]) / elapsed if elapsed > 0 else None

    def priority(self) -> tuple[int, float]:
        """Sort key: unfinished runs, failed ones, then those that finished last."""
        return {"done": 0, "failed": 1}.get(self.state, 2), self.ended or 0.0

    def cells(self) -> tuple[str, ...]:
        rate = self.steps_per_second
        left = (self.steps - self.step) / rate if rate and self.state == "running" else None
        return (
            f"{self.step}/{self.steps}",
            *(f"{self.facts[name]:.3f}" if name in self.facts else "" for name in ("pass_at_1", "entropy")),
            f"{rate:.1f}" if rate else "",
            "" if left is None else f"{left:.0f} s",
            self.state,
        )


class ExperimentTable:
    """Progress of training runs: a live table on a terminal; elsewhere a line for each run that ends.

    Inside the block Ctrl-C raises KeyboardInterrupt, so that workers are stopped and the terminal is restored.
    """

    def __init__(self, planned: Mapping[str, int] | None = None, console: Console = MESSAGES) -> None:
        """planned: steps of every run of the experiment, by name, for a summary of the whole."""
        self._console = console
        self._planned = planned or {}
        self._started = time.monotonic()
        self._runs: dict[str, _Run] = {}
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._table, transient=False)
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._exits.enter_context(on_interrupt())
        if _draws(self._console):
            self._exits.enter_context(self._live)
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def on_event(self, event: Event | None) -> None:
        """Record an event of the workers."""
        if event is None:
            return
        now = time.monotonic()
        run = self._runs.setdefault(event.job.name, _Run(event.job.steps))
        if event.kind == "progress":
            run.step, run.facts, run.state = event.step, event.metrics or {}, "running"
            if run.first is None:
                run.first, run.before = (event.step, now), event.step - 1
        elif event.kind in ("done", "failed"):
            run.state, run.ended = event.kind, now
            if not _draws(self._console):
                self._print_end(event)

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in COLUMNS:
            table.add_column(
                column,
                justify="left" if column in ("run", "state") else "right",
                no_wrap=True,
                max_width=MAX_NAME_WIDTH if column == "run" else None,
            )
        for name, run in self._visible_runs():
            table.add_row(name, *run.cells())
        return Group(table, self._summary()) if self._planned else Group(table)

    def _visible_runs(self) -> list[tuple[str, _Run]]:
        """At most MAX_ROWS runs, in the order they began."""
        by_priority = sorted(self._runs, key=lambda name: self._runs[name].priority(), reverse=True)
        visible = set(by_priority[:MAX_ROWS])
        return [(name, run) for name, run in self._runs.items() if name in visible]

    def _summary(self) -> str:
        runs = {name: self._runs[name] for name in self._planned if name in self._runs}
        done, failed = (sum(run.state == state for run in runs.values()) for state in ("done", "failed"))
        ended = {name for name, run in runs.items() if run.ended}
        steps_made = sum((run.steps if name in ended else run.step) - run.before for name, run in runs.items())
        steps_left = sum(steps for name, steps in self._planned.items() if name not in ended)
        steps_left -= sum(run.step for name, run in runs.items() if name not in ended)
        left = ""
        if steps_made > 0:
            left = f", about {duration((time.monotonic() - self._started) * steps_left / steps_made)} left"
        return f"{done} of {len(self._planned)} runs done{f', {failed} failed' if failed else ''}{left}"

    def _print_end(self, event: Event) -> None:
        reason = f": {event.error}" if event.error else ""
        summary = f" ({self._summary()})" if event.job.name in self._planned else ""
        self._console.print(f"{event.job.name}: {event.kind}{reason}{summary}")
