"""Shapes that read how likely the policy found each completion when it sampled it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError
from rlvrscope.objectives.numeric import MAX_PARAMETER, check_number, first_beyond, namespace


class Likelihood(NamedTuple):
    """Log-probabilities of completions under the policy that sampled them, in nats, and their lengths in tokens.

    Both have the shape of the rewards, and are of their array type.
    """

    logp: Array
    length: Array

    def checked(self, rewards: Array) -> Likelihood:
        """These values in the dtype of the rewards. Raises InputError for another shape, or bad numbers."""
        for name, values in self._asdict().items():
            if tuple(values.shape) != tuple(rewards.shape):
                raise InputError(
                    f"likelihood.{name} must have the shape of the rewards, {tuple(rewards.shape)}; "
                    f"got {tuple(values.shape)}"
                )
        xp = namespace([rewards, self.logp, self.length])
        logp, length = (xp.astype(values, rewards.dtype) for values in self)
        at = first_beyond(xp, logp)
        if at is not None or bool(xp.any(logp > 0.0)) or bool(xp.any(length < 1.0)):
            raise InputError("likelihood must hold finite log-probabilities of at most 0, and lengths of at least 1")
        return Likelihood(logp, length)


@dataclass(frozen=True)
class Unlikeliness:
    """Rewards fall with the rank of a completion's likelihood, before they are compared.

        r_i <- r_i (1 - beta rank_i / G),   A = (r - mean) / (std + eps), std over G - 1

    rank 0: least likely of its group by mean log-probability per token; equally likely ones keep their order. Replaces
    the advantages: groups of equal rewards above 0 get a contrast, which is the point.
    Source: arXiv 2506.02355, its code; beta .25 there.
    """

    beta: float
    kind: str = field(default="unlikeliness", init=False)

    def __post_init__(self) -> None:
        check_number("shape unlikeliness", "beta", self.beta, 0.0, 1.0)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float, likelihood: Likelihood) -> Array:  # noqa: ARG002
        xp, size = namespace([rewards_PG]), rewards_PG.shape[1]
        order_PG = xp.argsort(likelihood.logp / likelihood.length, axis=1, stable=True)
        rank_PG = xp.astype(xp.argsort(order_PG, axis=1), rewards_PG.dtype)
        signal_PG = rewards_PG * (1.0 - self.beta * rank_PG / size)
        deviation_PG = signal_PG - xp.mean(signal_PG, axis=1, keepdims=True)
        std_P1 = xp.sqrt(xp.sum(deviation_PG * deviation_PG, axis=1, keepdims=True) / (size - 1))
        equal_P1 = xp.max(signal_PG, axis=1, keepdims=True) == xp.min(signal_PG, axis=1, keepdims=True)
        return xp.where(equal_P1, xp.zeros_like(signal_PG), deviation_PG / (std_P1 + 1e-6))


@dataclass(frozen=True)
class Smoothing:
    """Differential smoothing: entropy is raised on right completions and lowered on wrong ones.

        A - right log pi(y) if right,   A + wrong log pi(y) if wrong

    log pi(y): of the whole completion, under the policy that sampled it. Source: DS-GRPO, arXiv 2511.19942, from a
    re-implementation that quotes its eq. 4 and 6; whether it means the base or the old policy is unclear there.
    """

    right: float
    wrong: float
    kind: str = field(default="smoothing", init=False)

    def __post_init__(self) -> None:
        for name in ("right", "wrong"):
            check_number("shape smoothing", name, getattr(self, name), 0.0, MAX_PARAMETER)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float, likelihood: Likelihood) -> Array:
        xp = namespace([rewards_PG])
        weight_PG = xp.where(
            rewards_PG >= threshold, xp.full_like(rewards_PG, -self.right), xp.full_like(rewards_PG, self.wrong)
        )
        return advantages_PG + weight_PG * likelihood.logp
