"""The items of one call to the pool, from what waits for a worker to the verdicts in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import Verdict
from rlvrscope.verify.verifiers import Work

MAX_TRIES = 3
"""Workers that may die under an item before it is given up."""
OnProgress = Callable[[int, int], None]
"""Called with how many are done, of how many."""


@dataclass
class Item:
    """A task on its way: what waits for it, as (place in the list, work)."""

    waiting: list[tuple[int, Work]]
    tries: int = 0

    @property
    def task(self) -> dict[str, Any]:
        return self.waiting[0][1].task


_Ranked = tuple[int, int, Item]
"""(characters of the answer, place in the list, item): no two have one place."""


class Batch:
    """The verdicts of one call, as they come. read: every item has been added. finished: how many left a worker."""

    def __init__(self, count: int, on_progress: OnProgress | None) -> None:
        self.found: list[Verdict | None] = [None] * count
        self.open, self.seen, self.on_progress = 0, 0, on_progress
        self.read, self.finished = False, 0
        self._short: list[_Ranked] = []
        self._long: list[_Ranked] = []
        """Heaps, the shortest answer first: what is long is likelier to take its whole time."""
        self._same: dict[str, Item | Verdict] = {}
        """What was or is being compared already, by the key of the comparison."""

    @property
    def ready(self) -> int:
        """How many items a worker could begin now."""
        return len(self._short) or (len(self._long) if self.read else 0)

    def next(self) -> Item:
        return heapq.heappop(self._short or self._long)[-1]

    def add(self, place: int, found: Verdict | Work) -> None:
        if isinstance(found, Verdict):
            self._settle(place, found)
            return
        key = found.task.get("key")
        known = self._same.get(key) if key else None
        if isinstance(known, Verdict):
            self._settle(place, replace(known, extracted=found.draft.extracted))
            return
        self.open += 1
        if known is not None:
            known.waiting.append((place, found))
            return
        item = Item([(place, found)])
        self._wait(item)
        if key:
            self._same[key] = item

    def done(self, item: Item, reply: dict[str, Any], seconds: float) -> None:
        """Raises InputError for a reply that ends the whole batch: a verifier of the user's that does not load."""
        if reply.get("fatal"):
            raise InputError(reply["reason"])
        self.finished += 1
        for place, work in item.waiting:
            verdict = work.finish(reply, seconds)
            self.open -= 1
            self._settle(place, verdict)
            if key := work.task.get("key"):
                self._same[key] = verdict

    def lost(self, item: Item | None) -> None:
        """Its worker died. Nobody knows of what, so it is tried MAX_TRIES times in all, and then an error."""
        if item is None:
            return
        item.tries += 1
        if item.tries < MAX_TRIES:
            self._wait(item)
        else:
            self.done(item, {"outcome": "error", "reason": f"the worker died {item.tries} times"}, 0.0)

    def verdicts(self) -> list[Verdict]:
        return [verdict for verdict in self.found if verdict is not None]

    def _wait(self, item: Item) -> None:
        place, work = item.waiting[0]
        line = self._long if item.task["kind"] == "judge" else self._short
        heapq.heappush(line, (len(work.draft.extracted or ""), place, item))

    def _settle(self, place: int, verdict: Verdict) -> None:
        self.found[place] = verdict
        self.seen += 1
        if self.on_progress:
            self.on_progress(self.seen, len(self.found))
