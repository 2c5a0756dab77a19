"""The live table of runs, on a terminal of 80 columns and without one."""

from __future__ import annotations

import io

import pytest

from rlvrscope.cli.shared import progress
from rlvrscope.cli.shared.console import PlainConsole
from rlvrscope.cli.shared.progress import MAX_ROWS, ExperimentTable, duration
from rlvrscope.experiment.workers import Event, Job


def job(number: int) -> Job:
    return Job(f"an-arm-with-a-rather-long-name-base{number}-seed0", 100, lambda report: None)


def table(*, terminal: bool, planned: int) -> tuple[ExperimentTable, PlainConsole, io.StringIO]:
    written = io.StringIO()
    console = PlainConsole(file=written, force_terminal=terminal, width=80, color_system=None)
    return ExperimentTable({job(number).name: 100 for number in range(planned)}, console), console, written


def progressed(number: int, step: int) -> Event:
    return Event(job(number), "progress", step=step, metrics={"pass_at_1": 0.5, "entropy": 0.25})


def test_running_and_failed_runs_stay_visible(monkeypatch: pytest.MonkeyPatch):
    display, console, written = table(terminal=True, planned=40)
    clock = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    for number in range(30):
        display.on_event(progressed(number, 1))
    for number in range(28):
        display.on_event(Event(job(number), "failed" if number == 3 else "done", error="diverged"))
    display.on_event(progressed(29, 50))
    console.print(display._table())
    lines = written.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = lines[1:-1]
    assert len(rows) == MAX_ROWS
    assert sum("running" in row for row in rows) == 2
    assert [row.split()[-1] for row in rows if "base3-" in row or "failed" in row] == ["failed"]
    assert "27 of 40 runs done, 1 failed, about" in lines[-1]
    assert "50/100" in rows[-1]
    assert "0.500" in rows[-1]


def test_without_a_terminal_each_finished_run_is_a_line():
    display, _, written = table(terminal=False, planned=2)
    with display:
        display.on_event(None)
        display.on_event(progressed(0, 60))
        assert written.getvalue() == ""
        display.on_event(Event(job(0), "done"))
        display.on_event(Event(job(1), "failed", error="step 7: [bold]nan[/bold]"))
    first, second = written.getvalue().replace("\n", " ").split(" runs done", 1)
    assert first.endswith("base0-seed0: done (1 of 2")
    assert "failed: step 7: [bold]nan[/bold]" in second, "messages are printed verbatim"


def test_the_time_left_follows_from_the_steps_made_so_far(monkeypatch: pytest.MonkeyPatch):
    # 2 runs of 100 steps: after 60 s 50 steps are made, so 150 more take 180 s. The first began at its 41st step.
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    display, _, _ = table(terminal=True, planned=2)
    display.on_event(progressed(0, 41))
    now[0] = 60.0
    display.on_event(progressed(0, 70))
    display.on_event(progressed(1, 1))
    display.on_event(progressed(1, 20))
    assert display._summary() == f"0 of 2 runs done, about {duration(60.0 * 110 / 50)} left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.0, "4 s"), (119.4, "119 s"), (130.0, "2 min"), (5999.0, "100 min"), (7200.0, "2.0 hours")]
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text
