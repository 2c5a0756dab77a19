"""Training as it is: groups drawn from the policy, update after update, many seeds."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from massflow.dynamics.inputs import (
    Bandit,
    Floats,
    bandit,
    check_actions,
    check_count,
    check_group_size,
    check_rate,
    known_objective,
    signal,
)
from massflow.dynamics.plain import Plain, run_plain
from massflow.dynamics.rule import Rule, rule_of
from massflow.dynamics.streams import seed_keys
from massflow.dynamics.trajectory import Trajectory, entropy, recorded_steps
from massflow.errors import InputError
from massflow.extras import needs_extra
from massflow.objectives import Objective

MANY_ACTIONS = 48
"""From here on a balanced rule runs sparse: logarithmic in V."""
MOST_BYTES = 8 << 30
"""Of recorded numbers; beyond, the refusal says what to record less of."""
BLOCKS_A_THREAD = 16
SECONDS_A_LOOK = 0.1

Progress = Callable[[int], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a simulation. `finished` holds the seeds that were done, None if there are none."""

    def __init__(self, finished: Trajectory | None) -> None:
        super().__init__()
        self.finished = finished


@dataclass(frozen=True, eq=False)
class Job:
    """A simulation, checked: the state it starts from, its rule, its seeds and what is kept."""

    state: Bandit
    objective: Objective
    rule: Rule
    seeds: NDArray[np.int64]
    keys_S: NDArray[np.uint64]
    steps_T: NDArray[np.int64]
    sets: Mapping[str, tuple[NDArray[np.int64], float]]
    keep_probs: bool


def simulate(
    rewards_V: ArrayLike,
    objective: Objective | str,
    group_size: int,
    *,
    rng: np.random.Generator,
    probs_V: ArrayLike | None = None,
    logits_V: ArrayLike | None = None,
    learning_rate: float = 0.1,
    steps: int = 1000,
    seeds: int | Sequence[int] = 100,
    record_every: int | Sequence[int] = 1,
    kl_coef: float | None = None,
    inner_epochs: int = 1,
    clip: tuple[float, float] | None = None,
    watch: Mapping[str, Sequence[int]] | None = None,
    threshold: float = 0.5,
    keep_probs: bool = True,
    threads: int | None = None,
    backend: Literal["kernel", "numpy"] = "kernel",
    on_progress: Progress | None = None,
) -> Trajectory:
    """Paths of a softmax policy under an objective: at each step a group of n rollouts, then `inner_epochs` updates.

        dz_v = (eta / n) sum_i g_i (1[a_i = v] - pi_v)

    g_i is the slope of the clipped surrogate in log pi(a_i), the advantage where the ratio is 1, less the slope of
    kl_coef times the KL estimate to the start, both as `massflow.objectives.policy_loss` has them.
    rewards_V, probs_V or logits_V: (V,). clip: (low, high) in place of the objective's; kl_coef: likewise.
    seeds: a count or ids. rng yields one root key: seed s has one path, whichever others run, on any number of
    threads. record_every: so many steps, or the steps to record. watch: sets of actions by name, whose masses are
    recorded, with the step after which each is first above `threshold`, and its least mass on the way. keep_probs:
    False keeps sets and entropy only.
    Memory follows what is recorded. on_progress: called with the number of seed-steps done.
    backend: the numba kernel, or the clear NumPy version; they agree to rounding. An objective with a shape runs on
    the NumPy version.
    Raises InputError for bad input, MissingExtraError without numba, Interrupted (a KeyboardInterrupt that holds the
    finished seeds) on Ctrl-C.
    """
    state, chosen = bandit(rewards_V, probs_V, logits_V), known_objective(objective)
    size = check_group_size(group_size, chosen)
    if size == math.inf:
        raise InputError("a group that is drawn has a finite size; group_size=inf is for flow")
    ids, steps_T = seed_ids(seeds), recorded_steps(check_count("steps", steps), record_every)
    rule = rule_of(
        chosen,
        int(size),
        check_rate("learning_rate", learning_rate),
        _not_negative("kl_coef", chosen.kl_coef if kl_coef is None else kl_coef),
        check_count("inner_epochs", inner_epochs),
        _clip_range(clip),
    )
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng must be a generator, such as massflow.seeding.generator(0); got {rng!r}")
    if np.append(steps_T, 0).max() < steps:
        steps_T = np.append(steps_T, steps)
    sets = _sets(watch or {}, threshold, state.rewards_V.size)
    job = Job(state, chosen, rule, ids, seed_keys(rng, ids), steps_T, sets, keep_probs)
    _check_memory(job)
    if backend == "numpy" or chosen.shape is not None:  # the kernel knows no shapes
        return _run_plain(job)
    if backend != "kernel":
        raise InputError(f"backend must be 'kernel' or 'numpy'; got {backend!r}")
    return _run_kernel(job, _threads(threads), on_progress or (lambda done: None))


