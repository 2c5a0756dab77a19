"""Every group that can be drawn: count vectors over distinct rewards, their chances and the weights in them.

An objective sees rewards only, so actions of equal reward are one class: V = 50,000 actions with rewards 0 and 1 have
n + 1 count vectors, not C(n + V - 1, n).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from rlvrscope.dynamics.group_independence import check_equals_alike, check_groups_apart
from rlvrscope.dynamics.inputs import Floats, is_relative, signal
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, advantages
from rlvrscope.objectives.shape import FunctionShape

MAX_GROUPS = 5_000_000
"""Count vectors that are listed; beyond, the refusal names other ways."""
MAX_REWARDS = 500_000_000
"""Rewards of all their rollouts, whose weights are computed: some 10 seconds."""
MAX_COUNTS = 50_000_000
"""Counts of all of them, held in memory with weights of the same shape: some 1.5 GB."""
CHUNK = 1 << 16
"""Rewards held at once while weights are computed: they stay in the processor's cache."""
IMPOSSIBLE = -1e300
"""In place of log 0, so that none of them is drawn 0 times without 0 * inf."""

Total = Callable[[Any], float]
"""A sum of a vector: math.fsum, or a faster one."""


@dataclass(frozen=True, eq=False)
class Groups:
    """All groups of n rollouts over R classes of equal reward.

    class_V: the class of each action. counts_NR: the count vectors. log_ways_N: log (n-1)! / prod_r C_r!.
    weights_NR: the weight w of a rollout of class r in group N (0 where the group has none).
    """

    class_V: NDArray[np.int64]
    counts_NR: Floats
    log_ways_N: Floats
    weights_NR: Floats

    @classmethod
    def of(cls, rewards_V: Floats, objective: Objective, group_size: int) -> Groups:
        """Weights come from `rlvrscope.objectives.advantages`. Raises InputError for more than 5 million groups."""
        seen_V = signal(rewards_V, objective) if objective.shape is None else rewards_V  # shapes see rewards
        _, first_R, class_V = np.unique(seen_V, return_index=True, return_inverse=True)
        size = group_size if is_relative(objective) else 1  # without a comparison the others don't matter
        check_size(size, len(first_R))
        check_groups_apart(rewards_V, objective, size)
        counts_NR = count_vectors(size, len(first_R))
        log_ways_N = gammaln(size) - gammaln(counts_NR + 1.0).sum(axis=1)
        return cls(
            class_V, counts_NR.astype(np.float64), log_ways_N, group_weights(rewards_V[first_R], counts_NR, objective)
        )

    def effective_advantage(self, log_probs_V: Floats, total: Total = math.fsum) -> Floats:
        """At_v = E[w_i | a_i = v], the other n - 1 rollouts drawn from the policy. (V,)

        The chance of the others is (n-1)! / prod_u (C_u - [u = v])! prod_u pi_u^(C_u - [u = v]), summed in log space.
        """
        log_probs_R = np.full(self.counts_NR.shape[1], -np.inf)
        np.logaddexp.at(log_probs_R, self.class_V, log_probs_V)
        log_probs_R = np.maximum(log_probs_R, IMPOSSIBLE)
        found_R = np.zeros(len(log_probs_R))
        for r, weight_N in enumerate(self.weights_NR.T):
            there = np.flatnonzero(weight_N)
            others_NR = self.counts_NR[there]
            log_own_N = np.log(others_NR[:, r])
            others_NR[:, r] -= 1.0
            chance_N = np.exp(self.log_ways_N[there] + log_own_N + others_NR @ log_probs_R)
            found_R[r] = total(chance_N * weight_N[there])
        return found_R[self.class_V]


def count_vectors(group_size: int, classes: int) -> NDArray[np.int32]:
    """Every way to split n rollouts among R classes: (N, R), N = C(n + R - 1, R - 1), rows in lexicographic order."""
    rows, left = np.zeros((1, 0), dtype=np.int32), np.array([group_size], dtype=np.int32)
    for _ in range(classes - 1):
        parent = np.repeat(np.arange(len(left)), left + 1)
        ends = np.cumsum(left + 1)
        here = (np.arange(len(parent)) - np.repeat(ends - left - 1, left + 1)).astype(np.int32)
        rows, left = np.column_stack([rows[parent], here]), left[parent] - here
    return np.column_stack([rows, left])


def group_weights(rewards_R: Floats, counts_NR: NDArray[np.int32], objective: Objective) -> Floats:
    """The weight of a rollout of each class in each group, 0 where the group has none of it. (N, R)"""
    size = int(counts_NR[0].sum())
    weights_NR = np.zeros(counts_NR.shape)
    rows = max(1, CHUNK // size)
    for start in range(0, len(counts_NR), rows):
        part = counts_NR[start : start + rows]
        class_NG = np.repeat(np.tile(np.arange(len(rewards_R)), len(part)), part.ravel()).reshape(len(part), size)
        advantage_NG = advantages(rewards_R[class_NG], objective)
        at_N, at_R = np.nonzero(part)
        place = (np.cumsum(part, axis=1) - part)[at_N, at_R]
        weights_NR[start + at_N, at_R] = advantage_NG[at_N, place]
        if isinstance(objective.shape, FunctionShape):
            first_NG = np.take_along_axis(weights_NR[start : start + rows], class_NG, axis=1)
            check_equals_alike(objective, bool(np.allclose(advantage_NG, first_NG, rtol=1e-9, atol=1e-9)))
    return weights_NR


def check_size(group_size: int, classes: int) -> None:
    """Raises InputError where listing the groups would take too long or too much memory."""
    log_groups = float(gammaln(group_size + classes) - gammaln(group_size + 1) - gammaln(classes))
    too_many = {
        "count vectors": (log_groups, MAX_GROUPS),
        "rewards in their count vectors": (log_groups + math.log(group_size), MAX_REWARDS),
        "counts in their count vectors": (log_groups + math.log(classes), MAX_COUNTS),
    }
    for what, (log_size, most) in too_many.items():
        if log_size > math.log(most) + 1e-9:
            raise InputError(
                f"{group_size:,} rollouts over {classes:,} distinct rewards make {_rough(log_size)} {what}, and "
                f"at most {most:,} are summed: use simulate (samples), group_size=inf (the limit), or fewer distinct "
                "rewards"
            )


def _rough(log_size: float) -> str:
    """Three digits of a number that may be beyond a float."""
    return f"{math.exp(log_size):.3g}" if log_size < 690.0 else f"about 10^{log_size / math.log(10):.0f}"
