"""Answers of several tokens: a tabular policy over T tokens of V choices, with the reward at the end.

Every prefix is a state with logits of its own, so the whole policy is a table of probabilities over V^T answers. Token
and sequence ratios differ here, and so do GRPO and GSPO once a group is used for several updates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlvrscope.dynamics.group_independence import check_groups_apart
from rlvrscope.dynamics.inputs import Floats, bandit, check_count, check_generator, known_objective, numbers
from rlvrscope.dynamics.simulator.loop import Progress, reporter, run_blocks
from rlvrscope.dynamics.simulator.numpy_policy import draw, log_softmax
from rlvrscope.dynamics.simulator.record import Interrupted, Kept, Wanted
from rlvrscope.dynamics.simulator.rule import Rule
from rlvrscope.dynamics.simulator.simulate import checked_rule
from rlvrscope.dynamics.simulator.streams import seed_keys, uniforms
from rlvrscope.dynamics.slope import slope
from rlvrscope.dynamics.trajectory import Trajectory
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, advantages

MAX_ANSWERS = 4096
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
        return log_softmax(logits_SXV)[:, self.state_YT, self.token_YT]

    def start(self, probs_Y: Floats) -> Floats:
        """Logits of every state that give these probabilities of answers. (X, V)"""
        return np.log(self.through(probs_Y))

    def through(self, values_Y: Floats) -> Floats:
        """The sum over answers that take token v at state x. (X, V)"""
        found_XV = np.zeros((self.states, self.tokens))
        for t in range(self.length):
            np.add.at(found_XV, (self.state_YT[:, t], self.token_YT[:, t]), values_Y)
        return found_XV


@dataclass(frozen=True, eq=False)
class Sequences:
    """A tabular policy over answers that learns: a `loop.Walk` with logits (S, X, V)."""

    tree: Tree
    rewards_Y: Floats
    start_XV: Floats
    objective: Objective
    rule: Rule

    @property
    def entries(self) -> int:
        return self.rule.group_size * len(self.rewards_Y) * self.tree.length

    def start(self, seeds: int) -> Floats:
        return np.tile(self.start_XV, (seeds, 1, 1))

    def probs(self, logits_SXV: Floats) -> Floats:
        return np.exp(self.tree.token_log_probs(logits_SXV).sum(axis=2))

    def step(self, logits_SXV: Floats, keys_S: NDArray[np.uint64], step: int) -> Floats:
        """A group of answers a seed, then one update for each epoch over it."""
        rule, tree, every = self.rule, self.tree, np.arange(len(logits_SXV))[:, None]
        draws_SG = uniforms(keys_S, step * rule.group_size, rule.group_size)
        old_SYT = tree.token_log_probs(logits_SXV)
        answer_SG = draw(old_SYT.sum(axis=2), draws_SG)
        old_SGT = old_SYT[every, answer_SG]
        advantage_SG1 = advantages(self.rewards_Y[answer_SG], self.objective)[:, :, None]
        reference_SGT = tree.token_log_probs(self.start_XV[None])[0, answer_SG]
        for _ in range(rule.epochs):
            new_SGT = tree.token_log_probs(logits_SXV)[every, answer_SG]
            log_ratio_SGT = new_SGT - old_SGT
            if self.objective.ratio == "sequence":
                log_ratio_SGT = np.broadcast_to(log_ratio_SGT.mean(axis=2, keepdims=True), log_ratio_SGT.shape)
            gain_SGT = rule.rate / tree.length * slope(rule, log_ratio_SGT, advantage_SG1, reference_SGT - new_SGT)
            logits_SXV = logits_SXV + self._direction(logits_SXV, answer_SG, gain_SGT)
        return logits_SXV

    def _direction(self, logits_SXV: Floats, answer_SG: NDArray[np.int64], gain_SGT: Floats) -> Floats:
        """sum_i sum_t g_it (1[token = v] - pi(v | state)), at the state that answer i passes at t."""
        seed = np.arange(len(logits_SXV))[:, None, None]
        state_SGT, token_SGT = self.tree.state_YT[answer_SG], self.tree.token_YT[answer_SG]
        drawn_SXV = np.zeros_like(logits_SXV)
        np.add.at(drawn_SXV, (seed, state_SGT, token_SGT), gain_SGT)
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
    """Paths of a policy over answers of T tokens, rewarded at the end: probs_STV has one column an answer (V^T).

        rho_t = pi / pi_old of a token, or their geometric mean over the answer (GSPO); clipped as the objective says
        dz[state, v] = eta / n sum_i sum_t g_it (1[token = v] - pi(v | state)) / T

    rewards_Y, probs_Y: (V^T,), answers in lexicographic order; tokens: V. All answers have T tokens, so the
    aggregations agree. Clear NumPy, for small tables. The other knobs are those of `simulate`, the KL term one of
    every token.
    Raises InputError for bad input, lengths that are no power of `tokens`, or more than 4,096 answers; Interrupted on
    Ctrl-C.
    """
    chosen = known_objective(objective)
    rule = checked_rule(chosen, group_size, learning_rate, kl_coef, inner_epochs, clip)
    tree, rewards, probs = checked_answers(rewards_Y, probs_Y, check_count("tokens", tokens, 2))
    check_groups_apart(rewards, chosen, rule.group_size)
    wanted = Wanted.of(seeds, steps, record_every, watch, threshold, rewards.size, keep_probs)
    keys_S, kept = seed_keys(check_generator(rng), wanted.seeds), Kept.empty(wanted)
    try:
        walk = Sequences(tree, rewards, tree.start(probs), chosen, rule)
        run_blocks(walk, keys_S, kept, reporter(on_progress))
    except KeyboardInterrupt:
        raise Interrupted(kept.finished()) from None
    return kept.trajectory()


def checked_answers(rewards_Y: ArrayLike, probs_Y: ArrayLike, tokens: int) -> tuple[Tree, Floats, Floats]:
    """The tree with rewards and start, checked as those of a bandit are."""
    size, length = numbers("rewards_Y", rewards_Y).size, 0
    while tokens ** (length + 1) <= size:
        length += 1
    if length == 0 or tokens**length != size or size > MAX_ANSWERS:
        raise InputError(
            f"rewards_Y must have tokens ** length entries, at most {MAX_ANSWERS:,}; got {size} with {tokens} tokens"
        )
    state = bandit(rewards_Y, probs_Y, None, axis="Y")
    if not state.probs_V.all():
        raise InputError("probs_Y must be above 0: every token has a logit")
    return Tree.of(tokens, length), state.rewards_V, state.probs_V
