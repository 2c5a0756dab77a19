"""Completions of several tokens: a tabular policy over T tokens of V choices, with the reward at the end.

Every prefix is a state with its own logits, so the whole policy is a table of probabilities over V^T completions. Token
and sequence ratios differ here, and so do GRPO and GSPO once a group is used for several updates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.exact import effective_advantage_function
from rlvrscope.dynamics.flow import flow_steps
from rlvrscope.dynamics.groups import check_group_independence
from rlvrscope.dynamics.inputs import check_count, check_generator, check_rate, make_bandit, vector
from rlvrscope.dynamics.simulator.numpy_backend import Progress, progress_callback, run_blocks, sample
from rlvrscope.dynamics.simulator.recording import Interrupted, Recorder, Recording
from rlvrscope.dynamics.simulator.streams import seed_keys, uniforms
from rlvrscope.dynamics.simulator.update_rule import UpdateRule, surrogate_derivative, update_rule
from rlvrscope.dynamics.softmax import array_sum, log_softmax
from rlvrscope.dynamics.trajectory import Trajectory
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, advantages, objective_from

MAX_COMPLETIONS = 4096
"""Completions in the table of the policy."""


@dataclass(frozen=True, eq=False)
class TokenTree:
    """Completions as paths in a tree of prefixes: state_YT, the states passed (the root is 0); token_YT, the tokens."""

    tokens: int
    length: int
    state_YT: Ints
    token_YT: Ints

    @classmethod
    def complete(cls, tokens: int, length: int) -> TokenTree:
        """The tree of all tokens^length completions, in lexicographic order."""
        completions = np.arange(tokens**length)
        token_YT = np.stack([completions // tokens ** (length - 1 - t) % tokens for t in range(length)], axis=1)
        first_T = np.array([sum(tokens**u for u in range(t)) for t in range(length)])
        prefix_YT = np.stack([completions // tokens ** (length - t) for t in range(length)], axis=1)
        return cls(tokens, length, first_T + prefix_YT, token_YT)

    @property
    def states(self) -> int:
        return sum(self.tokens**t for t in range(self.length))

    def token_log_probs(self, logits_SXV: Floats) -> Floats:
        """log pi of every token of every completion. (S, Y, T)"""
        return log_softmax(logits_SXV)[:, self.state_YT, self.token_YT]

    def initial_logits(self, probs_Y: Floats) -> Floats:
        """Logits of every state that give the completions these probabilities. (X, V)"""
        return np.log(self.sum_through(probs_Y))

    def sum_through(self, values_Y: Floats) -> Floats:
        """Sum over the completions that take token v in state x. (X, V)"""
        sum_XV = np.zeros((self.states, self.tokens))
        for t in range(self.length):
            np.add.at(sum_XV, (self.state_YT[:, t], self.token_YT[:, t]), values_Y)
        return sum_XV


@dataclass(frozen=True, eq=False)
class SequenceLearner:
    """A tabular policy over completions: a `numpy_backend.Learner` with logits (S, X, V)."""

    tree: TokenTree
    rewards_Y: Floats
    start_XV: Floats
    objective: Objective
    rule: UpdateRule

    @property
    def entries(self) -> int:
        return self.rule.group_size * len(self.rewards_Y) * self.tree.length

    def start(self, seeds: int) -> Floats:
        return np.tile(self.start_XV, (seeds, 1, 1))

    def probs(self, logits_SXV: Floats) -> Floats:
        return np.exp(self.tree.token_log_probs(logits_SXV).sum(axis=2))

    def step(self, logits_SXV: Floats, keys_S: NDArray[np.uint64], step: int) -> Floats:
        """Logits after one step: a group of completions per seed, then one update per epoch on it."""
        rule, tree, seed_S1 = self.rule, self.tree, np.arange(len(logits_SXV))[:, None]
        uniform_SG = uniforms(keys_S, step * rule.group_size, rule.group_size)
        old_SYT = tree.token_log_probs(logits_SXV)
        completion_SG = sample(old_SYT.sum(axis=2), uniform_SG)
        old_SGT = old_SYT[seed_S1, completion_SG]
        advantage_SG1 = advantages(self.rewards_Y[completion_SG], self.objective)[:, :, None]
        reference_SGT = tree.token_log_probs(self.start_XV[None])[0, completion_SG]
        for _ in range(rule.epochs):
            new_SGT = tree.token_log_probs(logits_SXV)[seed_S1, completion_SG]
            log_ratio_SGT = new_SGT - old_SGT
            if self.objective.ratio == "sequence":
                log_ratio_SGT = np.broadcast_to(log_ratio_SGT.mean(axis=2, keepdims=True), log_ratio_SGT.shape)
            gradient_SGT = surrogate_derivative(rule, log_ratio_SGT, advantage_SG1, reference_SGT - new_SGT)
            step_SGT = rule.rate / tree.length * gradient_SGT
            logits_SXV = logits_SXV + self._direction(logits_SXV, completion_SG, step_SGT)
        return logits_SXV

    def _direction(self, logits_SXV: Floats, completion_SG: Ints, step_SGT: Floats) -> Floats:
        """sum_i sum_t g_it (1[token = v] - pi(v | state)), in the state that completion i passes at t."""
        seed_S11 = np.arange(len(logits_SXV))[:, None, None]
        state_SGT, token_SGT = self.tree.state_YT[completion_SG], self.tree.token_YT[completion_SG]
        drawn_SXV = np.zeros_like(logits_SXV)
        np.add.at(drawn_SXV, (seed_S11, state_SGT, token_SGT), step_SGT)
        return drawn_SXV - np.exp(log_softmax(logits_SXV)) * drawn_SXV.sum(axis=2, keepdims=True)


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
    kl_coef: float | None = None,
    inner_epochs: int = 1,
    clip: tuple[float, float] | None = None,
    watch: Mapping[str, Sequence[int]] | None = None,
    threshold: float = 0.5,
    keep_probs: bool = True,
    on_progress: Progress | None = None,
) -> Trajectory:
    """Paths of a policy over completions of T tokens, rewarded at the end; probs_STV has one column per completion.

        rho_t = pi / pi_old of a token, or their geometric mean over the completion (GSPO); clipped as in the objective
        dz[state, v] = eta / n sum_i sum_t g_it (1[token = v] - pi(v | state)) / T

    rewards_Y, probs_Y: (V^T,), completions in lexicographic order; tokens: V. All completions have T tokens, so the
    aggregations agree. NumPy, for small tables. The other arguments are those of `simulate`, the KL term per token.
    Raises InputError for bad input, a size that is not a power of `tokens`, or more than 4,096 completions; Interrupted
    on Ctrl-C.
    """
    objective = objective_from(objective)
    rule = update_rule(objective, group_size, learning_rate, kl_coef, inner_epochs, clip)
    tree, rewards, probs = _checked_completions(rewards_Y, probs_Y, tokens)
    check_group_independence(rewards, objective, rule.group_size)
    recording = Recording.checked(seeds, steps, record_every, watch, threshold, rewards.size, keep_probs)
    keys_S, recorder = seed_keys(check_generator(rng), recording.seeds), Recorder.empty(recording)
    learner = SequenceLearner(tree, rewards, tree.initial_logits(probs), objective, rule)
    try:
        run_blocks(learner, keys_S, recorder, progress_callback(on_progress))
    except KeyboardInterrupt:
        raise Interrupted(recorder.finished()) from None
    return recorder.trajectory()


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
    """Mean field of `simulate_sequences`: expected on-policy updates, iterated.

        E[dz(x, v)] = (eta / T) pi(x) pi(v | x) (At_xv - sum_u pi(u | x) At_xu),   At_xv = E[At_y | y passes x, v]

    So a token moves in its state x like an action of a bandit, by the mean effective advantage of the completions it
    leads to, in proportion to the chance of reaching x. On policy this is the exact expectation of an update; several
    updates per group follow it while ratios are near 1.
    rewards_Y, probs_Y: (V^T,); the result has one column per completion and one row, seed 0.
    Raises InputError for bad input, as `expected_update` and `simulate_sequences` do.
    """
    tree, rewards, probs = _checked_completions(rewards_Y, probs_Y, tokens)
    eta = check_rate("learning_rate", learning_rate)
    steps_T = flow_steps(steps, record_every, rewards.size)
    advantage = effective_advantage_function(rewards, objective, group_size)
    logits_XV, rows, recorded = tree.initial_logits(probs), [], set(steps_T.tolist())
    for step in range(steps + 1):
        log_probs_Y = tree.token_log_probs(logits_XV[None])[0].sum(axis=1)
        if step in recorded:
            rows.append(np.exp(log_probs_Y))
        push_XV = tree.sum_through(np.exp(log_probs_Y) * advantage(log_probs_Y, array_sum))
        pull_XV = np.exp(log_softmax(logits_XV)) * push_XV.sum(axis=1, keepdims=True)
        logits_XV = logits_XV + eta / tree.length * (push_XV - pull_XV)
    return Trajectory.of_probs(np.array([0]), steps_T, np.array(rows)[None])


def _checked_completions(rewards_Y: ArrayLike, probs_Y: ArrayLike, tokens: int) -> tuple[TokenTree, Floats, Floats]:
    """The tree, rewards and initial probabilities, checked like those of a bandit."""
    tokens = check_count("tokens", tokens, 2)
    size, length = vector("rewards_Y", rewards_Y).size, 0
    while tokens ** (length + 1) <= size:
        length += 1
    if length == 0 or tokens**length != size or size > MAX_COMPLETIONS:
        raise InputError(
            f"rewards_Y must have tokens ** length entries, at most {MAX_COMPLETIONS:,}; "
            f"got {size} with {tokens} tokens"
        )
    bandit = make_bandit(rewards_Y, probs_Y, None, axis="Y")
    if not bandit.probs_V.all():
        raise InputError("probs_Y must be above 0: every token has a logit")
    return TokenTree.complete(tokens, length), bandit.rewards_V, bandit.probs_V
