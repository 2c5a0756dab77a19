"""Verdicts for many texts: quick ones in this process, the rest in worker processes with a timeout."""

from __future__ import annotations

import atexit
import math
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem, Verdict
from rlvrscope.verify.math.math_verifier import check_algebra
from rlvrscope.verify.verifiers import check_problem, start
from rlvrscope.verify.workers.batch import Batch, OnProgress
from rlvrscope.verify.workers.worker_process import Message
from rlvrscope.verify.workers.worker_slot import WorkerSlot

DEFAULT_TIMEOUT = 1.5
"""Seconds an item may take in a worker."""
DEFAULT_MEMORY = 1 << 30
"""Address space of a worker, in bytes (no limit on Windows)."""
_MAX_TASKS_PER_WORKER = 2_000
"""A worker is then replaced: computer algebra caches grow without bound."""


@dataclass
class VerifierPool:
    """Worker processes that verify, as a context manager; they start when the first item needs one.

    workers: number of processes, by default one per core. timeout: seconds an item may take in a worker, which is then
    killed and replaced. memory: address space of a worker, in bytes. Raises InputError for impossible settings.
    """

    workers: int | None = None
    timeout: float = DEFAULT_TIMEOUT
    memory: int = DEFAULT_MEMORY
    _slots: list[WorkerSlot] = field(default_factory=list, init=False, repr=False)
    _messages: queue.Queue[Message] = field(default_factory=queue.Queue, init=False, repr=False)
    _sent: int = field(default=0, init=False, repr=False)
    _closed: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self.workers = (os.cpu_count() or 1) if self.workers is None else self.workers
        if self.workers < 1:
            raise InputError(f"workers must be at least 1; got {self.workers}")
        if not 0.0 < self.timeout < math.inf:
            raise InputError(f"timeout must be a finite number of seconds above 0; got {self.timeout}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Kill the workers; a `map` running in another thread raises WorkError."""
        self._closed += 1
        while self._slots:
            self._slots.pop().close()

    def map(
        self, texts: Sequence[str], problems: Sequence[Problem], on_progress: OnProgress | None = None
    ) -> list[Verdict]:
        """Return one verdict per text and problem, in order.

        Short answers are judged in this process. Answers that need computer algebra or the user's code go to workers,
        the shortest first; long answers follow when no other is left. on_progress: called with (done, total).

        Raises InputError, naming the problem, for one that can't be verified; MissingExtraError for a gold answer that
        needs computer algebra if it is not installed; WorkError if workers do not start or keep dying.
        """
        if len(texts) != len(problems):
            raise InputError(f"each text needs a problem; got {len(texts)} texts, {len(problems)} problems")
        distinct = list({id(problem): problem for problem in problems}.values())
        for problem in distinct:
            check_problem(problem)
        check_algebra(distinct)
        batch, closed = Batch(len(texts), on_progress), self._closed
        try:
            for index, (text, problem) in enumerate(zip(texts, problems, strict=True)):
                batch.add(index, start(text, problem))
                if batch.ready or any(slot.item for slot in self._slots):
                    self._advance(batch, wait=False)
            batch.all_added = True
            while batch.pending:
                if self._closed != closed:
                    raise WorkError("the pool was closed while it verified")
                self._advance(batch, wait=True)
        except BaseException:
            self.close()  # drop the items in progress
            raise
        return batch.verdicts()

    def _advance(self, batch: Batch, wait: bool) -> None:
        """Give work to free workers, handle one message, and kill workers past their deadline."""
        self._assign(batch)
        now = time.monotonic()
        wait_seconds = max(0.0, min((slot.deadline for slot in self._slots), default=now) - now) if wait else 0.0
        try:
            message = self._messages.get(timeout=wait_seconds) if wait_seconds else self._messages.get_nowait()
            self._handle(message, batch)
        except queue.Empty:
            pass
        now = time.monotonic()
        for slot in self._slots:
            if now >= slot.deadline:
                self._on_deadline(slot, batch)

    def _assign(self, batch: Batch) -> None:
        assert self.workers is not None
        free = [slot for slot in self._slots if slot.ready and slot.item is None]
        starting = sum(not slot.ready for slot in self._slots)
        while starting + len(free) < batch.ready and len(self._slots) < self.workers:
            self._slots.append(WorkerSlot(self._messages, self.memory))
            self._slots[-1].start()
            starting += 1
        while free and batch.ready:
            self._sent += 1
            free.pop().begin(batch.next(), self._sent, self.timeout)

    def _handle(self, message: Message, batch: Batch) -> None:
        worker, reply = message
        slot = next((slot for slot in self._slots if slot.worker is worker), None)
        if slot is None:
            return
        if reply is None:
            batch.retry(slot.drop_item())
            slot.on_death(batch.finished)
        elif "ready" in reply:
            batch.retry(slot.drop_item())
            slot.on_ready(reply["ready"])
        elif slot.item is not None and reply["id"] == slot.task_id:
            item, seconds = slot.end()
            batch.done(item, reply, seconds)
            if slot.tasks >= _MAX_TASKS_PER_WORKER:
                slot.kill()

    def _on_deadline(self, slot: WorkerSlot, batch: Batch) -> None:
        """Handle the end of a pause, of the time to start, or of the time of an item."""
        if slot.worker is None:
            slot.start()
        elif slot.item is None:
            raise slot.start_timeout()
        else:
            item, seconds = slot.end()
            batch.done(item, {"outcome": "timeout", "reason": f"took more than {self.timeout:g} s"}, seconds)
            slot.kill()


def verify_answer(text: str, problem: Problem) -> Verdict:
    """Return the verdict on one text; use VerifierPool.map for many. Raises the same errors."""
    check_problem(problem)
    result = start(text, problem)
    if isinstance(result, Verdict):
        return result
    with _one_at_a_time:
        return _shared().map([text], [problem])[0]


_one_at_a_time = threading.Lock()
_pools: dict[int, VerifierPool] = {}
"""The pool behind `verify_answer`, by process id: a forked process makes its own."""


def _shared() -> VerifierPool:
    process = os.getpid()
    if process not in _pools:
        _pools[process] = VerifierPool(workers=1)
        atexit.register(lambda: _pools.pop(process).close() if os.getpid() == process else None)
    return _pools[process]
