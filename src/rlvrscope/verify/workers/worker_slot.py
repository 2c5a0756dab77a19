"""One worker slot: current item, deadline, restart policy."""

from __future__ import annotations

import math
import queue
import time
from dataclasses import dataclass

from rlvrscope.errors import WorkError
from rlvrscope.verify.workers.batch import Item
from rlvrscope.verify.workers.worker_process import Message, WorkerProcess

START_SECONDS = 60.0
"""Time limit for a process to become ready."""
MAX_FAILED_STARTS = 3
"""Consecutive processes that may exit before they are ready; more would do the same."""
MAX_DEATHS = 20
"""Consecutive processes that may be killed from outside, with no verdict by any worker in between."""
_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.05, 1.0
"""Pause before a process is replaced; it doubles with every death."""


@dataclass
class WorkerSlot:
    """worker: None during the pause before a restart. deadline: end of the current item, start or pause."""

    messages: queue.Queue[Message]
    memory: int
    worker: WorkerProcess | None = None
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
        self.worker = WorkerProcess(self.messages, self.memory)
        self._await_ready()

    def begin(self, item: Item, task_id: int, timeout: float) -> None:
        """Send an item to the worker; `timeout` in seconds."""
        assert self.worker is not None
        self.item, self.task_id, self.since = item, task_id, time.monotonic()
        self.deadline = self.since + timeout
        self.tasks += 1
        self.worker.send(item.task | {"id": task_id, "seconds": timeout})

    def end(self) -> tuple[Item, float]:
        """Release the current item; return it with the seconds it took."""
        assert self.item is not None
        item, self.item, self.deadline = self.item, None, math.inf
        return item, time.monotonic() - self.since

    def drop_item(self) -> Item | None:
        """Return the item that a dead process leaves behind, if any."""
        item, self.item = self.item, None
        return item

    def kill(self) -> None:
        """Kill the working process; its keeper or a new process is ready soon."""
        assert self.worker is not None
        self.worker.kill()
        self._await_ready()

    def on_ready(self, pid: int) -> None:
        """Record that process `pid` is ready for tasks."""
        assert self.worker is not None
        self.worker.pid = pid
        self.ready, self.tasks, self.deadline, self.failed_starts = True, 0, math.inf, 0

    def on_death(self, finished: int) -> None:
        """Schedule a restart after a pause. Raises WorkError after too many deaths in a row.

        finished: items completed so far by all workers; deaths count as consecutive only while it does not change.
        """
        worker, self.worker = self.worker, None
        assert worker is not None
        worker.close()
        self.deaths = 1 + (self.deaths if finished == self.finished else 0)
        self.finished = finished
        self.failed_starts += not self.ready and not worker.was_killed
        if self.failed_starts >= MAX_FAILED_STARTS:
            raise WorkError(f"a worker process for verifying does not start: {worker.last_error}")
        if self.deaths >= MAX_DEATHS:
            raise WorkError(
                f"worker processes for verifying were killed {self.deaths} times in a row before they gave a verdict: "
                "check whether memory is short or another program kills them"
            )
        pause = min(_MAX_PAUSE_SECONDS, _MIN_PAUSE_SECONDS * 2.0 ** (self.deaths - 1))
        self.ready, self.tasks, self.deadline = False, 0, time.monotonic() + pause

    def start_timeout(self) -> WorkError:
        """Close the process; return the error for a process that did not become ready in time."""
        assert self.worker is not None
        self.worker.close()
        return WorkError(
            f"a worker process for verifying is not ready after {START_SECONDS:g} s: {self.worker.last_error}"
        )

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()

    def _await_ready(self) -> None:
        self.ready, self.tasks, self.deadline = False, 0, time.monotonic() + START_SECONDS
