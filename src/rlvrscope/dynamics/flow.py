"""Mean field: expected updates iterated, and the flow of an infinite group."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlvrscope.dynamics.exact import effective_advantage_of, softmax_step
from rlvrscope.dynamics.inputs import Floats, bandit, check_count, check_rate
from rlvrscope.dynamics.simulator.record import check_memory
from rlvrscope.dynamics.trajectory import Trajectory, recorded_steps
from rlvrscope.errors import WorkError
from rlvrscope.objectives import Objective

Update = Callable[[Floats], Floats]

RELATIVE, ABSOLUTE = 1e-9, 1e-12
"""Tolerances of the integration, of logits."""
MAX_LOOKS = 100_000
"""Updates that an integration may ask for; the paths of theory take thousands."""

COPIES = 4
"""Of a path while it is made: logarithms, probabilities, and two for their entropy."""


def flow(
    rewards_V: ArrayLike,
    objective: Objective | str,
    group_size: float,
    *,
    probs_V: ArrayLike | None = None,
    logits_V: ArrayLike | None = None,
    learning_rate: float = 0.1,
    steps: int = 1000,
    record_every: int | Sequence[int] = 1,
) -> Trajectory:
    """The path of the policy without sampling noise: a Trajectory with one row, of seed 0.

    A finite group_size iterates z += E[dz], exactly; math.inf integrates dz/dt = E[dz] over t in steps (LSODA).
    rewards_V, probs_V, logits_V: (V,). The mean of noisy paths is not this path: see `simulate`.
    Raises InputError for bad input, as `expected_update` does; WorkError if the integration fails.
    """
    state = bandit(rewards_V, probs_V, logits_V)
    eta = check_rate("learning_rate", learning_rate)
    steps_T = flow_steps(steps, record_every, state.rewards_V.size)
    advantage = effective_advantage_of(state.rewards_V, objective, group_size)

    def update(log_probs_V: Floats) -> Floats:
        return eta * softmax_step(np.exp(log_probs_V), advantage(log_probs_V, _sum), _sum)

    path = _integrated if group_size == math.inf else _iterated
    probs_TV = np.exp(path(state.log_probs_V, update, steps_T))
    return Trajectory.of_probs(np.array([0]), steps_T, probs_TV[None])


def flow_steps(steps: int, record_every: int | Sequence[int], num_actions: int) -> NDArray[np.int64]:
    """The steps to record of one path. Raises InputError for bad input, or a path that takes more than 8 GiB."""
    steps_T = recorded_steps(check_count("steps", steps), record_every)
    what = f"{len(steps_T):,} recorded steps x {num_actions:,} actions"
    check_memory(COPIES * len(steps_T) * num_actions, what, "raise record_every")
    return steps_T


def _sum(values: Floats) -> float:
    return float(values.sum())


def _iterated(log_probs_V: Floats, update: Update, steps_T: NDArray[np.int64]) -> Floats:
    rows, step = [log_probs_V], 0
    for wanted in steps_T[1:]:
        while step < wanted:
            log_probs_V = log_normal(log_probs_V + update(log_probs_V))
            step += 1
        rows.append(log_probs_V)
    return np.array(rows)


def _integrated(log_probs_V: Floats, update: Update, steps_T: NDArray[np.int64]) -> Floats:
    from scipy.integrate import solve_ivp

    possible = np.isfinite(log_probs_V)
    start = log_probs_V[possible]

    looks = itertools.count(1)

    def slope(time: float, logits: Floats) -> Floats:
        if next(looks) > MAX_LOOKS:
            raise WorkError(
                f"the flow got no further than step {time:.4g}: take a smaller learning_rate, or fewer steps"
            )
        full_V = np.full(possible.shape, -np.inf)
        full_V[possible] = log_normal(logits)
        return update(full_V)[possible]

    span = (0.0, float(steps_T[-1]))
    found = solve_ivp(slope, span, start, "LSODA", t_eval=steps_T, rtol=RELATIVE, atol=ABSOLUTE)
    if not found.success:
        raise WorkError(f"the flow could not be integrated: {found.message}")
    rows = np.full((len(steps_T), len(log_probs_V)), -np.inf)
    rows[:, possible] = [log_normal(row) for row in found.y.T]
    return rows


def log_normal(logits_V: Floats) -> Floats:
    """log softmax."""
    shifted_V = logits_V - logits_V.max()
    return shifted_V - np.log(np.exp(shifted_V).sum())
