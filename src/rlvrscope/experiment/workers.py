"""Jobs on worker processes: one process per job and one thread per process, so results depend on neither."""

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

from rlvrscope.errors import InputError, RlvrscopeError

Report = Callable[[int, dict[str, float]], None]
"""Called by a job after a step, with the step and the metrics to display."""
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """A named job of a number of steps; `work` must be picklable."""

    name: str
    steps: int
    work: Callable[[Report], None]
    needs: tuple[str, ...] = ()
    """Names of the jobs it depends on."""


@dataclass(frozen=True)
class Event:
    """State change of a job. kind: started, progress, done or failed (with `error`, and a traceback in `details`)."""

    job: Job
    kind: str
    step: int = 0
    metrics: dict[str, float] | None = None
    error: str = ""
    details: str = ""
    killed: bool = False
    """Whether its process ended without a report: killed, perhaps by the system for lack of memory."""


OnEvent = Callable[[Event | None], None]
"""Called for each event, and with None five times a second, so that a display can refresh."""


def run_jobs(jobs: Sequence[Job], workers: int, on_event: OnEvent) -> list[Event]:
    """Run all jobs, `workers` at a time, in order except for dependencies; returns the failures.

    A failed job stops only the jobs that depend on it. On an interrupt all workers are ended within a second; their
    files stay consistent.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1; got {workers}")
    context = _context()
    waiting, failures, done = list(jobs), {}, set()
    running: dict[Connection, tuple[Job, SpawnProcess | ForkServerProcess]] = {}
    try:
        while waiting or running:
            for job in [job for job in waiting if any(need in failures for need in job.needs)]:
                waiting.remove(job)
                need = next(need for need in job.needs if need in failures)
                failures[job.name] = Event(job, "failed", error=f"it depends on {need}, which failed")
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
    """First job whose dependencies are done."""
    return next((job for job in waiting if done.issuperset(job.needs)), None)


def _context() -> SpawnContext | ForkServerContext:
    """Process context: a fork server with the libraries loaded, where the system supports it."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rlvrscope.lab.run", "rlvrscope.lab.pretrain"])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the fork server
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)
    return context


def _work(work: Callable[[Report], None], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent decides
    from rlvrscope.lab.device import use_run_threads

    use_run_threads()
    try:
        work(lambda step, metrics: sender.send(("progress", step, metrics, "", "")))
    except BrokenPipeError:
        return  # the parent has ended
    except RlvrscopeError as error:
        details = traceback.format_exc() if error.__cause__ is not None else ""
        sender.send(("failed", 0, None, str(error), details))
    except Exception as error:  # noqa: BLE001  process boundary: any error is reported to the parent
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        sender.send(("failed", 0, None, summary, traceback.format_exc()))
    else:
        sender.send(("done", 0, None, "", ""))


def _receive(receiver: Connection, job: Job, process: SpawnProcess | ForkServerProcess) -> Event:
    try:
        kind, step, metrics, error, details = receiver.recv()
    except (EOFError, OSError):  # the process ended before or within a message
        process.join()
        reason = f"its process ended with exit code {process.exitcode} (out of memory?)"
        return Event(job, "failed", error=reason, killed=True)
    return Event(job, kind, step, metrics, error, details)


def _end(processes: Sequence[SpawnProcess | ForkServerProcess]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
