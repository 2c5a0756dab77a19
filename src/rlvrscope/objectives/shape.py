"""Shapes: transforms of a group's advantages, applied before the sign weights. Frozen values, written in recipes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.objectives.function_shape import FunctionShape
from rlvrscope.objectives.likelihood import Smoothing, Unlikeliness
from rlvrscope.objectives.numeric import MAX_PARAMETER, check_number, namespace
from rlvrscope.objectives.success_count import BetaGate, Focal, PassAtK, RateWeights, ReverseHazard


@dataclass(frozen=True)
class Quantile:
    """Quantile baseline: A - Q(A), Q the group's `level`-quantile (smallest value with a share >= level at or below).

    A is linear in the reward, so the baseline becomes the quantile of the rewards; the scale stays. With binary rewards
    it is 0 at success rates up to 1 - level (only correct rollouts count), else 1 (only wrong ones do).
    Source: QAE, arXiv 2509.22611.
    """

    level: float
    kind: str = field(default="quantile", init=False)

    def __post_init__(self) -> None:
        check_number("shape quantile", "level", self.level, 0.0, 1.0)
        if self.level in (0.0, 1.0):
            raise InputError(f"shape quantile: level must be between 0 and 1, exclusive; got {self.level}")

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        xp = namespace([advantages_PG])
        # the tolerance keeps 0.07 x 100 = 7.000000000000001 at the seventh value
        place = max(math.ceil(self.level * advantages_PG.shape[1] - 1e-9), 1) - 1
        return advantages_PG - xp.sort(advantages_PG, axis=1)[:, place : place + 1]


@dataclass(frozen=True)
class InverseMean:
    """A / mean reward of the group, 0 where that is 0. Rewards must not be negative.

    With the baseline and without the scale: A = (r - mean) / mean, the log-likelihood of success, truncated at the
    group size: E[A score] = sum over k = 1 to G - 1 of grad pass@k / k = (1 - (1-p)^(G-1)) / p grad p.
    Source: MaxRL, arXiv 2602.02710, its registered estimator without the 1e-6.
    """

    kind: str = field(default="inverse_mean", init=False)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        xp = namespace([rewards_PG])
        if bool(xp.any(rewards_PG < 0.0)):
            raise InputError("shape inverse_mean needs rewards of at least 0: it divides by the mean of a group")
        mean_P1 = xp.mean(rewards_PG, axis=1, keepdims=True)
        some_P1 = mean_P1 > 0.0
        return xp.where(some_P1, advantages_PG / xp.where(some_P1, mean_P1, xp.ones_like(mean_P1)), 0.0 * advantages_PG)


@dataclass(frozen=True)
class BatchBalance:
    """A-GRAE: weights by the group's mean reward m, mixed by the batch's mean reward w.

        A <- w/2 A / sqrt(m) + (1-w)/2 A / (1 - sqrt(m));   positives times min(1, w / alpha)

    Rewards must lie in 0 to 1. The groups of a batch depend on each other, and must have one size.
    Source: A-GRAE, arXiv 2602.05548, its code; the paper's formula has sqrt(1 - m) in the second term.
    """

    alpha: float
    kind: str = field(default="batch_balance", init=False)

    def __post_init__(self) -> None:
        check_number("shape batch_balance", "alpha", self.alpha, 1e-6, MAX_PARAMETER)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        xp = namespace([rewards_PG])
        if bool(xp.any((rewards_PG < 0.0) | (rewards_PG > 1.0))):
            raise InputError("shape batch_balance needs rewards from 0 to 1")
        mean_P1 = xp.mean(rewards_PG, axis=1, keepdims=True)
        share = xp.mean(mean_P1)
        mixed_P1 = (mean_P1 > 0.0) & (mean_P1 < 1.0)
        root_P1 = xp.sqrt(xp.where(mixed_P1, mean_P1, 0.25 * xp.ones_like(mean_P1)))
        weight_P1 = xp.where(mixed_P1, 0.5 * share / root_P1 + 0.5 * (1.0 - share) / (1.0 - root_P1), 0.0 * mean_P1)
        balanced_PG = advantages_PG * weight_P1
        return xp.where(balanced_PG > 0.0, balanced_PG * xp.clip(share / self.alpha, max=1.0), balanced_PG)


GroupShape: TypeAlias = (
    PassAtK | Focal | RateWeights | Quantile | InverseMean | BetaGate | BatchBalance | ReverseHazard | FunctionShape
)
LikelihoodShape: TypeAlias = Unlikeliness | Smoothing
Shape: TypeAlias = GroupShape | LikelihoodShape
SHAPES: dict[str, type[Shape]] = {
    "pass_at_k": PassAtK,
    "focal": Focal,
    "rate_weights": RateWeights,
    "quantile": Quantile,
    "inverse_mean": InverseMean,
    "beta_gate": BetaGate,
    "batch_balance": BatchBalance,
    "reverse_hazard": ReverseHazard,
    "unlikeliness": Unlikeliness,
    "smoothing": Smoothing,
    "function": FunctionShape,
}


def shape_from(value: Any) -> Shape | None:
    """Shape from a recipe: a table with `kind` and parameters, "file.py:NAME", or None.

    Raises InputError for an unknown kind or parameter, a value out of range, or a file that can't be used.
    """
    if value is None or isinstance(value, tuple(SHAPES.values())):
        return value
    if isinstance(value, str):
        return FunctionShape(value)
    if callable(value):
        raise InputError(
            "shape must be writable to a recipe: give a function as 'file.py:NAME', not the function itself; "
            f"got {getattr(value, '__name__', value)!r}"
        )
    if not isinstance(value, dict):
        raise InputError(f"shape must be 'file.py:NAME' or a table with its kind; got {value!r}")
    parameters = dict(value)
    kind = parameters.pop("kind", None)
    if not isinstance(kind, str) or kind not in SHAPES:
        hint = did_you_mean(str(kind), list(SHAPES))
        raise InputError(f"shape must name its kind; got {kind!r}. {hint}")
    fields = {part.name: part for part in dataclasses.fields(SHAPES[kind]) if part.init}
    for name in parameters:
        if name not in fields:
            raise InputError(f"shape {kind} has no parameter {name!r}. {did_you_mean(str(name), list(fields))}")
    for name, part in fields.items():
        if name not in parameters and part.default is dataclasses.MISSING:
            raise InputError(f"shape {kind} needs its parameter {name!r}")
    return SHAPES[kind](**parameters)
