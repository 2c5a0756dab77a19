"""Mean field: expected updates iterated, and the flow of an infinite group."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.exact import effective_advantage_function
from rlvrscope.dynamics.inputs import check_count, check_rate, make_bandit
from rlvrscope.dynamics.softmax import array_sum, log_softmax, policy_gradient
from rlvrscope.dynamics.trajectory import Trajectory, check_memory, recorded_steps
from rlvrscope.errors import WorkError
from rlvrscope.objectives import Objective

Update = Callable[[Floats], Floats]

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-9, 1e-12
"""Tolerances of the integration, in logits."""
MAX_EVALUATIONS = 100_000
"""Updates that an integration may evaluate; the paths of theory.md take thousands."""
COPIES = 4
"""Arrays of the path's size in memory: logarithms, probabilities, and two for the entropy."""


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
    """Path of the policy without sampling noise: a Trajectory with one row, seed 0.

    A finite group_size iterates z += E[dz], exactly; math.inf integrates dz/dt = E[dz] over t in steps (LSODA).
    rewards_V, probs_V, logits_V: (V,). This is not the mean of the noisy paths of `simulate`.
    Raises InputError for bad input, as `expected_update` does; WorkError if the integration fails.
    """
    bandit = make_bandit(rewards_V, probs_V, logits_V)
    eta = check_rate("learning_rate", learning_rate)
    steps_T = flow_steps(steps, record_every, bandit.rewards_V.size)
    advantage = effective_advantage_function(bandit.rewards_V, objective, group_size)

    def update(log_probs_V: Floats) -> Floats:
        return eta * policy_gradient(np.exp(log_probs_V), advantage(log_probs_V, array_sum), array_sum)

    path = _integrate if group_size == math.inf else _iterate
    probs_TV = np.exp(path(bandit.log_probs_V, update, steps_T))
    return Trajectory.of_probs(np.array([0]), steps_T, probs_TV[None])


def flow_steps(steps: int, record_every: int | Sequence[int], num_actions: int) -> Ints:
    """Steps to record of one path. Raises InputError for bad input, or a path that takes more than 8 GiB."""
    steps_T = recorded_steps(check_count("steps", steps), record_every)
    size = f"{len(steps_T):,} recorded steps x {num_actions:,} actions"
    check_memory(COPIES * len(steps_T) * num_actions, size, "raise record_every")
    return steps_T


def _iterate(log_probs_V: Floats, update: Update, steps_T: Ints) -> Floats:
    rows, step = [log_probs_V], 0
    for recorded in steps_T[1:]:
        while step < recorded:
            log_probs_V = log_softmax(log_probs_V + update(log_probs_V))
            step += 1
        rows.append(log_probs_V)
    return np.array(rows)


def _integrate(log_probs_V: Floats, update: Update, steps_T: Ints) -> Floats:
    from scipy.integrate import solve_ivp

    possible = np.isfinite(log_probs_V)
    evaluations = itertools.count(1)

    def derivative(time: float, logits: Floats) -> Floats:
        if next(evaluations) > MAX_EVALUATIONS:
            raise WorkError(
                f"the flow got no further than step {time:.4g}: take a smaller learning_rate, or fewer steps"
            )
        full_V = np.full(possible.shape, -np.inf)
        full_V[possible] = log_softmax(logits)
        return update(full_V)[possible]

    solution = solve_ivp(
        derivative,
        (0.0, float(steps_T[-1])),
        log_probs_V[possible],
        "LSODA",
        t_eval=steps_T,
        rtol=RELATIVE_TOLERANCE,
        atol=ABSOLUTE_TOLERANCE,
    )
    if not solution.success:
        raise WorkError(f"the flow could not be integrated: {solution.message}")
    rows = np.full((len(steps_T), len(log_probs_V)), -np.inf)
    rows[:, possible] = log_softmax(np.ascontiguousarray(solution.y.T))
    return rows