def _run_plain(job: Job) -> Trajectory:
    steps, rows = int(job.steps_T[-1]), {int(step): row for row, step in enumerate(job.steps_T)}
    kept = _Kept.empty(job)

    def after(step: int, probs_SV: Floats) -> None:
        row = rows.get(step)
        for w, (actions, threshold) in enumerate(job.sets.values()):
            mass_S = probs_SV[:, actions].sum(axis=1)
            first = np.isnan(kept.passage_SW[:, w]) & (mass_S > threshold)
            kept.passage_SW[first, w] = step
            kept.lowest_SW[:, w] = np.minimum(kept.lowest_SW[:, w], mass_S)
            if row is not None:
                kept.mass_SWT[:, w, row] = mass_S
        if row is not None:
            kept.entropy_ST[:, row] = entropy(probs_SV)
            if job.keep_probs:
                kept.probs_STV[:, row] = probs_SV

    run_plain(Plain(job.state, job.objective, job.rule), job.keys_S, steps, after)
    return kept.trajectory(job, np.ones(len(job.seeds), dtype=bool))


def _run_kernel(job: Job, threads: int, on_progress: Progress) -> Trajectory:
    with needs_extra("dynamics", "the simulator"):
        from massflow.dynamics.kernel import Record, Watch, run_seeds

    kept, stop = _Kept.empty(job), np.zeros(1, dtype=np.bool_)
    sizes = [len(actions) for actions, _ in job.sets.values()]
    watch = Watch(
        np.cumsum([0, *sizes], dtype=np.int64),
        np.concatenate([np.empty(0, np.int64), *(actions for actions, _ in job.sets.values())]),
        np.array([threshold for _, threshold in job.sets.values()], dtype=np.float64),
    )
    sparse = job.rule.balanced and job.state.rewards_V.size >= MANY_ACTIONS
    seen_V = np.ascontiguousarray(signal(job.state.rewards_V, job.objective))

    def run(block: slice) -> None:
        record = Record(job.steps_T, *(array[block] for array in kept.arrays))
        run_seeds(sparse, job.keys_S[block], seen_V, job.state.log_probs_V, job.rule, watch, record, stop)

    size = max(1, len(job.seeds) // (threads * BLOCKS_A_THREAD))
    blocks = [slice(start, start + size) for start in range(0, len(job.seeds), size)]
    with ThreadPoolExecutor(threads) as pool:
        waiting = {pool.submit(run, block) for block in blocks}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=SECONDS_A_LOOK)
                on_progress(int(kept.done_S.sum()))
                for future in done:
                    future.result()
        except KeyboardInterrupt:
            stop[0] = True
            pool.shutdown(wait=True, cancel_futures=True)
            finished = kept.done_S == job.steps_T[-1]
            raise Interrupted(kept.trajectory(job, finished) if finished.any() else None) from None
    return kept.trajectory(job, np.ones(len(job.seeds), dtype=bool))


