"""The plan: which cells are wanted, less those that are filled. A cell is (run, problem, index)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.sampling.store.store import SampleStore
from rlvrscope.seeding import derived
from rlvrscope.stats.counts import MAX_SAMPLES


def missing(store: SampleStore, run: str, problems: Sequence[Problem], samples: int) -> Iterator[tuple[Problem, int]]:
    """The cells to fill, problem by problem in order of their index, told as they are asked for."""
    for problem in problems:
        done = store.done(run, problem.id, range(samples))
        for index in range(samples):
            if index not in done:
                yield problem, index


def count_missing(store: SampleStore, run: str, problems: Sequence[Problem], samples: int) -> int:
    return sum(samples - len(store.done(run, problem.id, range(samples))) for problem in problems)


def cell_seed(seed: int, problem: str, index: int) -> int:
    """The seed of a cell, from 0 to 2^63 - 1: the same whatever else is sampled, in any order."""
    return derived(seed, "sample", problem, index)


def check_wanted(problems: Sequence[Problem], samples: int) -> None:
    """Raises InputError unless there is something to fill and every problem has an id of its own."""
    if not 1 <= samples <= MAX_SAMPLES:
        raise InputError(f"samples of a problem must be from 1 to {MAX_SAMPLES:,}; got {samples}")
    if not problems:
        raise InputError("there must be a problem to sample")
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise InputError(f"two problems have the id {problem.id!r}: give each its own")
        seen.add(problem.id)
