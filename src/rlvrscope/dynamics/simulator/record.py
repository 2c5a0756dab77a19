"""What is kept of a simulation: which seeds, steps and sets, and the arrays they fill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope.dynamics.inputs import (
    Floats,
    brief,
    check_actions,
    check_count,
    check_threshold,
    whole_numbers,
)
from rlvrscope.dynamics.trajectory import Trajectory, entropy, recorded_steps
from rlvrscope.errors import InputError

MAX_SEEDS = 10_000_000
MAX_BYTES = 8 << 30
"""Of recorded numbers; beyond, the refusal says what to record less of."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a simulation. `finished` holds the seeds that were done, None if there are none."""

    def __init__(self, finished: Trajectory | None) -> None:
        super().__init__()
        self.finished = finished


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to keep: S seeds at the recorded steps, and of each watched set its actions and its threshold."""

    seeds: NDArray[np.int64]
    steps_T: NDArray[np.int64]
    sets: Mapping[str, tuple[NDArray[np.int64], float]]
    num_actions: int
    keep_probs: bool

    @classmethod
    def of(
        cls,
        seeds: int | Sequence[int],
        steps: int,
        record_every: int | Sequence[int],
        watch: Mapping[str, Sequence[int]] | None,
        threshold: float,
        num_actions: int,
        keep_probs: bool = True,
    ) -> Wanted:
        """Raises InputError for bad input, or for more than 8 GiB."""
        steps_T = recorded_steps(check_count("steps", steps), record_every)
        if not isinstance(keep_probs, (bool, np.bool_)):
            raise InputError(f"keep_probs must be True or False; got {brief(keep_probs)}")
        sets = _sets(watch, check_threshold(threshold), num_actions)
        found = cls(seed_ids(seeds), steps_T, sets, num_actions, bool(keep_probs))
        found._check_memory()
        return found

    @property
    def last(self) -> int:
        return int(self.steps_T[-1])

    def _check_memory(self) -> None:
        seeds, rows = len(self.seeds), len(self.steps_T)
        each = 1 + len(self.sets) + (self.num_actions if self.keep_probs else 0)
        check_memory(
            seeds * rows * each,
            f"{seeds:,} seeds x {rows:,} recorded steps x {self.num_actions:,} actions",
            "raise record_every, or watch sets of actions with keep_probs=False",
        )


def check_memory(numbers: int, what: str, remedy: str) -> None:
    """Raises InputError where so many numbers of 8 bytes take more than 8 GiB."""
    if 8 * numbers > MAX_BYTES:
        raise InputError(
            f"{what} would take {8 * numbers / 2**30:.1f} GiB, and at most {MAX_BYTES >> 30} are taken: {remedy}"
        )


@dataclass(frozen=True, eq=False)
class Kept:
    """The arrays of a trajectory while they fill. done_S: steps done."""

    wanted: Wanted
    probs_STV: Floats
    entropy_ST: Floats
    mass_SWT: Floats
    passage_SW: Floats
    lowest_SW: Floats
    done_S: NDArray[np.int64]

    @classmethod
    def empty(cls, wanted: Wanted) -> Kept:
        seeds, rows, sets = len(wanted.seeds), len(wanted.steps_T), len(wanted.sets)
        return cls(
            wanted,
            np.empty((seeds, rows if wanted.keep_probs else 0, wanted.num_actions)),
            np.empty((seeds, rows)),
            np.empty((seeds, sets, rows)),
            np.full((seeds, sets), np.nan),
            np.full((seeds, sets), np.inf),
            np.zeros(seeds, dtype=np.int64),
        )

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return self.probs_STV, self.entropy_ST, self.mass_SWT, self.passage_SW, self.lowest_SW, self.done_S

    def note(self, some: slice, step: int, probs_SV: Floats) -> None:
        """Keep what is wanted of a step of some seeds."""
        for w, (actions, threshold) in enumerate(self.wanted.sets.values()):
            mass_S = probs_SV[:, actions].sum(axis=1)
            first_S = np.isnan(self.passage_SW[some, w]) & (mass_S > threshold)
            self.passage_SW[some, w][first_S] = step
            self.lowest_SW[some, w] = np.minimum(self.lowest_SW[some, w], mass_S)
        row = int(np.searchsorted(self.wanted.steps_T, step))
        if self.wanted.steps_T[row] == step:
            for w, (actions, _) in enumerate(self.wanted.sets.values()):
                self.mass_SWT[some, w, row] = probs_SV[:, actions].sum(axis=1)
            self.entropy_ST[some, row] = entropy(probs_SV)
            if self.wanted.keep_probs:
                self.probs_STV[some, row] = probs_SV
        self.done_S[some] = step

    def trajectory(self) -> Trajectory:
        return self._of(slice(None))

    def finished(self) -> Trajectory | None:
        """The seeds that are done, None if there are none."""
        done_S = self.done_S == self.wanted.last
        return self._of(done_S) if done_S.any() else None

    def _of(self, some: slice | NDArray[np.bool_]) -> Trajectory:
        names = list(self.wanted.sets)
        return Trajectory(
            self.wanted.seeds[some],
            self.wanted.steps_T,
            self.probs_STV[some] if self.wanted.keep_probs else None,
            self.entropy_ST[some],
            {name: self.mass_SWT[some, w] for w, name in enumerate(names)},
            {name: self.passage_SW[some, w] for w, name in enumerate(names)},
            {name: self.lowest_SW[some, w] for w, name in enumerate(names)},
        )


def seed_ids(seeds: int | Sequence[int]) -> NDArray[np.int64]:
    """A count as the ids from 0 on, or the ids. Raises InputError for others, or an id twice."""
    if isinstance(seeds, (int, np.integer)):
        return np.arange(check_count("seeds", seeds, most=MAX_SEEDS), dtype=np.int64)
    ids = whole_numbers(seeds)
    if ids is None or ids.min() < 0:
        raise InputError(f"seeds must be a count, or a list of ids from 0 on; got {brief(seeds)}")
    if len(np.unique(ids)) < ids.size:
        raise InputError("seeds must be different ids: the same id has the same path")
    return ids


def _sets(
    watch: Mapping[str, Sequence[int]] | None, threshold: float, num_actions: int
) -> dict[str, tuple[NDArray[np.int64], float]]:
    if watch is None:
        return {}
    if not isinstance(watch, Mapping):
        raise InputError(f"watch must map names to sets of actions, such as {{'rare': [1]}}; got {brief(watch)}")
    return {
        name: (check_actions(f"watch[{brief(name)}]", found, num_actions), threshold) for name, found in watch.items()
    }
