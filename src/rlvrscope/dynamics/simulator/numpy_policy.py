"""The simulator's clear version: NumPy, many seeds at once, advantages from `rlvrscope.objectives`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvrscope.dynamics.inputs import Bandit, Floats
from rlvrscope.dynamics.simulator.rule import Rule
from rlvrscope.dynamics.simulator.streams import uniforms
from rlvrscope.dynamics.slope import slope
from rlvrscope.objectives import Objective, advantages


@dataclass(frozen=True, eq=False)
class Plain:
    """What stays the same from step to step."""

    state: Bandit
    objective: Objective
    rule: Rule

    @property
    def entries(self) -> int:
        return self.rule.group_size * self.state.rewards_V.size

    def start(self, seeds: int) -> Floats:
        return np.tile(self.state.log_probs_V, (seeds, 1))

    def probs(self, logits_SV: Floats) -> Floats:
        return np.exp(log_softmax(logits_SV))

    def step(self, logits_SV: Floats, keys_S: NDArray[np.uint64], step: int) -> Floats:
        """The logits after one step: a group drawn, then one update for each epoch over it."""
        rule = self.rule
        draws_SG = uniforms(keys_S, step * rule.group_size, rule.group_size)
        log_probs_SV = log_softmax(logits_SV)
        action_SG = draw(log_probs_SV, draws_SG)
        old_SG = np.take_along_axis(log_probs_SV, action_SG, axis=1)
        advantage_SG = advantages(self.state.rewards_V[action_SG], self.objective)
        for _ in range(rule.epochs):
            log_probs_SV = log_softmax(logits_SV)
            new_SG = np.take_along_axis(log_probs_SV, action_SG, axis=1)
            slope_SG = slope(rule, new_SG - old_SG, advantage_SG, self.state.log_probs_V[action_SG] - new_SG)
            logits_SV = logits_SV + rule.rate * self._direction(log_probs_SV, action_SG, slope_SG)
        return logits_SV

    def _direction(self, log_probs_SV: Floats, action_SG: NDArray[np.int64], slope_SG: Floats) -> Floats:
        """sum_i g_i (1[a_i = v] - pi_v)."""
        drawn_SV = np.zeros_like(log_probs_SV)
        np.add.at(drawn_SV, (np.arange(len(drawn_SV))[:, None], action_SG), slope_SG)
        if self.rule.balanced:
            return drawn_SV
        return drawn_SV - np.exp(log_probs_SV) * slope_SG.sum(axis=1, keepdims=True)


def draw(log_probs_SV: Floats, draws_SG: Floats) -> NDArray[np.int64]:
    """The first action whose cumulative probability is above the draw. (S, G)"""
    cumulative_SV = np.cumsum(np.exp(log_probs_SV), axis=1)
    targets_SG = draws_SG * cumulative_SV[:, -1:]
    return (cumulative_SV[:, None, :] <= targets_SG[:, :, None]).sum(axis=2)


def log_softmax(logits_SV: Floats) -> Floats:
    """Over the last axis."""
    shifted_SV = logits_SV - logits_SV.max(axis=-1, keepdims=True)
    return shifted_SV - np.log(np.exp(shifted_SV).sum(axis=-1, keepdims=True))
