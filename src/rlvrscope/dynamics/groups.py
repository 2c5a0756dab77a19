"""Enumeration of every group that can be drawn: count vectors over distinct rewards, their chances and weights.

An objective sees rewards only, so actions of equal reward form one class: V = 50,000 actions with rewards 0 and 1 have
n + 1 count vectors, not C(n + V - 1, n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.inputs import is_relative, signal
from rlvrscope.dynamics.softmax import Sum
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, advantages
from rlvrscope.objectives.shape import BatchBalance, FunctionShape
from rlvrscope.seeding import generator

MAX_GROUPS = 5_000_000
"""Count vectors to enumerate."""
MAX_REWARDS = 500_000_000
"""Rewards in all count vectors, about 10 seconds of advantages."""
MAX_COUNTS = 50_000_000
"""Counts in all count vectors, about 1.5 GB with their weights."""
CHUNK_REWARDS = 1 << 16
"""Rewards per call of `advantages`, so that they stay in the processor's cache."""
LOG_ZERO = -1e300
"""Stands in for log 0, so that 0 draws of an impossible action give 0, not 0 * inf = NaN."""
CHECKED_GROUPS = 32
"""Groups on which a user's function is checked for independence; fewer if they hold more than MAX_CHECKED_REWARDS."""
MAX_CHECKED_REWARDS = 1 << 20
TOLERANCE = 1e-9
"""Absolute and relative difference below which two weights are equal."""


@dataclass(frozen=True, eq=False)
class Groups:
    """All groups of n rollouts over R classes of equal reward.

    class_V: class of each action. counts_NR: count vectors. log_ways_N: log (n-1)! / prod_r C_r!.
    weights_NR: weight w of a rollout of class r in group N (0 if the group has none).
    """

    class_V: Ints
    counts_NR: Floats
    log_ways_N: Floats
    weights_NR: Floats

    @classmethod
    def enumerate(cls, rewards_V: Floats, objective: Objective, group_size: int) -> Groups:
        """List the groups, weighted by `rlvrscope.objectives.advantages`. Raises InputError if there are too many."""
        signal_V = signal(rewards_V, objective) if objective.shape is None else rewards_V  # shapes see rewards
        _, first_R, class_V = np.unique(signal_V, return_index=True, return_inverse=True)
        size = group_size if is_relative(objective) else 1  # without a comparison the other rollouts don't matter
        check_size(size, len(first_R))
        check_group_independence(rewards_V, objective, size)
        counts_NR = count_vectors(size, len(first_R))
        log_ways_N = gammaln(size) - gammaln(counts_NR + 1.0).sum(axis=1)
        weights_NR = group_weights(rewards_V[first_R], counts_NR, objective)
        return cls(class_V, counts_NR.astype(np.float64), log_ways_N, weights_NR)

    def effective_advantage(self, log_probs_V: Floats, total: Sum = math.fsum) -> Floats:
        """At_v = E[w_i | a_i = v], the other n - 1 rollouts drawn from the policy. Shape (V,).

        The chance of the others is (n-1)! / prod_u (C_u - [u = v])! prod_u pi_u^(C_u - [u = v]), computed in log space.
        """
        log_probs_R = np.full(self.counts_NR.shape[1], -np.inf)
        np.logaddexp.at(log_probs_R, self.class_V, log_probs_V)
        log_probs_R = np.maximum(log_probs_R, LOG_ZERO)
        effective_R = np.zeros(len(log_probs_R))
        for r, weight_N in enumerate(self.weights_NR.T):
            nonzero = np.flatnonzero(weight_N)
            others_NR = self.counts_NR[nonzero]
            log_count_N = np.log(others_NR[:, r])
            others_NR[:, r] -= 1.0
            chance_N = np.exp(self.log_ways_N[nonzero] + log_count_N + others_NR @ log_probs_R)
            effective_R[r] = total(chance_N * weight_N[nonzero])
        return effective_R[self.class_V]


