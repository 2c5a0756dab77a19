"""Verdicts of many texts: what is quick here, the rest in worker processes that are killed when their time is up."""

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
from rlvrscope.verify.workers.process import Message
from rlvrscope.verify.workers.worker_slot import Slot

TIMEOUT = 1.5
"""Seconds an item may take in a worker."""
MEMORY = 1 << 30
"""Bytes of address space that a worker may have (not on Windows)."""
_TASKS_OF_A_WORKER = 2_000
"""After which it is replaced: computer algebra keeps what it has seen."""


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
    _slots: list[Slot] = field(default_factory=list, init=False, repr=False)
    _messages: queue.Queue[Message] = field(default_factory=queue.Queue, init=False, repr=False)
    _sent: int = field(default=0, init=False, repr=False)
    _closed: int = field(default=0, init=False, repr=False)

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
        """End the workers; what another thread has in `map` ends with a WorkError."""
        self._closed += 1
        while self._slots:
            self._slots.pop().close()

    def map(
        self, texts: Sequence[str], problems: Sequence[Problem], on_progress: OnProgress | None = None
    ) -> list[Verdict]:
        """A verdict for each text and its problem, in their order.

        Short answers are read here, as they come. Those that need computer algebra or code of yours go to workers,
        the shortest first; then, when no other is left to begin, long ones.

        Raises InputError, naming the problem, for one that can't be verified; MissingExtraError for a gold answer that
        needs computer algebra where it is not installed; WorkError if no worker starts, or all of them keep dying.
        """
        if len(texts) != len(problems):
            raise InputError(f"as many problems as texts are needed; got {len(texts)} texts, {len(problems)} problems")
        different = list({id(problem): problem for problem in problems}.values())
        for problem in different:
            check_problem(problem)
        check_algebra(different)
        batch, closed = Batch(len(texts), on_progress), self._closed
        try:
            for place, (text, problem) in enumerate(zip(texts, problems, strict=True)):
                batch.add(place, start(text, problem))
                if batch.ready or any(slot.item for slot in self._slots):
                    self._advance(batch, wait=False)
            batch.read = True
            while batch.open:
                if self._closed != closed:
                    raise WorkError("the workers were closed while they verified")
                self._advance(batch, wait=True)
        except BaseException:
            self.close()  # what is on its way belongs to nobody
            raise
        return batch.verdicts()

    def _advance(self, batch: Batch, wait: bool) -> None:
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

    def _assign(self, batch: Batch) -> None:
        assert self.workers is not None
        free = [slot for slot in self._slots if slot.ready and slot.item is None]
        starting = sum(not slot.ready for slot in self._slots)
        while starting + len(free) < batch.ready and len(self._slots) < self.workers:
            self._slots.append(Slot(self._messages, self.memory))
            self._slots[-1].start()
            starting += 1
        while free and batch.ready:
            self._sent += 1
            free.pop().begin(batch.next(), self._sent, self.timeout)

    def _take(self, message: Message, batch: Batch) -> None:
        worker, told = message
        slot = next((slot for slot in self._slots if slot.worker is worker), None)
        if slot is None:
            return
        if told is None:
            batch.lost(slot.lose())
            slot.mourn(batch.finished)
        elif "ready" in told:
            batch.lost(slot.lose())
            slot.begin_again(told["ready"])
        elif slot.item is not None and told["id"] == slot.task_id:
            item, seconds = slot.end()
            batch.done(item, told, seconds)
            if slot.tasks >= _TASKS_OF_A_WORKER:
                slot.kill()

    def _overdue(self, slot: Slot, batch: Batch) -> None:
        """The time of its item is up, or of its start, or of a pause."""
        if slot.worker is None:
            slot.start()
        elif slot.item is None:
            raise slot.give_up()
        else:
            item, seconds = slot.end()
            batch.done(item, {"outcome": "timeout", "reason": f"took more than {self.timeout:g} s"}, seconds)
            slot.kill()


def verify_answer(text: str, problem: Problem) -> Verdict:
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
