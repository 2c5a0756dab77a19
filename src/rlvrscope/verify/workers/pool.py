"""Verdicts for many texts: quick ones in this process, the rest in worker processes with a timeout."""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import TracebackType
from typing import Any, Self

from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem, Verdict
from rlvrscope.verify.math.math_verifier import check_algebra
from rlvrscope.verify.verifiers import Work, check_problem, start
from rlvrscope.verify.workers.worker_process import WorkerProcess

DEFAULT_TIMEOUT = 1.5
"""Seconds an item may take in a worker."""
DEFAULT_MEMORY = 1 << 30
"""Address space of a worker, in bytes (no limit on Windows)."""
OnProgress = Callable[[int, int], None]
"""Called with (items done, items in all)."""


@dataclass
class VerifierPool:
    """Worker processes that verify, as a context manager; they start when the first item needs one.

    workers: number of processes, by default one per core. timeout: seconds an item may take in a worker, which is then
    killed and replaced. memory: address space of a worker, in bytes. Raises InputError for impossible settings.
    """

    workers: int | None = None
    timeout: float = DEFAULT_TIMEOUT
    memory: int = DEFAULT_MEMORY
    _processes: list[WorkerProcess] = field(default_factory=list, init=False, repr=False)
    _tasks: queue.PriorityQueue[tuple[int, int, Any]] = field(
        default_factory=queue.PriorityQueue, init=False, repr=False
    )
    """(characters of the answer, number, task): the shortest first, as long answers more often reach the timeout."""
    _results: queue.Queue[Any] = field(default_factory=queue.Queue, init=False, repr=False)

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
        for _ in self._processes:
            self._tasks.put((-1, 0, None))
        self._results.put(WorkError("the pool was closed while it verified"))
        while self._processes:
            self._processes.pop().close()
        self._tasks, self._results = queue.PriorityQueue(), queue.Queue()

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
        batch = _Batch([None] * len(texts), on_progress)
        try:
            self._judge(batch, texts, problems)
        except BaseException:
            self.close()  # drop the items in progress
            raise
        return [verdict for verdict in batch.verdicts if verdict is not None]

    def _judge(self, batch: _Batch, texts: Sequence[str], problems: Sequence[Problem]) -> None:
        results, long = self._results, list[int]()
        for index, (text, problem) in enumerate(zip(texts, problems, strict=True)):
            result = start(text, problem)
            if isinstance(result, Verdict):
                batch.settle(index, result)
            elif batch.add(index, result):
                long.append(index) if result.is_long else self._queue(index, result)
            while not results.empty():
                batch.finish(results.get())
        for index in long:
            self._queue(index, batch.work[index])
        while batch.waiting:
            batch.finish(results.get())

    def _queue(self, index: int, work: Work) -> None:
        """Queue a task, and start a worker for it unless there are enough."""
        assert self.workers is not None
        self._tasks.put((len(work.draft.extracted or ""), index, work.task))
        if len(self._processes) < self.workers:
            process = WorkerProcess(self.memory)
            self._processes.append(process)
            arguments = (process, self._tasks, self._results, self.timeout)
            threading.Thread(target=_serve, args=arguments, daemon=True).start()


def _serve(process: WorkerProcess, tasks: queue.PriorityQueue[Any], results: queue.Queue[Any], timeout: float) -> None:
    """Pass tasks to one process until the pool closes or the process fails."""
    with contextlib.closing(process):
        while (entry := tasks.get())[-1] is not None:
            try:
                results.put((entry[1], *process.ask(entry[-1], timeout)))
            except BaseException as error:  # noqa: BLE001  raised again by the calling thread
                results.put(error)
                return


@dataclass
class _Batch:
    """The verdicts of one call. waiting: the items of each task that a worker has or will have, by its first item."""

    verdicts: list[Verdict | None]
    on_progress: OnProgress | None
    work: dict[int, Work] = field(default_factory=dict)
    waiting: dict[int, list[int]] = field(default_factory=dict)
    num_settled: int = 0
    _first: dict[str, int] = field(default_factory=dict)

    def add(self, index: int, work: Work) -> bool:
        """Add an item; return False if the same task is waiting or done already."""
        self.work[index] = work
        key = json.dumps(work.task) if work.task["kind"] == "judge" else str(index)
        first = self._first.setdefault(key, index)
        verdict = self.verdicts[first]
        if verdict is not None:
            self.settle(index, replace(verdict, extracted=work.draft.extracted))
        else:
            self.waiting.setdefault(first, []).append(index)
        return first == index

    def finish(self, result: Any) -> None:
        """Settle all items of a task. Raises what ended a worker; InputError if a user's verifier does not load."""
        if isinstance(result, BaseException):
            raise result
        first, reply, seconds = result
        if reply.get("fatal"):
            raise InputError(reply["reason"])
        for index in self.waiting.pop(first):
            self.settle(index, self.work[index].finish(reply, seconds))

    def settle(self, index: int, verdict: Verdict) -> None:
        self.verdicts[index] = verdict
        self.num_settled += 1
        if self.on_progress:
            self.on_progress(self.num_settled, len(self.verdicts))


def verify_answer(text: str, problem: Problem) -> Verdict:
    """Return the verdict on one text; use VerifierPool.map for many. Raises the same errors."""
    check_problem(problem)
    result = start(text, problem)
    if isinstance(result, Verdict):
        return result
    with _one_at_a_time:
        return _shared(os.getpid()).map([text], [problem])[0]


_one_at_a_time = threading.Lock()


@cache
def _shared(process: int) -> VerifierPool:
    """Return the pool behind `verify_answer`; a forked process makes its own."""
    pool = VerifierPool(workers=1)
    atexit.register(lambda: pool.close() if os.getpid() == process else None)
    return pool
