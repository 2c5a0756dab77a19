"""The loop of the clear versions: a block of seeds after the other, step by step, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rlvrscope.dynamics.inputs import Floats, brief, check_count
from rlvrscope.dynamics.simulator.record import Kept
from rlvrscope.errors import InputError

BLOCK = 128
"""Seeds that walk together: those of a finished block are usable after Ctrl-C."""
MAX_ENTRIES = 1 << 24
"""Of the largest array of a step; many actions walk in smaller blocks."""
STEPS_A_LOOK = 64
"""Steps between reports of progress."""

Progress = Callable[[int], None]


def reporter(on_progress: Progress | None) -> Progress:
    """What to call with the number of seed-steps done. Raises InputError for what can't be called."""
    if on_progress is not None and not callable(on_progress):
        raise InputError(f"on_progress must be a function of the number of seed-steps done; got {brief(on_progress)}")
    return on_progress or (lambda done: None)


class Walk(Protocol):
    """A policy that learns. Logits may have any shape after the seeds' axis."""

    def start(self, seeds: int, /) -> Floats:
        """Logits of so many seeds at the start."""
        ...

    def step(self, logits_S: Floats, keys_S: NDArray[np.uint64], step: int, /) -> Floats:
        """The logits after one step: a group drawn, then one update for each epoch over it."""
        ...

    def probs(self, logits_S: Floats, /) -> Floats:
        """The probability of every action. (S, V)"""
        ...

    @property
    def entries(self) -> int:
        """Numbers that a step holds for one seed."""
        ...


def run_blocks(
    walk: Walk, keys_S: NDArray[np.uint64], kept: Kept, on_progress: Progress, threads: int | None = None
) -> None:
    """Fill `kept`. threads: checked and not used, results don't depend on it."""
    if threads is not None:
        check_count("threads", threads)
    size = max(1, min(BLOCK, MAX_ENTRIES // walk.entries))
    for first in range(0, len(keys_S), size):
        block = slice(first, min(first + size, len(keys_S)))
        logits_S = walk.start(block.stop - first)
        kept.note(block, 0, walk.probs(logits_S))
        for step in range(kept.wanted.last):
            logits_S = walk.step(logits_S, keys_S[block], step)
            kept.note(block, step + 1, walk.probs(logits_S))
            if step % STEPS_A_LOOK == 0 or step + 1 == kept.wanted.last:
                on_progress(int(kept.done_S.sum()))
