"""Jobs over worker processes: one process a job, one thread each, so that results depend on neither."""

from __future__ import annotations

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from typing import Any

from rlvrscope.errors import InputError, RlvrscopeError

Report = Callable[[int, dict[str, Any]], None]
"""What a job calls as it goes: the step just done, and facts to show."""
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """A name, how many steps it has, and a function of a module (or a partial of one) that takes a Report."""

    name: str
    steps: int
    work: Callable[[Report], None]
    needs: tuple[str, ...] = ()
    """Names of jobs that must be done before."""


@dataclass(frozen=True)
class Event:
    """What became of a job: kind is started, progress, done or failed (then `error` and `details` say why)."""

    job: Job
    kind: str
    step: int = 0
    facts: dict[str, Any] | None = None
    error: str = ""
    details: str = ""
    died: bool = False
    """Whether its process ended without a word: killed, perhaps for want of memory."""


OnEvent = Callable[[Event | None], None]
"""Called for each event, and with None every fifth of a second, so that a display can go on."""


def run_jobs(jobs: Sequence[Job], workers: int, on_event: OnEvent) -> list[Event]:
    """Run every job, `workers` at a time, in order but for what they need; returns the failures.

    A job that fails stops no other than those that need it. When this is interrupted the workers are ended within a
    second: what they have written is whole.
    """
    if workers < 1:
        raise InputError(f"at least one worker is needed; got {workers}")
    context = _context()
    waiting, failures, done = list(jobs), {}, set()
    running: dict[Connection, tuple[Job, SpawnProcess | ForkServerProcess]] = {}
    try:
        while waiting or running:
            for job in [job for job in waiting if any(need in failures for need in job.needs)]:
                waiting.remove(job)
                need = next(need for need in job.needs if need in failures)
                failures[job.name] = Event(job, "failed", error=f"it needs {need}, which failed")
                on_event(failures[job.name])
            while len(running) < workers and (job := _ready(waiting, done)) is not None:
                waiting.remove(job)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(job.work, sender), daemon=True, name=job.name)
                process.start()
                sender.close()
                running[receiver] = (job, process)
                on_event(Event(job, "started"))
            for receiver in wait(list(running), timeout=0.2):
                assert isinstance(receiver, Connection)
                job, process = running[receiver]
                event = _receive(receiver, job, process)
                on_event(event)
                if event.kind != "progress":
                    del running[receiver]
                    process.join()
                if event.kind == "done":
                    done.add(job.name)
                elif event.kind == "failed":
                    failures[job.name] = event
            on_event(None)
    finally:
        _end([process for _, process in running.values()])
    return list(failures.values())


def _ready(waiting: Sequence[Job], done: set[str]) -> Job | None:
    """The first job whose needs are met."""
    return next((job for job in waiting if done.issuperset(job.needs)), None)


def _context() -> SpawnContext | ForkServerContext:
    """A fork server that has read the libraries once, where the system has one."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rlvrscope.lab.run", "rlvrscope.lab.pretrain"])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C while it reads them is not its business
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)
    return context


def _work(work: Callable[[Report], None], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    from rlvrscope.lab.device import use_run_threads

    use_run_threads()
    try:
        work(lambda step, facts: sender.send(("progress", step, facts, "", "")))
    except BrokenPipeError:
        return  # the parent is gone
    except RlvrscopeError as error:
        details = traceback.format_exc() if error.__cause__ is not None else ""  # there is more than the line says
        sender.send(("failed", 0, None, str(error), details))
    except Exception as error:  # noqa: BLE001  the process boundary: whatever went wrong is told to the parent
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        sender.send(("failed", 0, None, summary, traceback.format_exc()))
    else:
        sender.send(("done", 0, None, "", ""))


def _receive(receiver: Connection, job: Job, process: SpawnProcess | ForkServerProcess) -> Event:
    try:
        kind, step, facts, error, details = receiver.recv()
    except (EOFError, OSError):  # ended before, or in the middle of, a message
        process.join()
        reason = f"its process ended with exit code {process.exitcode} (out of memory?)"
        return Event(job, "failed", error=reason, died=True)
    return Event(job, kind, step, facts, error, details)


def _end(processes: Sequence[SpawnProcess | ForkServerProcess]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
