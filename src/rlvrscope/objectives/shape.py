"""Shapes: transforms of a group's advantages, applied before the sign weights. Frozen values, written in recipes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any, TypeAlias

from array_api_compat import device

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.objectives.numeric import MAX_MAGNITUDE, MAX_PARAMETER, first_beyond, namespace
from rlvrscope.plugins import Plugin

ShapeFunction = Callable[[Array, Array], Array]


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
        _check_number("focal", "gamma", self.gamma, 0.0, MAX_PARAMETER)

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
            _check_number("rate_weights", "a rate", rate, 0.0, 1.0)
            _check_number("rate_weights", "a weight", weight, 0.0, MAX_PARAMETER)
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
class Quantile:
    """Quantile baseline: A - Q(A), Q the group's `level`-quantile (smallest value with a share >= level at or below).

    A is linear in the reward, so the baseline becomes the quantile of the rewards; the scale stays. With binary rewards
    it is 0 at success rates up to 1 - level (only correct rollouts count), else 1 (only wrong ones do).
    Source: QAE, arXiv 2509.22611.
    """

    level: float
    kind: str = field(default="quantile", init=False)

    def __post_init__(self) -> None:
        _check_number("quantile", "level", self.level, 0.0, 1.0)
        if self.level in (0.0, 1.0):
            raise InputError(f"shape quantile: level must be between 0 and 1, exclusive; got {self.level}")

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        xp = namespace([advantages_PG])
        # the tolerance keeps 0.07 x 100 = 7.000000000000001 at the seventh value
        place = max(math.ceil(self.level * advantages_PG.shape[1] - 1e-9), 1) - 1
        return advantages_PG - xp.sort(advantages_PG, axis=1)[:, place : place + 1]


@dataclass(frozen=True)
class FunctionShape:
    """A user's function (rewards_PG, advantages_PG) -> advantages_PG, loaded from its file by path.

    function: "file.py:NAME"; a relative path starts at the current directory. sha256: of the file's bytes. Without it
    the file is hashed and loaded at once; with it, as in resolved recipes, the file is read on the first call and
    refused if it has changed. Modules that the file imports are not hashed.
    The function gets copies, float32 or float64, of the rewards' array type, and may modify them.
    Raises InputError for a missing file or name, an object that is not callable, an error in the function, or a result
    that is not (P, G) or not finite.
    """

    function: str
    sha256: str = ""
    kind: str = field(default="function", init=False)

    def __post_init__(self) -> None:
        for name in ("function", "sha256"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"shape function: {name} must be a string; got {getattr(self, name)!r}")
        plugin = self.plugin
        if not self.sha256:
            object.__setattr__(self, "sha256", plugin.sha256())
            self.load()

    @cached_property
    def plugin(self) -> Plugin:
        """The file and the function, resolved on construction and pickled along: a worker may have another cwd."""
        plugin = Plugin.parse(self.function)
        if plugin is None:
            raise InputError(
                f"shape must be 'file.py:NAME', or a table such as {{kind = 'focal', gamma = 1.0}}; "
                f"got {self.function!r}"
            )
        return plugin

    def load(self) -> ShapeFunction:
        """Load the function. Raises InputError for a missing or changed file, or one without that function."""
        return self.plugin.load(self.sha256)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        xp = namespace([rewards_PG, advantages_PG])
        function = self.load()
        try:
            result = function(xp.asarray(rewards_PG, copy=True), xp.asarray(advantages_PG, copy=True))
        except (Exception, SystemExit) as error:
            raise InputError(f"{self.function} raised {self.plugin.describe(error)}") from error
        return self._checked(result, rewards_PG, advantages_PG)

    def _checked(self, result: Any, rewards_PG: Array, advantages_PG: Array) -> Array:
        xp, shape = namespace([advantages_PG]), tuple(advantages_PG.shape)
        kind = type(advantages_PG)
        if type(result) is not kind or tuple(result.shape) != shape:
            actual = type(result).__name__ + (f" {tuple(result.shape)}" if type(result) is kind else "")
            raise InputError(f"{self.function} must return {kind.__name__} of shape {shape}; got {actual}")
        if device(result) != device(advantages_PG):
            raise InputError(f"{self.function} must leave advantages on {device(advantages_PG)}; got {device(result)}")
        if not xp.isdtype(result.dtype, "real floating"):
            raise InputError(f"{self.function} must return floating point; got {result.dtype}")
        at = first_beyond(xp, result)
        if at is not None:
            group = ", ".join(f"{float(reward):g}" for reward in rewards_PG[at[0], :8])
            more = ", ..." if shape[1] > 8 else ""
            raise InputError(
                f"{self.function} must return finite numbers of at most {MAX_MAGNITUDE:g} in size; rollout {at[1]} "
                f"of group {at[0]} (rewards {group}{more}) has {float(result[at[0], at[1]])}"
            )
        return xp.astype(result, advantages_PG.dtype)


Shape: TypeAlias = PassAtK | Focal | RateWeights | Quantile | FunctionShape
SHAPES: dict[str, type[Shape]] = {
    "pass_at_k": PassAtK,
    "focal": Focal,
    "rate_weights": RateWeights,
    "quantile": Quantile,
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


def _is_pair(point: Any) -> bool:
    return isinstance(point, list | tuple) and len(point) == 2


def _check_number(kind: str, name: str, value: Any, low: float, high: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise InputError(f"shape {kind}: {name} must be a number from {low:g} to {high:g}; got {value!r}")
