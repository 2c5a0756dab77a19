"""The items of one call to the pool: queued for a worker, deduplicated, and collected as verdicts in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import Verdict
from rlvrscope.verify.verifiers import Work

MAX_TRIES = 3
"""Workers that may die on an item before it counts as an error."""
OnProgress = Callable[[int, int], None]
"""Called with (items done, items in all)."""


@dataclass
class Item:
    """One task for a worker. waiting: the (index in the batch, work) pairs that share it; tries: workers that died."""

    waiting: list[tuple[int, Work]]
    tries: int = 0

    @property
    def task(self) -> dict[str, Any]:
        return self.waiting[0][1].task


_Ranked = tuple[int, int, Item]
"""(characters of the answer, index in the batch, item); the index is unique."""


class Batch:
    """The verdicts of one call. all_added: every item has been added. finished: number of items that left a worker."""

    def __init__(self, count: int, on_progress: OnProgress | None) -> None:
        self.results: list[Verdict | None] = [None] * count
        self.pending, self.settled, self.on_progress = 0, 0, on_progress
        self.all_added, self.finished = False, 0
        self._short: list[_Ranked] = []
        self._long: list[_Ranked] = []
        """Heaps, the shortest answer first: long answers are more likely to run into the timeout."""
        self._by_key: dict[str, Item | Verdict] = {}
        """Comparisons in progress or done, by the key of the comparison."""

    @property
    def ready(self) -> int:
        """Number of items that a worker could begin now; long ones only once every item has been added."""
        return len(self._short) or (len(self._long) if self.all_added else 0)

    def next(self) -> Item:
        return heapq.heappop(self._short or self._long)[-1]

    def add(self, index: int, result: Verdict | Work) -> None:
        """Settle a verdict, or queue the work; work with the key of an earlier item shares its result."""
        if isinstance(result, Verdict):
            self._settle(index, result)
            return
        key = result.task.get("key")
        known = self._by_key.get(key) if key else None
        if isinstance(known, Verdict):
            self._settle(index, replace(known, extracted=result.draft.extracted))
            return
        self.pending += 1
        if known is not None:
            known.waiting.append((index, result))
            return
        item = Item([(index, result)])
        self._queue(item)
        if key:
            self._by_key[key] = item

    def done(self, item: Item, reply: dict[str, Any], seconds: float) -> None:
        """Settle an item. Raises InputError for a reply that ends the batch: the user's verifier does not load."""
        if reply.get("fatal"):
            raise InputError(reply["reason"])
        self.finished += 1
        for index, work in item.waiting:
            verdict = work.finish(reply, seconds)
            self.pending -= 1
            self._settle(index, verdict)
            if key := work.task.get("key"):
                self._by_key[key] = verdict

    def retry(self, item: Item | None) -> None:
        """Queue an item again after its worker died of an unknown cause; after MAX_TRIES it is an error."""
        if item is None:
            return
        item.tries += 1
        if item.tries < MAX_TRIES:
            self._queue(item)
        else:
            self.done(item, {"outcome": "error", "reason": f"the worker died {item.tries} times"}, 0.0)

    def verdicts(self) -> list[Verdict]:
        return [verdict for verdict in self.results if verdict is not None]

    def _queue(self, item: Item) -> None:
        index, work = item.waiting[0]
        heap = self._long if item.task["kind"] == "judge" else self._short
        heapq.heappush(heap, (len(work.draft.extracted or ""), index, item))

    def _settle(self, index: int, verdict: Verdict) -> None:
        self.results[index] = verdict
        self.settled += 1
        if self.on_progress:
            self.on_progress(self.settled, len(self.results))
