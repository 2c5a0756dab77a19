"""Following a monitored log: on a terminal, as lines, or on a page, until it ends or an alarm is set off."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.live import Live
from rich.text import Text

from rlvrscope.cli.shared.alarms import raise_alarms
from rlvrscope.cli.shared.console import MESSAGES, OUTPUT
from rlvrscope.cli.shared.guard import on_interrupt
from rlvrscope.cli.shared.outputs import check_outputs
from rlvrscope.cli.shared.page_server import serving
from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.extras import needs_extra
from rlvrscope.monitor.alarms import AlarmName
from rlvrscope.monitor.timeline import Timeline
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.report.monitor.terminal import to_terminal
from rlvrscope.report.monitor.words import steps, summary
from rlvrscope.runs import write_atomic

POLL_SECONDS = 1.0
PLAIN_WIDTH = 80
"""Columns of the view where the output is no terminal."""
STAGES = ("saturated", "exploration")
"""Stages that --fail-on takes."""


@dataclass(frozen=True)
class Watch:
    """Ends of following a log. fail_on: names of alarms and stages. port: of the page, None for no page."""

    fail_on: Sequence[str] = ()
    port: int | None = None
    until: int | None = None
    idle: float | None = None

    def reasons(self, timeline: Timeline) -> list[str]:
        """One line for each name of `fail_on` that was read at some step, with the steps of its first span."""
        spans = [*timeline.alarms, *timeline.stages]
        first = {name: next((span for span in spans if span.name == name), None) for name in self.fail_on}
        return [
            f"{name}, steps {steps(span, timeline.holds(span))}: {span.evidence}"
            for name, span in first.items()
            if span is not None
        ]

    def raise_alarms(self, timeline: Timeline) -> None:
        """Raises AlarmError if there are any reasons."""
        raise_alarms(self.reasons(timeline))

    def ends(self, timeline: Timeline, idle_seconds: float) -> bool:
        step = timeline.rows[-1]["step"] if timeline.rows else -1
        return (
            bool(self.reasons(timeline))
            or (self.until is not None and step >= self.until)
            or (self.idle is not None and idle_seconds >= self.idle)
        )


def named_alarms(names: Sequence[str]) -> list[str]:
    """Names of --fail-on, with hyphens for spaces where convenient. Raises InputError for an unknown one."""
    known = (*get_args(AlarmName), *STAGES)
    chosen = []
    for name in names:
        plain = name.replace("-", " ").replace("_", " ").lower()
        if plain not in known:
            raise InputError(f"--fail-on {name}: no such alarm or stage. {did_you_mean(plain, known)}")
        chosen.append(plain)
    return chosen


def screen_width() -> int:
    """Columns to draw in: the terminal's, 80 elsewhere."""
    return OUTPUT.width if OUTPUT.is_terminal else PLAIN_WIDTH


def output_writer(html: Path | None, png: Path | None, source: Path) -> Callable[[MonitoredLog], None]:
    """Return what writes the files. Raises InputError, before anything is read, for paths that can't be written."""
    paths = [path for path in (html, png) if path is not None]
    if not paths:
        return lambda monitored: None
    check_outputs(paths, [source], png)
    with needs_extra("report", "the page"):
        from rlvrscope.report.monitor.charts import charts
        from rlvrscope.report.monitor.page import render
        from rlvrscope.report.style import save

    def write(monitored: MonitoredLog) -> None:
        if html is not None:
            write_atomic(html, render(monitored))
        if png is not None:
            save(charts(monitored)["timeline"], png)

    return write


def watched(monitored: MonitoredLog, watch: Watch) -> None:
    """Follow the log until `watch` ends it, or Ctrl-C."""
    lock = threading.Lock()
    with contextlib.ExitStack() as exits:
        exits.enter_context(on_interrupt())
        if watch.port is not None:
            address = exits.enter_context(serving(watch.port, page_of(monitored, lock)))
            MESSAGES.print(f"{address} shows {monitored.path}; Ctrl-C ends it")
        show = exits.enter_context(_screen()) if OUTPUT.is_terminal and watch.port is None else _print_changes
        with contextlib.suppress(KeyboardInterrupt):
            _loop(monitored, watch, lock, show)


def _loop(monitored: MonitoredLog, watch: Watch, lock: threading.Lock, show: Callable[[MonitoredLog], None]) -> None:
    changed_at = time.monotonic()
    if not monitored.path.exists():
        MESSAGES.print(f"waiting for {monitored.path}")
    while True:
        with lock:
            changed = monitored.poll()
        if changed:
            changed_at = time.monotonic()
            show(monitored)
        if watch.ends(monitored.timeline, time.monotonic() - changed_at):
            return
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _screen():
    """Yield what draws the view on a terminal, in place."""
    with Live(console=OUTPUT, auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda monitored: live.update(
            to_terminal(monitored, screen_width()) if monitored.timeline.rows else Text(""), refresh=True
        )


def _print_changes(monitored: MonitoredLog) -> None:
    """Print a line where the stage or the set of alarms is another than before."""
    reading = monitored.timeline.reading
    if reading is None:
        return
    now = reading.stage, tuple(alarm.name for alarm in reading.alarms)
    if now != getattr(_print_changes, "before", None):
        _print_changes.before = now  # type: ignore[attr-defined]
        MESSAGES.print(f"step {reading.step}: {summary(monitored)}")


def page_of(monitored: MonitoredLog, lock: threading.Lock) -> Callable[[int | None], tuple[int, str]]:
    """Return what renders the page, or the part of it that changed, where its version is another than the browser's."""
    with needs_extra("report", "the page"):
        from rlvrscope.report.monitor.page import render

    def page(known: int | None) -> tuple[int, str]:
        with lock:
            version = monitored.version
            return version, "" if known == version else render(monitored, live=True, part=known is not None)

    return page
