"""Recording of a simulation: the requested seeds, steps and sets, and the arrays that fill up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.inputs import brief, check_actions, check_count, check_threshold, whole_numbers
from rlvrscope.dynamics.softmax import entropy
from rlvrscope.dynamics.trajectory import Trajectory, check_memory, recorded_steps
from rlvrscope.errors import InputError

MAX_SEEDS = 10_000_000


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a simulation. `finished` holds the completed seeds, or None if there are none."""

    def __init__(self, finished: Trajectory | None) -> None:
        super().__init__()
        self.finished = finished


@dataclass(frozen=True, eq=False)
class Recording:
    """The request: S seeds at T steps; watched_W: the actions of each watched set, by name."""

    seeds: Ints
    steps_T: Ints
    watched_W: Mapping[str, Ints]
    threshold: float
    num_actions: int
    keep_probs: bool

    @classmethod
    def checked(
        cls,
        seeds: int | Sequence[int],
        steps: int,
        record_every: int | Sequence[int],
        watch: Mapping[str, Sequence[int]] | None,
        threshold: float,
        num_actions: int,
        keep_probs: bool = True,
    ) -> Recording:
        """Raises InputError for bad input, or for more than 8 GiB."""
        steps_T = recorded_steps(check_count("steps", steps), record_every)
        if not isinstance(keep_probs, (bool, np.bool_)):
            raise InputError(f"keep_probs must be True or False; got {brief(keep_probs)}")
        threshold, watched_W = check_threshold(threshold), _watched_sets(watch, num_actions)
        recording = cls(seed_ids(seeds), steps_T, watched_W, threshold, num_actions, bool(keep_probs))
        rows = len(recording.seeds) * len(steps_T)
        check_memory(
            rows * (1 + len(watched_W) + (num_actions if keep_probs else 0)),
            f"{len(recording.seeds):,} seeds x {len(steps_T):,} recorded steps x {num_actions:,} actions",
            "raise record_every, or watch sets of actions with keep_probs=False",
        )
        return recording

    @property
    def steps(self) -> int:
        return int(self.steps_T[-1])


@dataclass(frozen=True, eq=False)
class Recorder:
    """The arrays of a trajectory while they fill up. done_S: completed steps of each seed."""

    recording: Recording
    probs_STV: Floats
    entropy_ST: Floats
    mass_SWT: Floats
    passage_SW: Floats
    lowest_SW: Floats
    done_S: Ints

    @classmethod
    def empty(cls, recording: Recording) -> Recorder:
        seeds, rows, sets = len(recording.seeds), len(recording.steps_T), len(recording.watched_W)
        return cls(
            recording,
            np.empty((seeds, rows if recording.keep_probs else 0, recording.num_actions)),
            np.empty((seeds, rows)),
            np.empty((seeds, sets, rows)),
            np.full((seeds, sets), np.nan),
            np.full((seeds, sets), np.inf),
            np.zeros(seeds, dtype=np.int64),
        )

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return self.probs_STV, self.entropy_ST, self.mass_SWT, self.passage_SW, self.lowest_SW, self.done_S

    def record(self, block: slice, step: int, probs_SV: Floats) -> None:
        """Record one step of a block of seeds."""
        row = int(np.searchsorted(self.recording.steps_T, step))
        is_recorded = self.recording.steps_T[row] == step
        for w, actions in enumerate(self.recording.watched_W.values()):
            mass_S = probs_SV[:, actions].sum(axis=1)
            first_S = np.isnan(self.passage_SW[block, w]) & (mass_S > self.recording.threshold)
            self.passage_SW[block, w][first_S] = step
            self.lowest_SW[block, w] = np.minimum(self.lowest_SW[block, w], mass_S)
            if is_recorded:
                self.mass_SWT[block, w, row] = mass_S
        if is_recorded:
            self.entropy_ST[block, row] = entropy(probs_SV)
            if self.recording.keep_probs:
                self.probs_STV[block, row] = probs_SV
        self.done_S[block] = step

    def trajectory(self) -> Trajectory:
        return self._of(slice(None))

    def finished(self) -> Trajectory | None:
        """The completed seeds, None if there are none."""
        done_S = self.done_S == self.recording.steps
        return self._of(done_S) if done_S.any() else None

    def _of(self, seeds: slice | NDArray[np.bool_]) -> Trajectory:
        names = list(self.recording.watched_W)
        return Trajectory(
            self.recording.seeds[seeds],
            self.recording.steps_T,
            self.probs_STV[seeds] if self.recording.keep_probs else None,
            self.entropy_ST[seeds],
            {name: self.mass_SWT[seeds, w] for w, name in enumerate(names)},
            {name: self.passage_SW[seeds, w] for w, name in enumerate(names)},
            {name: self.lowest_SW[seeds, w] for w, name in enumerate(names)},
        )


def seed_ids(seeds: int | Sequence[int]) -> Ints:
    """Seed ids: 0, ..., count - 1, or those listed. Raises InputError for other values, or an id twice."""
    if isinstance(seeds, (int, np.integer)):
        return np.arange(check_count("seeds", seeds, maximum=MAX_SEEDS), dtype=np.int64)
    ids = whole_numbers(seeds)
    if ids is None or ids.min() < 0:
        raise InputError(f"seeds must be a count, or a list of ids from 0 on; got {brief(seeds)}")
    if len(np.unique(ids)) < ids.size:
        raise InputError("seeds must be different ids: the same id has the same path")
    return ids


def _watched_sets(watch: Mapping[str, Sequence[int]] | None, num_actions: int) -> dict[str, Ints]:
    if watch is None:
        return {}
    if not isinstance(watch, Mapping):
        raise InputError(f"watch must map names to sets of actions, such as {{'rare': [1]}}; got {brief(watch)}")
    return {name: check_actions(f"watch[{brief(name)}]", actions, num_actions) for name, actions in watch.items()}
