"""Shapes that weigh a group by its number of correct rollouts: tables of n + 1 entries, looked up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any

from array_api_compat import device

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError
from rlvrscope.objectives.numeric import MAX_PARAMETER, check_number, namespace


@dataclass(frozen=True)
class PassAtK:
    """Pass@k training: a rollout's advantage is the mean over all sets of k rollouts that include it.

        q = C(n-c, k) / C(n, k),   sigma = sqrt(q (1 - q))          c of n rollouts correct, k < n
        A = q / sigma if correct,  (q - C(n-c-1, k-1) / C(n-1, k-1)) / sigma if wrong

    q: share of sets without a correct rollout; 1 - q: mean reward of a set; sigma: its population std. A = 0 where
    sigma = 0 (none correct, or fewer than k wrong). Replaces the advantages; k = 1 is GRPO with the population std.
    Raises InputError for groups of k rollouts or fewer: all k of k are a single set, with nothing to compare it with.
    Source: arXiv 2508.10751, the analytical derivation.
    """

    k: int
    kind: str = field(default="pass_at_k", init=False)

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or not 1 <= self.k <= MAX_PARAMETER:
            raise InputError(f"shape pass_at_k: k must be a whole number from 1 to {MAX_PARAMETER:g}; got {self.k!r}")

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:
        group_size = advantages_PG.shape[1]
        if group_size <= self.k:
            raise InputError(
                f"shape pass_at_k: k = {self.k} needs groups of at least {self.k + 1} rollouts; got {group_size}. "
                "Raise the group size, or lower k."
            )
        xp = namespace([rewards_PG])
        right, wrong = _pass_at_k_tables(group_size, self.k)
        right_P1, wrong_P1 = (_by_count(xp, rewards_PG, threshold, table_C) for table_C in (right, wrong))
        return xp.where(rewards_PG >= threshold, right_P1, wrong_P1)


@dataclass(frozen=True)
class Focal:
    """Focal weight: A (1 - p)^gamma, p the group's success rate. Source: F-GRPO, arXiv 2602.06717."""

    gamma: float
    kind: str = field(default="focal", init=False)

    def __post_init__(self) -> None:
        check_number("shape focal", "gamma", self.gamma, 0.0, MAX_PARAMETER)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:
        n = advantages_PG.shape[1]
        table_C = [((n - c) / n) ** self.gamma for c in range(n + 1)]
        return advantages_PG * _by_count(namespace([rewards_PG]), rewards_PG, threshold, table_C)


@dataclass(frozen=True)
class RateWeights:
    """Weights by success rate: A w(p), p the group's success rate.

    points: (rate, weight) pairs, rates rising within 0 to 1. w is linear between them and constant outside.
    """

    points: tuple[tuple[float, float], ...]
    kind: str = field(default="rate_weights", init=False)

    def __post_init__(self) -> None:
        points = self.points
        if not isinstance(points, list | tuple) or not points or not all(_is_pair(point) for point in points):
            raise InputError(
                f"shape rate_weights: points must be (rate, weight) pairs, such as [[0, 1], [1, 0]]; got {points!r}"
            )
        for rate, weight in points:
            check_number("shape rate_weights", "a rate", rate, 0.0, 1.0)
            check_number("shape rate_weights", "a weight", weight, 0.0, MAX_PARAMETER)
        rates = [rate for rate, _ in points]
        if any(after <= before for before, after in itertools.pairwise(rates)):
            raise InputError(f"shape rate_weights: rates must rise from point to point; got {rates}")
        object.__setattr__(self, "points", tuple((float(rate), float(weight)) for rate, weight in points))

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:
        n = advantages_PG.shape[1]
        table_C = [self.weight(c / n) for c in range(n + 1)]
        return advantages_PG * _by_count(namespace([rewards_PG]), rewards_PG, threshold, table_C)

    def weight(self, rate: float) -> float:
        """w(p) at this success rate."""
        if rate <= self.points[0][0]:
            return self.points[0][1]
        for (low, before), (high, after) in itertools.pairwise(self.points):
            if rate <= high:
                return before + (after - before) * (rate - low) / (high - low)
        return self.points[-1][1]


