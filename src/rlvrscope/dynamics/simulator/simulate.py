"""Training as it is: groups drawn from the policy, update after update, many seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.dynamics.group_independence import check_groups_apart
from rlvrscope.dynamics.inputs import (
    bandit,
    brief,
    check_bounds,
    check_count,
    check_generator,
    check_group_size,
    check_rate,
    known_objective,
)
from rlvrscope.dynamics.simulator.loop import Progress, reporter, run_blocks
from rlvrscope.dynamics.simulator.numpy_policy import Plain
from rlvrscope.dynamics.simulator.record import Interrupted, Kept, Wanted
from rlvrscope.dynamics.simulator.rule import Rule, rule_of
from rlvrscope.dynamics.simulator.streams import seed_keys
from rlvrscope.dynamics.simulator.threads import run_kernel
from rlvrscope.dynamics.trajectory import Trajectory
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective
from rlvrscope.objectives.objective import MAX_PARAMETER

MAX_ROLLOUTS = 1_000_000
"""Of a group that is drawn."""

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
    """Paths of a softmax policy under an objective: at each step a group of n rollouts, then `inner_epochs` updates.

        dz_v = (eta / n) sum_i g_i (1[a_i = v] - pi_v)

    g_i is the slope of the clipped surrogate in log pi(a_i), the advantage where the ratio is 1, less the slope of
    kl_coef times the KL estimate to the start, both as `rlvrscope.objectives.policy_loss` has them.
    rewards_V, probs_V or logits_V: (V,). clip: (low, high) in place of the objective's; kl_coef: likewise.
    seeds: a count or ids. rng yields one root key: seed s has one path, whichever others run, on any number of
    threads. record_every: so many steps, or the steps to record; the start and the last step always are. watch: sets
    of actions by name, whose masses are recorded, with the step after which each is first above `threshold`, and its
    least mass on the way. keep_probs: False keeps sets and entropy only.
    Memory follows what is recorded. on_progress: called with the number of seed-steps done.
    backend: the numba kernel, or the clear NumPy version; they agree to rounding. auto: the kernel,
    but NumPy for an objective with a shape, which the kernel does not know.
    Raises InputError for bad input, MissingExtraError without numba, Interrupted (a KeyboardInterrupt that holds the
    finished seeds) on Ctrl-C.
    """
    state, chosen = bandit(rewards_V, probs_V, logits_V), known_objective(objective)
    rule = checked_rule(chosen, group_size, learning_rate, kl_coef, inner_epochs, clip)
    check_groups_apart(state.rewards_V, chosen, rule.group_size)
    wanted = Wanted.of(seeds, steps, record_every, watch, threshold, state.rewards_V.size, keep_probs)
    run = run_kernel if backend_of(chosen, backend) == "kernel" else run_blocks
    keys_S, kept = seed_keys(check_generator(rng), wanted.seeds), Kept.empty(wanted)
    try:
        run(Plain(state, chosen, rule), keys_S, kept, reporter(on_progress), threads)
    except KeyboardInterrupt:
        raise Interrupted(kept.finished()) from None
    return kept.trajectory()


def checked_rule(
    objective: Objective,
    group_size: float,
    learning_rate: float,
    kl_coef: float | None,
    inner_epochs: int,
    clip: tuple[float, float] | None,
) -> Rule:
    """The numbers of a step. Raises InputError for those out of range."""
    size = check_group_size(group_size, objective)
    if size == math.inf:
        raise InputError("a group that is drawn has a finite size; group_size=inf is for flow")
    return rule_of(
        objective,
        check_count("group_size", size, most=MAX_ROLLOUTS),
        check_rate("learning_rate", learning_rate),
        check_bounds("kl_coef", objective.kl_coef if kl_coef is None else kl_coef, 0.0, MAX_PARAMETER),
        check_count("inner_epochs", inner_epochs),
        _clip_range(clip),
    )


def backend_of(objective: Objective, backend: Backend = "auto") -> str:
    """Which version runs: kernel or numpy. Raises InputError for another name, or a shape asked of the kernel."""
    if not isinstance(backend, str) or backend not in ("auto", "kernel", "numpy"):
        raise InputError(f"backend must be 'auto', 'kernel' or 'numpy'; got {brief(backend)}")
    if backend == "kernel" and objective.shape is not None:
        raise InputError(f"objective {objective.name!r} has a shape, which the kernel does not know: leave backend out")
    if backend == "auto":
        return "kernel" if objective.shape is None else "numpy"
    return backend


def _clip_range(clip: tuple[float, float] | None) -> tuple[float, float] | None:
    if clip is None:
        return None
    if not isinstance(clip, Sequence) or isinstance(clip, str) or len(clip) != 2:
        raise InputError(f"clip must be (low, high), such as (0.2, 0.28); got {brief(clip)}")
    return check_bounds("clip's low", clip[0], 0.0, 1.0), check_bounds("clip's high", clip[1], 0.0, MAX_PARAMETER)
