"""The simulator's clear version: NumPy, all seeds at once, advantages from `massflow.objectives`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from massflow.dynamics.inputs import Bandit, Floats
from massflow.dynamics.rule import Rule
from massflow.dynamics.streams import uniforms
from massflow.objectives import Objective, advantages
from massflow.objectives.surrogate import LOG_RATIO_BOUND


@dataclass(frozen=True, eq=False)
class Plain:
    """What stays the same from step to step."""

    state: Bandit
    objective: Objective
    rule: Rule

    def step(self, logits_SV: Floats, keys_S: NDArray[np.uint64], step: int) -> Floats:
        """The logits after one step: a group drawn, then one update for each epoch over it."""
        rule = self.rule
        draws_SG = uniforms(keys_S, step * rule.group_size, rule.group_size)
        old_SV = log_softmax(logits_SV)
        action_SG = draw(old_SV, draws_SG)
        advantage_SG = advantages(self.state.rewards_V[action_SG], self.objective)
        for _ in range(rule.epochs):
            log_probs_SV = log_softmax(logits_SV)
            slope_SG = self._slope(log_probs_SV, old_SV, action_SG, advantage_SG)
            logits_SV = logits_SV + rule.rate * self._direction(log_probs_SV, action_SG, slope_SG)
        return logits_SV

    def _slope(
        self, log_probs_SV: Floats, old_SV: Floats, action_SG: NDArray[np.int64], advantage_SG: Floats
    ) -> Floats:
        """d J / d log pi(a_i), J the clipped surrogate less the KL term, as `policy_loss` has them."""
        rule = self.rule
        log_prob_SG = np.take_along_axis(log_probs_SV, action_SG, axis=1)
        log_ratio_SG = log_prob_SG - np.take_along_axis(old_SV, action_SG, axis=1)
        ratio_SG = np.exp(np.clip(log_ratio_SG, -LOG_RATIO_BOUND, LOG_RATIO_BOUND))
        low, high = 1.0 - rule.clip_low, 1.0 + rule.clip_high
        if rule.cispo:
            slope_SG = np.clip(ratio_SG, low, high) * advantage_SG
        else:
            least = np.where(advantage_SG < 0.0, low, 0.0)
            most = np.where(advantage_SG < 0.0, rule.dual_clip, high)
            free = (ratio_SG >= least) & (ratio_SG <= most) & (np.abs(log_ratio_SG) <= LOG_RATIO_BOUND)
            slope_SG = np.where(free, ratio_SG * advantage_SG, 0.0)
        if rule.kl_coef > 0.0:
            away_SG = self.state.log_probs_V[action_SG] - log_prob_SG
            near = np.abs(away_SG) <= LOG_RATIO_BOUND
            slope_SG = slope_SG + rule.kl_coef * np.where(near, np.expm1(np.where(near, away_SG, 0.0)), 0.0)
        return slope_SG

    def _direction(self, log_probs_SV: Floats, action_SG: NDArray[np.int64], slope_SG: Floats) -> Floats:
        """sum_i g_i (1[a_i = v] - pi_v)."""
        drawn_SV = np.zeros_like(log_probs_SV)
        np.add.at(drawn_SV, (np.arange(len(drawn_SV))[:, None], action_SG), slope_SG)
        if self.rule.balanced:
            return drawn_SV
        return drawn_SV - np.exp(log_probs_SV) * slope_SG.sum(axis=1, keepdims=True)


def run_plain(plain: Plain, keys_S: NDArray[np.uint64], steps: int, after: Callable[[int, Floats], None]) -> None:
    """Run all seeds; after(step, probs_SV) is called at the start (step 0) and after every step."""
    logits_SV = np.tile(plain.state.log_probs_V, (len(keys_S), 1))
    after(0, np.exp(log_softmax(logits_SV)))
    for step in range(steps):
        logits_SV = plain.step(logits_SV, keys_S, step)
        after(step + 1, np.exp(log_softmax(logits_SV)))


def draw(log_probs_SV: Floats, draws_SG: Floats) -> NDArray[np.int64]:
    """The first action whose cumulative probability is above the draw. (S, G)"""
    cumulative_SV = np.cumsum(np.exp(log_probs_SV), axis=1)
    targets_SG = draws_SG * cumulative_SV[:, -1:]
    return np.array(
        [np.searchsorted(row, wanted, side="right") for row, wanted in zip(cumulative_SV, targets_SG, strict=True)]
    )


def log_softmax(logits_SV: Floats) -> Floats:
    shifted_SV = logits_SV - logits_SV.max(axis=1, keepdims=True)
    return shifted_SV - np.log(np.exp(shifted_SV).sum(axis=1, keepdims=True))