@dataclass(frozen=True)
class BetaGate:
    """A u(c): the expected weight of the gradient of pass@k after c correct of n rollouts, or 0 where it is small.

        u(c) = E[k (1-p)^(k-1)], p ~ Beta(c+1, n-c+1),   = k prod_{j=1..k-1} (n-c+j) / (n+1+j);   0 if < tau (n+1)

    Source: BBG, arXiv 2606.15455, eq. 8 and 9 as a re-implementation quotes them; tau .01 there.
    """

    k: int
    tau: float
    kind: str = field(default="beta_gate", init=False)

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or not 1 <= self.k <= MAX_PARAMETER:
            raise InputError(f"shape beta_gate: k must be a whole number from 1 to {MAX_PARAMETER:g}; got {self.k!r}")
        check_number("shape beta_gate", "tau", self.tau, 0.0, MAX_PARAMETER)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:
        table_C = _beta_gate_table(advantages_PG.shape[1], self.k, self.tau)
        return advantages_PG * _by_count(namespace([rewards_PG]), rewards_PG, threshold, table_C)


@dataclass(frozen=True)
class ReverseHazard:
    """Weights by the reverse hazard of pass rates: A w(p), p the group's success rate.

        w = share of groups at p / share of groups at p or below,   both among the groups with 0 < p < 1

    The shares are those of the `batches` batches before this one (on the first, of the batch itself); a rate that none
    of them had weighs 0. So the lowest rate among them weighs 1, and frequent hard prompts are not outweighed by easy
    ones. `PassRates` remembers them and puts the weights in; without it InputError is raised.
    Source: CurveRL, arXiv 2605.24331, its code; 10 batches there.
    """

    batches: int
    kind: str = field(default="reverse_hazard", init=False)

    def __post_init__(self) -> None:
        if isinstance(self.batches, bool) or not isinstance(self.batches, int) or not 1 <= self.batches <= 10_000:
            raise InputError(
                f"shape reverse_hazard: batches must be a whole number from 1 to 10,000; got {self.batches!r}"
            )

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        raise InputError(
            "shape reverse_hazard needs the pass rates of the batches before: use rlvrscope.objectives.PassRates"
        )


def _by_count(xp: ModuleType, rewards_PG: Array, threshold: float, table_C: Sequence[float]) -> Array:
    """(P, 1): each group's entry in a table indexed by the number of correct rollouts, 0 to n."""
    counts_P = xp.sum(xp.astype(rewards_PG >= threshold, xp.int64), axis=1)
    values_C = xp.asarray(table_C, dtype=rewards_PG.dtype, device=device(rewards_PG))
    return xp.take(values_C, counts_P, axis=0)[:, None]


@lru_cache(maxsize=64)
def _pass_at_k_tables(n: int, k: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Advantages of a correct and of a wrong rollout by the number of correct ones, 0 to n; exact integers up to sqrt.

    q / sigma = sqrt(q / (1 - q)); and C(n-c-1, k-1) / C(n-1, k-1) = q n / (n - c), so wrong = -right c / (n - c).
    """
    right, wrong = [0.0] * (n + 1), [0.0] * (n + 1)
    for c in range(1, n - k + 1):
        none_right, every = math.comb(n - c, k), math.comb(n, k)
        right[c] = math.sqrt(none_right / (every - none_right))
        wrong[c] = -right[c] * c / (n - c)
    return tuple(right), tuple(wrong)


@lru_cache(maxsize=64)
def _beta_gate_table(n: int, k: int, tau: float) -> tuple[float, ...]:
    """u by the number of correct rollouts; products of up to k factors as differences of log-gammas."""
    log_table = (
        math.log(k) + math.lgamma(n - c + k) - math.lgamma(n - c + 1) - math.lgamma(n + 1 + k) + math.lgamma(n + 2)
        for c in range(n + 1)
    )
    return tuple(u if u >= tau * (n + 1) else 0.0 for u in map(math.exp, log_table))


def _is_pair(point: Any) -> bool:
    return isinstance(point, list | tuple) and len(point) == 2
