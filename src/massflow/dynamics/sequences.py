"""Answers of several tokens: a tabular policy over T tokens of V choices, with the reward at the end.

Every prefix is a state with logits of its own, so the whole policy is a table of probabilities over V^T answers. Token
and sequence ratios differ here, and so do GRPO and GSPO once a group is used for several updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from massflow.dynamics.inputs import (
    Floats,
    check_count,
    check_group_size,
    check_rate,
    known_objective,
    numbers,
)
from massflow.dynamics.plain import log_softmax
from massflow.dynamics.simulate import seed_ids
from massflow.dynamics.streams import seed_keys, uniforms
from massflow.dynamics.trajectory import Trajectory, entropy, recorded_steps
from massflow.errors import InputError
from massflow.objectives import Objective, advantages
from massflow.objectives.surrogate import LOG_RATIO_BOUND

MOST_ANSWERS = 4096
"""The policy is held as a table of all of them."""


@dataclass(frozen=True, eq=False)
class Tree:
    """Which states an answer passes: state_YT, and which token it takes there: token_YT. States count from the root."""

    tokens: int
    length: int
    state_YT: NDArray[np.int64]
    token_YT: NDArray[np.int64]

    @classmethod
    def of(cls, tokens: int, length: int) -> Tree:
        answers = np.arange(tokens**length)
        token_YT = np.stack([answers // tokens ** (length - 1 - t) % tokens for t in range(length)], axis=1)
        first_T = np.array([sum(tokens**u for u in range(t)) for t in range(length)])
        prefix_YT = np.stack([answers // tokens ** (length - t) for t in range(length)], axis=1)
        return cls(tokens, length, first_T + prefix_YT, token_YT)

    @property
    def states(self) -> int:
        return sum(self.tokens**t for t in range(self.length))

    def token_log_probs(self, logits_SXV: Floats) -> Floats:
        """log pi of every token of every answer. (S, Y, T)"""
        flat = log_softmax(logits_SXV.reshape(-1, self.tokens)).reshape(logits_SXV.shape)
        return flat[:, self.state_YT, self.token_YT]

    def start(self, probs_Y: Floats) -> Floats:
        """Logits of every state that give these probabilities of answers. (X, V)"""
        mass_XV = np.zeros((self.states, self.tokens))
        for t in range(self.length):
            np.add.at(mass_XV, (self.state_YT[:, t], self.token_YT[:, t]), probs_Y)
        return np.log(mass_XV)


def simulate_sequences(
    rewards_Y: ArrayLike,
    objective: Objective | str,
    group_size: int,
    *,
    rng: np.random.Generator,
    tokens: int,
    probs_Y: ArrayLike,
    learning_rate: float = 0.1,
    steps: int = 1000,
    seeds: int | Sequence[int] = 20,
    record_every: int | Sequence[int] = 10,
    inner_epochs: int = 1,
) -> Trajectory:
    """Paths of a policy over answers of T tokens, rewarded at the end: probs_STV has one column an answer (V^T).

        rho_t = pi / pi_old of a token, or their geometric mean over the answer (GSPO); clipped as the objective says
        dz[state, v] = eta / n sum_i sum_t g_it (1[token = v] - pi(v | state)) / T

    rewards_Y, probs_Y: (V^T,), answers in lexicographic order; tokens: V. All answers have T tokens, so the
    aggregations agree. Clear NumPy, for small tables.
    Raises InputError for bad input, lengths that are no power of `tokens`, or more than 4,096 answers.
    """
    chosen = known_objective(objective)
    size = check_count("group_size", check_group_size(group_size, chosen))
    tree, rewards, probs = _checked(rewards_Y, probs_Y, check_count("tokens", tokens, 2))
    if chosen.kl_coef > 0.0:
        raise InputError(f"sequences have no KL term yet; objective {chosen.name!r} has kl_coef {chosen.kl_coef:g}")
    eta, epochs = check_rate("learning_rate", learning_rate), check_count("inner_epochs", inner_epochs)
    steps_T = recorded_steps(check_count("steps", steps), record_every)
    ids = seed_ids(seeds)
    keys_S = seed_keys(rng, ids)
    logits_SXV = np.tile(tree.start(probs), (len(ids), 1, 1))
    recorded = [np.exp(tree.token_log_probs(logits_SXV).sum(axis=2))]
    for step in range(int(steps_T[-1])):
        draws_SG = uniforms(keys_S, step * size, size)
        logits_SXV = _step(tree, rewards, chosen, logits_SXV, draws_SG, eta, epochs)
        if step + 1 in steps_T:
            recorded.append(np.exp(tree.token_log_probs(logits_SXV).sum(axis=2)))
    probs_STY = np.stack(recorded, axis=1)
    return Trajectory(ids, steps_T, probs_STY, entropy(probs_STY))


def _step(
    tree: Tree,
    rewards_Y: Floats,
    objective: Objective,
    logits_SXV: Floats,
    draws_SG: Floats,
    eta: float,
    epochs: int,
) -> Floats:
    """One group of answers a seed, then one update for each epoch over it."""
    every = np.arange(len(logits_SXV))[:, None]
    old_SYT = tree.token_log_probs(logits_SXV)
    cumulative_SY = np.cumsum(np.exp(old_SYT.sum(axis=2)), axis=1)
    targets_SG = draws_SG * cumulative_SY[:, -1:]
    answer_SG = (cumulative_SY[:, None, :] <= targets_SG[:, :, None]).sum(axis=2)
    advantage_SG = advantages(rewards_Y[answer_SG], objective)
    state_SGT, token_SGT = tree.state_YT[answer_SG], tree.token_YT[answer_SG]
    for _ in range(epochs):
        new_SYT = tree.token_log_probs(logits_SXV)
        log_ratio_SGT = new_SYT[every, answer_SG] - old_SYT[every, answer_SG]
        if objective.ratio == "sequence":
            log_ratio_SGT = np.broadcast_to(log_ratio_SGT.mean(axis=2, keepdims=True), log_ratio_SGT.shape)
        gain_SGT = eta / answer_SG.shape[1] / tree.length * _slope(log_ratio_SGT, advantage_SG[:, :, None], objective)
        probs_SXV = np.exp(log_softmax(logits_SXV.reshape(-1, tree.tokens)).reshape(logits_SXV.shape))
        drawn_SXV, seen_SX1 = np.zeros_like(probs_SXV), np.zeros((*probs_SXV.shape[:2], 1))
        np.add.at(drawn_SXV, (every[:, :, None], state_SGT, token_SGT), gain_SGT)
        np.add.at(seen_SX1[:, :, 0], (every[:, :, None], state_SGT), gain_SGT)
        logits_SXV = logits_SXV + drawn_SXV - probs_SXV * seen_SX1
    return logits_SXV


def _slope(log_ratio: Floats, advantage: Floats, objective: Objective) -> Floats:
    """d J / d log pi of a token, J as `massflow.objectives.policy_loss` has it."""
    ratio = np.exp(np.clip(log_ratio, -LOG_RATIO_BOUND, LOG_RATIO_BOUND))
    low, high = 1.0 - objective.clip_low, 1.0 + objective.clip_high
    if objective.surrogate == "cispo":
        return np.clip(ratio, low, high) * advantage
    bound = np.inf if objective.dual_clip is None else objective.dual_clip
    free = np.where(advantage < 0.0, (ratio >= low) & (ratio <= bound), ratio <= high)
    return np.where(free & (np.abs(log_ratio) <= LOG_RATIO_BOUND), ratio * advantage, 0.0)


def _checked(rewards_Y: ArrayLike, probs_Y: ArrayLike, tokens: int) -> tuple[Tree, Floats, Floats]:
    rewards, probs = numbers("rewards_Y", rewards_Y), numbers("probs_Y", probs_Y)
    length = 0
    while tokens ** (length + 1) <= rewards.size:
        length += 1
    if length == 0 or tokens**length != rewards.size or probs.size != rewards.size or rewards.size > MOST_ANSWERS:
        raise InputError(
            f"rewards_Y and probs_Y must have tokens ** length entries, at most {MOST_ANSWERS:,}; got {rewards.size} "
            f"and {probs.size} with {tokens} tokens"
        )
    if not np.isfinite(rewards).all():
        raise InputError("rewards_Y must be finite")
    if not (probs > 0.0).all() or abs(probs.sum() - 1.0) > 1e-6:
        raise InputError(f"probs_Y must be above 0 and sum to 1 within 1e-06; it sums to {probs.sum():.9g}")
    return Tree.of(tokens, length), rewards, probs / probs.sum()