def count_vectors(group_size: int, classes: int) -> NDArray[np.int32]:
    """Every way to split n rollouts among R classes: (N, R), N = C(n + R - 1, R - 1), rows in lexicographic order."""
    rows, left = np.zeros((1, 0), dtype=np.int32), np.array([group_size], dtype=np.int32)
    for _ in range(classes - 1):
        parent = np.repeat(np.arange(len(left)), left + 1)
        ends = np.cumsum(left + 1)
        count = (np.arange(len(parent)) - np.repeat(ends - left - 1, left + 1)).astype(np.int32)
        rows, left = np.column_stack([rows[parent], count]), left[parent] - count
    return np.column_stack([rows, left])


def group_weights(rewards_R: Floats, counts_NR: NDArray[np.int32], objective: Objective) -> Floats:
    """Weight of a rollout of each class in each group, 0 if no rollout is of that class. Shape (N, R).

    Raises InputError if rollouts of one group and one reward get different weights.
    """
    size = int(counts_NR[0].sum())
    weights_NR = np.zeros(counts_NR.shape)
    rows = max(1, CHUNK_REWARDS // size)
    for start in range(0, len(counts_NR), rows):
        part_NR = counts_NR[start : start + rows]
        class_NG = np.repeat(np.tile(np.arange(len(rewards_R)), len(part_NR)), part_NR.ravel())
        class_NG = class_NG.reshape(len(part_NR), size)
        advantage_NG = advantages(rewards_R[class_NG], objective)
        row, r = np.nonzero(part_NR)
        first_rollout = (np.cumsum(part_NR, axis=1) - part_NR)[row, r]
        weights_NR[start + row, r] = advantage_NG[row, first_rollout]
        if isinstance(objective.shape, FunctionShape):
            expected_NG = np.take_along_axis(weights_NR[start : start + rows], class_NG, axis=1)
            if not np.allclose(advantage_NG, expected_NG, rtol=TOLERANCE, atol=TOLERANCE):
                raise InputError(
                    f"objective {objective.name!r} weighs rollouts of one group and one reward differently, and groups "
                    "are summed by their counts: use simulate, or a function that ignores the order of rollouts"
                )
    return weights_NR


def check_size(group_size: int, classes: int) -> None:
    """Raise InputError if enumerating the groups would take too long or too much memory."""
    log_groups = float(gammaln(group_size + classes) - gammaln(group_size + 1) - gammaln(classes))
    limits = {
        "count vectors": (log_groups, MAX_GROUPS),
        "rewards in their count vectors": (log_groups + math.log(group_size), MAX_REWARDS),
        "counts in their count vectors": (log_groups + math.log(classes), MAX_COUNTS),
    }
    for name, (log_size, limit) in limits.items():
        if log_size > math.log(limit) + 1e-9:
            raise InputError(
                f"{group_size:,} rollouts over {classes:,} distinct rewards make {_rough(log_size)} {name}, and "
                f"at most {limit:,} are summed: use simulate (samples), group_size=inf (the limit), or fewer distinct "
                "rewards"
            )


def _rough(log_size: float) -> str:
    """Three digits of a number that may exceed the range of a float."""
    return f"{math.exp(log_size):.3g}" if log_size < 690.0 else f"about 10^{log_size / math.log(10):.0f}"


def check_group_independence(rewards_V: Floats, objective: Objective, group_size: int) -> None:
    """Raise InputError if a shape weighs a group differently when other groups share the batch.

    In the dynamics the groups of a batch belong to different seeds, that is to separate trainings.
    """
    if not isinstance(objective.shape, FunctionShape | BatchBalance):
        return
    groups = max(2, min(CHECKED_GROUPS, MAX_CHECKED_REWARDS // group_size))
    rewards_PG = generator(0, "group independence").choice(rewards_V, size=(groups, group_size))
    batch_PG = advantages(rewards_PG, objective)
    single_PG = np.concatenate([advantages(row_G[None], objective) for row_G in rewards_PG])
    if not np.allclose(batch_PG, single_PG, rtol=TOLERANCE, atol=TOLERANCE):
        raise InputError(
            f"objective {objective.name!r} must weigh each group independently and deterministically: a group alone "
            "gets other advantages than in a batch, and here the groups of a batch belong to different trainings."
        )
