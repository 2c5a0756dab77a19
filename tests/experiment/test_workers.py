"""Worker processes: order of work, failures told in one line, a killed worker noticed, nobody left behind."""

from __future__ import annotations

import multiprocessing
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rlvrscope.experiment.workers import Event, Job, run_jobs

JOBS = """
import os, signal, time
from pathlib import Path
from rlvrscope import InputError

def count(steps, report):
    for step in range(1, steps + 1):
        report(step, {"square": step * step})

def refuse(report):
    raise InputError("the recipe asks too much")

def crash(report):
    raise ZeroDivisionError("first line\\nsecond line")

def half_a_message(report):
    sender = report.__closure__[0].cell_contents
    os.write(sender.fileno(), b"\\x00\\x00\\x01\\x00 and no more")
    os.kill(os.getpid(), signal.SIGKILL)

def die(report):
    os.kill(os.getpid(), signal.SIGKILL)

def threads(path, report):
    import torch
    Path(path).write_text(str(torch.get_num_threads()))

def forever(report):
    report(1, {})
    time.sleep(600)
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module of job functions that worker processes can import."""
    name = f"jobs_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__(name)
    sys.modules.pop(name)


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_report_and_failures_stop_nobody(jobs: Any, workers: int):
    todo = [
        Job("refuse", 1, jobs.refuse),
        Job("crash", 1, jobs.crash),
        Job("die", 1, jobs.die),
        Job("half", 1, jobs.half_a_message),
        Job("count", 3, partial(jobs.count, 3)),
    ]
    events: list[Event] = []
    failures = run_jobs(todo, workers, lambda event: events.append(event) if event else None)
    reasons = {failure.job.name: failure for failure in failures}
    assert reasons["refuse"].error == "the recipe asks too much"
    assert reasons["crash"].error == "ZeroDivisionError: first line"
    assert "jobs" in reasons["crash"].details
    assert "exit code -9" in reasons["die"].error
    assert "exit code -9" in reasons["half"].error
    assert "count" not in reasons
    progress = [(event.step, event.metrics) for event in events if event.kind == "progress"]
    assert progress == [(1, {"square": 1}), (2, {"square": 4}), (3, {"square": 9})]


def test_each_worker_has_one_thread(jobs: Any, tmp_path: Path):
    run_jobs([Job("threads", 1, partial(jobs.threads, str(tmp_path / "threads")))], 1, lambda event: None)
    assert (tmp_path / "threads").read_text() == "1"


def test_an_interrupt_ends_the_workers(jobs: Any):
    def interrupt(event: Event | None) -> None:
        if event and event.kind == "progress":
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_jobs([Job(name, 1, jobs.forever) for name in "ab"], 2, interrupt)
    assert time.monotonic() - started < 10  # of it most is starting the workers
    assert not multiprocessing.active_children()


def test_a_job_waits_for_what_it_needs_and_falls_with_it(jobs: Any):
    events: list[Event] = []
    work = partial(jobs.count, 1)
    listed = [
        Job("second", 1, work, needs=("first",)),
        Job("doomed", 1, work, needs=("refused",)),
        Job("first", 1, work),
        Job("refused", 1, jobs.refuse),
        Job("last", 1, work, needs=("doomed",)),
    ]
    failures = run_jobs(listed, 2, lambda event: events.append(event) if event else None)
    order = [(event.job.name, event.kind) for event in events]
    assert order.index(("first", "done")) < order.index(("second", "started"))
    assert {failure.job.name: failure.error for failure in failures} == {
        "refused": "the recipe asks too much",
        "doomed": "it depends on refused, which failed",
        "last": "it depends on doomed, which failed",
    }
    assert ("doomed", "started") not in order
