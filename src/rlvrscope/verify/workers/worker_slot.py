"""A worker's place in the pool: what it is at, until when it may be, and when another process takes it."""

from __future__ import annotations

import math
import queue
import time
from dataclasses import dataclass

from rlvrscope.errors import WorkError
from rlvrscope.verify.workers.batch import Item
from rlvrscope.verify.workers.process import Message, Worker

START_SECONDS = 60.0
"""A process that is not ready by then does not start."""
MAX_FAILED_STARTS = 3
"""In a row, of processes that end by themselves before they are ready: the next would do so too."""
MAX_DEATHS = 20
"""In a row, without a verdict of any worker between, of processes that were ended by something else."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds before a process is replaced; each time twice as many."""


@dataclass
class Slot:
    """worker: None in a pause before the next process. deadline: when the item, the start or the pause is over."""

    messages: queue.Queue[Message]
    memory: int
    worker: Worker | None = None
    ready: bool = False
    item: Item | None = None
    task_id: int = 0
    since: float = 0.0
    deadline: float = math.inf
    tasks: int = 0
    deaths: int = 0
    finished: int = 0
    failed_starts: int = 0

    def start(self) -> None:
        self.worker = Worker(self.messages, self.memory)
        self._expect()

    def begin(self, item: Item, task_id: int, timeout: float) -> None:
        assert self.worker is not None
        self.item, self.task_id, self.since = item, task_id, time.monotonic()
        self.deadline = self.since + timeout
        self.tasks += 1
        self.worker.send(item.task | {"id": task_id, "seconds": timeout})

    def end(self) -> tuple[Item, float]:
        """(the item it was at, its seconds)."""
        assert self.item is not None
        item, self.item, self.deadline = self.item, None, math.inf
        return item, time.monotonic() - self.since

    def lose(self) -> Item | None:
        """The item it had, if its process is not the one that got it."""
        item, self.item = self.item, None
        return item

    def kill(self) -> None:
        """End the process that works; its keeper, or a new process, is ready soon."""
        assert self.worker is not None
        self.worker.kill()
        self._expect()

    def begin_again(self, pid: int) -> None:
        """A process is ready."""
        assert self.worker is not None
        self.worker.pid = pid
        self.ready, self.tasks, self.deadline, self.failed_starts = True, 0, math.inf, 0

    def mourn(self, finished: int) -> None:
        """Its process is gone: after a pause another takes its place. Raises WorkError after too many in a row.

        finished: items that are done with by now, by any worker; deaths with one between are not in a row.
        """
        worker, self.worker = self.worker, None
        assert worker is not None
        worker.close()
        self.deaths = 1 + (self.deaths if finished == self.finished else 0)
        self.finished = finished
        self.failed_starts += not self.ready and not worker.was_killed
        if self.failed_starts >= MAX_FAILED_STARTS:
            raise WorkError(f"a worker process for verifying does not start: {worker.said}")
        if self.deaths >= MAX_DEATHS:
            raise WorkError(
                f"worker processes for verifying were ended {self.deaths} times in a row before they gave a verdict. "
                "Does something kill them, or is memory short?"
            )
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self.deaths - 1))
        self.ready, self.tasks, self.deadline = False, 0, time.monotonic() + pause

    def give_up(self) -> WorkError:
        assert self.worker is not None
        self.worker.close()
        return WorkError(f"a worker process for verifying is not ready after {START_SECONDS:g} s: {self.worker.said}")

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()

    def _expect(self) -> None:
        self.ready, self.tasks, self.deadline = False, 0, time.monotonic() + START_SECONDS