@dataclass(frozen=True, eq=False)
class _Kept:
    probs_STV: Floats
    entropy_ST: Floats
    mass_SWT: Floats
    passage_SW: Floats
    lowest_SW: Floats
    done_S: NDArray[np.int64]

    @classmethod
    def empty(cls, job: Job) -> _Kept:
        shape = len(job.seeds), len(job.steps_T)
        return cls(
            np.empty((shape[0], shape[1] if job.keep_probs else 0, job.state.rewards_V.size)),
            np.empty(shape),
            np.empty((shape[0], len(job.sets), shape[1])),
            np.full((shape[0], len(job.sets)), np.nan),
            np.full((shape[0], len(job.sets)), np.inf),
            np.zeros(shape[0], dtype=np.int64),
        )

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return self.probs_STV, self.entropy_ST, self.mass_SWT, self.passage_SW, self.lowest_SW, self.done_S

    def trajectory(self, job: Job, finished: NDArray[np.bool_]) -> Trajectory:
        some = slice(None) if finished.all() else finished
        names = list(job.sets)
        return Trajectory(
            job.seeds[some],
            job.steps_T,
            self.probs_STV[some] if job.keep_probs else None,
            self.entropy_ST[some],
            {name: self.mass_SWT[some, w] for w, name in enumerate(names)},
            {name: self.passage_SW[some, w] for w, name in enumerate(names)},
            {name: self.lowest_SW[some, w] for w, name in enumerate(names)},
        )


def seed_ids(seeds: int | Sequence[int]) -> NDArray[np.int64]:
    """A count as the ids from 0 on, or the ids. Raises InputError for others, or an id twice."""
    if np.ndim(seeds) == 0:
        return np.arange(check_count("seeds", seeds), dtype=np.int64)
    ids = np.asarray(seeds)
    if ids.ndim != 1 or ids.size == 0 or ids.dtype.kind not in "iu" or ids.min() < 0:
        raise InputError(f"seeds must be a count, or a list of ids from 0 on; got {seeds!r}")
    if len(np.unique(ids)) < ids.size:
        raise InputError("seeds must be different ids: the same id has the same path")
    return ids.astype(np.int64)


def _sets(
    watch: Mapping[str, Sequence[int]], threshold: float, num_actions: int
) -> dict[str, tuple[NDArray[np.int64], float]]:
    if not 0.0 < threshold < 1.0:
        raise InputError(f"threshold must be a mass between 0 and 1; got {threshold!r}")
    return {name: (check_actions(f"watch[{name!r}]", found, num_actions), threshold) for name, found in watch.items()}


def _clip_range(clip: tuple[float, float] | None) -> tuple[float, float] | None:
    if clip is None:
        return None
    low, high = clip
    if not (0.0 <= low <= 1.0 and 0.0 <= high < math.inf):
        raise InputError(f"clip must be (low, high), low between 0 and 1 and high not negative; got {clip!r}")
    return float(low), float(high)


def _not_negative(name: str, value: float) -> float:
    if not 0.0 <= value < math.inf:
        raise InputError(f"{name} must be finite and not negative; got {value!r}")
    return float(value)


def _threads(threads: int | None) -> int:
    if threads is not None:
        return check_count("threads", threads)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_memory(job: Job) -> None:
    rows = len(job.seeds) * len(job.steps_T)
    needed = 8 * rows * (1 + len(job.sets) + (job.state.rewards_V.size if job.keep_probs else 0))
    if needed > MOST_BYTES:
        raise InputError(
            f"{len(job.seeds)} seeds x {len(job.steps_T)} recorded steps x {job.state.rewards_V.size} actions would "
            f"take {needed / 2**30:.1f} GiB, and at most {MOST_BYTES >> 30} are taken: raise record_every, or watch "
            "sets of actions with keep_probs=False"
        )
