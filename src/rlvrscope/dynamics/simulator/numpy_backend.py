"""The clear version of the simulator: NumPy, a block of seeds at once, advantages from `rlvrscope.objectives`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.inputs import Bandit, brief
from rlvrscope.dynamics.simulator.recording import Recorder
from rlvrscope.dynamics.simulator.streams import uniforms
from rlvrscope.dynamics.simulator.update_rule import UpdateRule, surrogate_derivative
from rlvrscope.dynamics.softmax import log_softmax
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, advantages

BLOCK_SEEDS = 128
"""Seeds simulated together; a finished block survives Ctrl-C."""
MAX_ENTRIES = 1 << 24
"""Numbers in the largest array of a step; policies of many actions run in smaller blocks."""
PROGRESS_STEPS = 64
"""Steps between reports of progress."""

Progress = Callable[[int], None]


def progress_callback(on_progress: Progress | None) -> Progress:
    """The function to call with the number of completed seed-steps. Raises InputError for anything else."""
    if on_progress is not None and not callable(on_progress):
        raise InputError(f"on_progress must be a function of the number of seed-steps done; got {brief(on_progress)}")
    return on_progress or (lambda done: None)


class Learner(Protocol):
    """A policy that learns. Logits may have any shape after the axis of seeds."""

    def start(self, seeds: int, /) -> Floats:
        """Initial logits of this many seeds."""
        ...

    def step(self, logits_S: Floats, keys_S: NDArray[np.uint64], step: int, /) -> Floats:
        """Logits after one step: a group drawn, then one update per epoch on it."""
        ...

    def probs(self, logits_S: Floats, /) -> Floats:
        """Probability of every action. (S, V)"""
        ...

    @property
    def entries(self) -> int:
        """Numbers that a step holds for one seed."""
        ...


def run_blocks(learner: Learner, keys_S: NDArray[np.uint64], recorder: Recorder, on_progress: Progress) -> None:
    """Simulate all seeds into `recorder`, block after block."""
    size = max(1, min(BLOCK_SEEDS, MAX_ENTRIES // learner.entries))
    steps = recorder.recording.steps
    for first in range(0, len(keys_S), size):
        block = slice(first, min(first + size, len(keys_S)))
        logits_S = learner.start(block.stop - first)
        recorder.record(block, 0, learner.probs(logits_S))
        for step in range(steps):
            logits_S = learner.step(logits_S, keys_S[block], step)
            recorder.record(block, step + 1, learner.probs(logits_S))
            if step % PROGRESS_STEPS == 0 or step + 1 == steps:
                on_progress(int(recorder.done_S.sum()))


@dataclass(frozen=True, eq=False)
class BanditLearner:
    """A softmax policy over V actions: a `Learner` with logits (S, V)."""

    bandit: Bandit
    objective: Objective
    rule: UpdateRule

    @property
    def entries(self) -> int:
        return self.rule.group_size * self.bandit.rewards_V.size

    def start(self, seeds: int) -> Floats:
        return np.tile(self.bandit.log_probs_V, (seeds, 1))

    def probs(self, logits_SV: Floats) -> Floats:
        return np.exp(log_softmax(logits_SV))

    def step(self, logits_SV: Floats, keys_S: NDArray[np.uint64], step: int) -> Floats:
        """Logits after one step: a group drawn, then one update per epoch on it."""
        rule = self.rule
        uniform_SG = uniforms(keys_S, step * rule.group_size, rule.group_size)
        log_probs_SV = log_softmax(logits_SV)
        action_SG = sample(log_probs_SV, uniform_SG)
        old_SG = np.take_along_axis(log_probs_SV, action_SG, axis=1)
        reference_SG = self.bandit.log_probs_V[action_SG]
        advantage_SG = advantages(self.bandit.rewards_V[action_SG], self.objective)
        for _ in range(rule.epochs):
            log_probs_SV = log_softmax(logits_SV)
            new_SG = np.take_along_axis(log_probs_SV, action_SG, axis=1)
            gradient_SG = surrogate_derivative(rule, new_SG - old_SG, advantage_SG, reference_SG - new_SG)
            logits_SV = logits_SV + rule.rate * self._direction(log_probs_SV, action_SG, gradient_SG)
        return logits_SV

    def _direction(self, log_probs_SV: Floats, action_SG: Ints, gradient_SG: Floats) -> Floats:
        """sum_i g_i (1[a_i = v] - pi_v)."""
        drawn_SV = np.zeros_like(log_probs_SV)
        np.add.at(drawn_SV, (np.arange(len(drawn_SV))[:, None], action_SG), gradient_SG)
        if self.rule.balanced:
            return drawn_SV
        return drawn_SV - np.exp(log_probs_SV) * gradient_SG.sum(axis=1, keepdims=True)


def sample(log_probs_SV: Floats, uniform_SG: Floats) -> Ints:
    """Inverse-CDF sampling: the first action whose cumulative probability exceeds the draw. (S, G)"""
    cumulative_SV = np.cumsum(np.exp(log_probs_SV), axis=1)
    targets_SG = uniform_SG * cumulative_SV[:, -1:]
    return (cumulative_SV[:, None, :] <= targets_SG[:, :, None]).sum(axis=2)
