"""Simulated training of a bandit: groups drawn from the policy, update after update, over many seeds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.dynamics.groups import check_group_independence
from rlvrscope.dynamics.inputs import brief, check_count, check_generator, make_bandit
from rlvrscope.dynamics.simulator.kernel_backend import run_kernel
from rlvrscope.dynamics.simulator.numpy_backend import BanditLearner, Progress, progress_callback, run_blocks
from rlvrscope.dynamics.simulator.recording import Interrupted, Recorder, Recording
from rlvrscope.dynamics.simulator.streams import seed_keys
from rlvrscope.dynamics.simulator.update_rule import update_rule
from rlvrscope.dynamics.trajectory import Trajectory
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, objective_from

MAX_THREADS = 1024

Backend = Literal["auto", "kernel", "numpy"]


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
    backend: Backend = "auto",
    on_progress: Progress | None = None,
) -> Trajectory:
    """Paths of a softmax policy under an objective; a step draws n rollouts and makes `inner_epochs` updates on them.

        dz_v = (eta / n) sum_i g_i (1[a_i = v] - pi_v)

    g_i is the derivative of the clipped surrogate in log pi(a_i) (the advantage, at ratio 1), minus that of kl_coef
    times the KL estimate to the start, both as in `rlvrscope.objectives.policy_loss`.
    rewards_V, probs_V or logits_V: (V,). clip = (low, high) and kl_coef replace the objective's own.
    seeds: a count or ids. rng yields one root key: a seed's path does not depend on the other seeds or on threads.
    record_every: recorded steps, as an interval or a list; the start and the last step are always recorded.
    watch: named sets of actions, for which masses, the first step above `threshold` and the lowest mass are recorded.
    keep_probs: False records these sets and the entropy only. Memory is proportional to what is recorded.
    on_progress: called with the number of completed seed-steps.
    backend: "kernel" (numba) or "numpy" (clear); they agree to rounding. "auto": the kernel, or NumPy for an objective
    with a shape, which the kernel does not implement.
    Raises InputError for bad input, MissingExtraError without numba, and on Ctrl-C Interrupted, a KeyboardInterrupt
    with the finished seeds.
    """
    bandit, objective = make_bandit(rewards_V, probs_V, logits_V), objective_from(objective)
    rule = update_rule(objective, group_size, learning_rate, kl_coef, inner_epochs, clip)
    check_group_independence(bandit.rewards_V, objective, rule.group_size)
    num_actions = bandit.rewards_V.size
    recording = Recording.checked(seeds, steps, record_every, watch, threshold, num_actions, keep_probs)
    backend, threads = backend_of(objective, backend), _thread_count(threads)
    keys_S, recorder = seed_keys(check_generator(rng), recording.seeds), Recorder.empty(recording)
    learner, on_progress = BanditLearner(bandit, objective, rule), progress_callback(on_progress)
    try:
        if backend == "kernel":
            run_kernel(learner, keys_S, recorder, on_progress, threads)
        else:
            run_blocks(learner, keys_S, recorder, on_progress)
    except KeyboardInterrupt:
        raise Interrupted(recorder.finished()) from None
    return recorder.trajectory()


def backend_of(objective: Objective, backend: Backend = "auto") -> Literal["kernel", "numpy"]:
    """The backend that will run. Raises InputError for another name, or the kernel with a shape."""
    if not isinstance(backend, str) or backend not in ("auto", "kernel", "numpy"):
        raise InputError(f"backend must be 'auto', 'kernel' or 'numpy'; got {brief(backend)}")
    if backend == "kernel" and objective.shape is not None:
        raise InputError(
            f"objective {objective.name!r} has a shape, which the kernel does not implement: leave backend out"
        )
    if backend == "auto":
        return "kernel" if objective.shape is None else "numpy"
    return backend


def _thread_count(threads: int | None) -> int:
    if threads is not None:
        return check_count("threads", threads, maximum=MAX_THREADS)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
