"""Verdicts of many texts: what is quick here, the rest in worker processes that are killed when their time is up."""

from __future__ import annotations

import atexit
import importlib.util
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from massflow.errors import InputError
from massflow.extras import needs_extra
from massflow.rewards.process import Message, Worker
from massflow.rewards.verifiers import Work, check_problem, start
from massflow.types import Problem, Verdict

TIMEOUT = 1.5
"""Seconds an item may take in a worker."""
MEMORY = 1 << 30
"""Bytes of address space that a worker may have (not on Windows)."""
_START_SECONDS = 60.0
_MOST_FAILED_STARTS = 3
_MOST_TRIES = 3
_TASKS_OF_A_WORKER = 2_000
"""After which it is replaced: computer algebra keeps what it has seen."""
OnProgress = Callable[[int, int], None]
"""Called with how many are done, of how many."""


@dataclass
class VerifierPool:
    """Worker processes that verify; a context manager. They start when the first item needs one.

    workers: how many; by default one a core. timeout: seconds an item may take in a worker, which is then killed and
    replaced; no other item waits longer for it. memory: bytes a worker may have.

    Raises InputError for settings that can't be.
    """

    workers: int | None = None
    timeout: float = TIMEOUT
    memory: int = MEMORY
    _slots: list[_Slot] = field(default_factory=list, init=False, repr=False)
    _messages: queue.Queue[Message] = field(default_factory=queue.Queue, init=False, repr=False)
    _sent: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self.workers = (os.cpu_count() or 1) if self.workers is None else self.workers
        if self.workers < 1:
            raise InputError(f"at least one worker is needed; got {self.workers}")
        if not 0.0 < self.timeout < math.inf:
            raise InputError(f"the timeout must be a number of seconds above 0; got {self.timeout}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        while self._slots:
            self._slots.pop().worker.close()

    def map(
        self, texts: Sequence[str], problems: Sequence[Problem], on_progress: OnProgress | None = None
    ) -> list[Verdict]:
        """A verdict for each text and its problem, in their order.

        Raises InputError, naming the problem, for one that can't be verified; MissingExtraError where computer algebra
        is needed and not installed; WorkError if no worker will start.
        """
        if len(texts) != len(problems):
            raise InputError(f"as many problems as texts are needed; got {len(texts)} texts, {len(problems)} problems")
        for problem in {id(problem): problem for problem in problems}.values():
            check_problem(problem)
        batch = _Batch(len(texts), on_progress)
        try:
            for place, (text, problem) in enumerate(zip(texts, problems, strict=True)):
                batch.add(place, start(text, problem))
                if batch.waiting or any(slot.item for slot in self._slots):
                    self._advance(batch, wait=False)
            while batch.open:
                self._advance(batch, wait=True)
        except BaseException:
            self.close()  # what is on its way belongs to nobody
            raise
        return batch.verdicts()

    def _advance(self, batch: _Batch, wait: bool) -> None:
        """Give work to whoever is free, take the messages that are there, and kill whose time is up."""
        self._assign(batch)
        now = time.monotonic()
        patience = max(0.0, min((slot.deadline for slot in self._slots), default=now) - now) if wait else 0.0
        try:
            message = self._messages.get(timeout=patience) if patience else self._messages.get_nowait()
            self._take(message, batch)
        except queue.Empty:
            pass
        now = time.monotonic()
        for slot in self._slots:
            if now >= slot.deadline:
                self._overdue(slot, batch)

    def _assign(self, batch: _Batch) -> None:
        assert self.workers is not None
        free = [slot for slot in self._slots if slot.ready and slot.item is None]
        starting = sum(not slot.ready for slot in self._slots)
        while starting + len(free) < len(batch.waiting) and len(self._slots) < self.workers:
            self._slots.append(_Slot(Worker(self._messages, self.memory)))
            starting += 1
        while free and batch.waiting:
            slot, item = free.pop(), batch.waiting.popleft()
            self._sent += 1
            slot.begin(item, self._sent, self.timeout)

    def _take(self, message: Message, batch: _Batch) -> None:
        worker, generation, told = message
        slot = next((slot for slot in self._slots if slot.worker is worker), None)
        if slot is None or generation != worker.generation:
            return
        if told is None:
            batch.lost(slot.lose())
            slot.restart()
        elif "ready" in told:
            batch.lost(slot.lose())
            slot.begin_again(told["ready"])
        elif slot.item is not None and told["id"] == slot.task_id:
            item, seconds = slot.end()
            batch.done(item, told, seconds)
            if slot.tasks >= _TASKS_OF_A_WORKER:
                slot.kill()

    def _overdue(self, slot: _Slot, batch: _Batch) -> None:
        if slot.item is None:
            raise slot.worker.failure()
        item, seconds = slot.end()
        batch.done(item, {"outcome": "timeout", "reason": f"took more than {self.timeout:g} s"}, seconds)
        slot.kill()


@dataclass
class _Item:
    """A task on its way: what waits for it, as (place in the list, work)."""

    waiting: list[tuple[int, Work]]
    tries: int = 0

    @property
    def task(self) -> dict[str, Any]:
        return self.waiting[0][1].task


@dataclass
class _Slot:
    """A worker and what it is at. deadline: when it is killed, or has not started in time."""

    worker: Worker
    ready: bool = False
    item: _Item | None = None
    task_id: int = 0
    since: float = 0.0
    deadline: float = field(default_factory=lambda: time.monotonic() + _START_SECONDS)
    tasks: int = 0
    failed_starts: int = 0

    def begin(self, item: _Item, task_id: int, timeout: float) -> None:
        self.item, self.task_id, self.since = item, task_id, time.monotonic()
        self.deadline = self.since + timeout
        self.tasks += 1
        self.worker.send(item.task | {"id": task_id, "seconds": timeout})

    def end(self) -> tuple[_Item, float]:
        assert self.item is not None
        item, self.item, self.deadline = self.item, None, math.inf
        return item, time.monotonic() - self.since

    def lose(self) -> _Item | None:
        """The item it had, if its process is not the one that got it."""
        item, self.item = self.item, None
        return item

    def kill(self) -> None:
        self.worker.kill()
        self.ready, self.tasks, self.deadline = False, 0, time.monotonic() + _START_SECONDS

    def begin_again(self, pid: int) -> None:
        self.worker.pid = pid
        self.ready, self.tasks, self.deadline, self.failed_starts = True, 0, math.inf, 0

    def restart(self) -> None:
        """Its process is gone. Raises WorkError if it has not been ready for several starts."""
        self.failed_starts += 1
        if self.failed_starts > _MOST_FAILED_STARTS:
            raise self.worker.failure()
        self.worker.restart()
        self.ready, self.tasks, self.deadline = False, 0, time.monotonic() + _START_SECONDS


class _Batch:
    """The verdicts of one call, as they come."""

    def __init__(self, count: int, on_progress: OnProgress | None) -> None:
        self.found: list[Verdict | None] = [None] * count
        self.open, self.seen, self.on_progress = 0, 0, on_progress
        self.waiting: deque[_Item] = deque()
        self.same: dict[str, _Item | Verdict] = {}
        """What was or is being compared already, by the key of the comparison."""

    def add(self, place: int, found: Verdict | Work) -> None:
        if isinstance(found, Verdict):
            self._settle(place, found)
            return
        key = found.task.get("key")
        known = self.same.get(key) if key else None
        if isinstance(known, Verdict):
            self._settle(place, replace(known, extracted=found.draft.extracted))
            return
        self.open += 1
        if known is not None:
            known.waiting.append((place, found))
            return
        _needs_algebra(found)
        self.waiting.append(_Item([(place, found)]))
        if key:
            self.same[key] = self.waiting[-1]

    def done(self, item: _Item, reply: dict[str, Any], seconds: float) -> None:
        if reply.get("fatal"):
            raise InputError(reply["reason"])
        for place, work in item.waiting:
            verdict = work.finish(reply, seconds)
            self.open -= 1
            self._settle(place, verdict)
            if key := work.task.get("key"):
                self.same[key] = verdict

    def lost(self, item: _Item | None) -> None:
        """Its worker died, by no doing of ours: it is tried once more, and then given up."""
        if item is None:
            return
        item.tries += 1
        if item.tries < _MOST_TRIES:
            self.waiting.appendleft(item)
        else:
            self.done(item, {"outcome": "error", "reason": f"the worker died {item.tries} times"}, 0.0)

    def verdicts(self) -> list[Verdict]:
        return [verdict for verdict in self.found if verdict is not None]

    def _settle(self, place: int, verdict: Verdict) -> None:
        self.found[place] = verdict
        self.seen += 1
        if self.on_progress:
            self.on_progress(self.seen, len(self.found))


def _needs_algebra(work: Work) -> None:
    """Raises MissingExtraError before a worker is started that could not do it."""
    if work.task["kind"] != "equal":
        return
    with needs_extra("math", f"comparing {work.draft.extracted!r} with its gold answer"):
        if importlib.util.find_spec("math_verify") is None:
            raise ModuleNotFoundError("math_verify", name="math-verify")


def verify(text: str, problem: Problem) -> Verdict:
    """Is this text's answer right? For one at a time; for many, VerifierPool.map.

    Raises what VerifierPool.map does.
    """
    check_problem(problem)
    found = start(text, problem)
    if isinstance(found, Verdict):
        return found
    with _one_at_a_time:
        return _shared().map([text], [problem])[0]


_one_at_a_time = threading.Lock()
_pools: dict[int, VerifierPool] = {}
"""The pool behind `verify`, by process: one that was forked makes its own."""


def _shared() -> VerifierPool:
    process = os.getpid()
    if process not in _pools:
        _pools[process] = VerifierPool(workers=1)
        atexit.register(lambda: _pools.pop(process).close() if os.getpid() == process else None)
    return _pools[process]
