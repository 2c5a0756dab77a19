"""The law of tokens: how answers of several tokens move without sampling noise, with every ratio at 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.dynamics.exact import effective_advantage_of
from rlvrscope.dynamics.flow import flow_steps
from rlvrscope.dynamics.inputs import Floats, check_count, check_rate
from rlvrscope.dynamics.sequences import checked_answers
from rlvrscope.dynamics.simulator.numpy_policy import log_softmax
from rlvrscope.dynamics.trajectory import Trajectory
from rlvrscope.objectives import Objective


def sequence_flow(
    rewards_Y: ArrayLike,
    objective: Objective | str,
    group_size: float,
    *,
    tokens: int,
    probs_Y: ArrayLike,
    learning_rate: float = 0.1,
    steps: int = 1000,
    record_every: int | Sequence[int] = 1,
) -> Trajectory:
    """Expected updates of a tabular policy over answers of T tokens, iterated: what `simulate_sequences` follows.

        E[dz(x, v)] = (eta / T) pi(x) pi(v | x) (At_xv - sum_u pi(u | x) At_xu),   At_xv = E[At_y | y passes x, v]

    So in every state x a token moves as an action of a bandit does, by the mean effective advantage of the answers
    that it leads to, as often as the state is met. On policy, each update is this one exactly; used for several
    updates a group gives it as long as ratios are near 1.
    rewards_Y, probs_Y: (V^T,); the result has one column an answer and one row, of seed 0.
    Raises InputError for bad input, as `expected_update` and `simulate_sequences` do.
    """
    tree, rewards, probs = checked_answers(rewards_Y, probs_Y, check_count("tokens", tokens, 2))
    eta = check_rate("learning_rate", learning_rate)
    steps_T = flow_steps(steps, record_every, rewards.size)
    advantage = effective_advantage_of(rewards, objective, group_size)
    logits_XV, rows, recorded = tree.start(probs), [], set(steps_T.tolist())
    for step in range(steps + 1):
        log_probs_Y = tree.token_log_probs(logits_XV[None])[0].sum(axis=1)
        if step in recorded:
            rows.append(np.exp(log_probs_Y))
        pull_Y = np.exp(log_probs_Y) * advantage(log_probs_Y, _sum)
        pull_XV = tree.through(pull_Y)
        own_XV = np.exp(log_softmax(logits_XV)) * pull_XV.sum(axis=1, keepdims=True)
        logits_XV = logits_XV + eta / tree.length * (pull_XV - own_XV)
    return Trajectory.of_probs(np.array([0]), steps_T, np.array(rows)[None])


def _sum(values: Floats) -> float:
    return float(values.sum())
