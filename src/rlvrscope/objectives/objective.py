"""Objective: a policy-gradient objective as a frozen value made of choices."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_type_hints

from rlvrscope.errors import InputError
from rlvrscope.objectives.function_shape import FunctionShape
from rlvrscope.objectives.likelihood import Smoothing, Unlikeliness
from rlvrscope.objectives.numeric import MAX_PARAMETER
from rlvrscope.objectives.shape import Shape, shape_from
from rlvrscope.objectives.success_count import PassAtK, ReverseHazard

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # names become folders


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Policy-gradient objective for groups of rollouts with verifiable rewards r.

        A_i = w(sign a_i) a_i,   a = shape(r, (s - baseline) / scale),   s = r or +-1
        loss = -aggregate(surrogate(rho, A)) + kl_coef aggregate(KL estimate against the reference)

    with rho the importance ratio. `advantages` and `policy_loss` define each term.
    The defaults are GRPO (DeepSeekMath, arXiv 2402.03300, eq. 3) with the sample standard deviation that trainers use.
    Raises InputError for an unknown choice or a number out of range.
    """

    name: str
    source: str = ""
    signal: Literal["reward", "signed"] = "reward"
    """reward: s = r. signed: s = +1 where r >= threshold, else -1."""
    threshold: float = 0.5
    baseline: Literal["group_mean", "leave_one_out", "none"] = "group_mean"
    scale: Literal["group_std", "none"] = "group_std"
    std_ddof: int = 1
    """0: population, 1: sample standard deviation."""
    std_eps: float = 1e-6
    positive_weight: float = 1.0
    negative_weight: float = 1.0
    ratio: Literal["token", "sequence"] = "token"
    """token: pi/pi_old of each token. sequence: its geometric mean over the completion (GSPO)."""
    clip_low: float = 0.2
    """The ratio is clipped at 1 - clip_low (1.0: no lower bound)."""
    clip_high: float = 0.2
    """The ratio is clipped at 1 + clip_high."""
    dual_clip: float | None = None
    """Bound of the ratio where A < 0, which PPO's clip leaves unbounded (arXiv 1912.09729)."""
    surrogate: Literal["clip", "cispo"] = "clip"
    aggregation: Literal["token_mean", "sequence_mean", "fixed_length"] = "sequence_mean"
    """token_mean: over all tokens. sequence_mean: over the tokens of a completion, then over completions.
    fixed_length: sum over tokens / max_length, then over completions."""
    kl_coef: float = 0.0
    kl_estimator: Literal["k3", "k2"] = "k3"
    """Estimator of the KL term in the loss. Its on-policy gradient is that of the forward KL(ref || pi) with k3
    (DeepSeekMath), of the reverse KL(pi || ref) with k2 (arXiv 2510.01555)."""
    shape: Shape | None = None
    """Transform of the advantages before the sign weights: a shape, its recipe table, or a function "file.py:NAME"."""

    def __post_init__(self) -> None:
        for field, kind in get_type_hints(type(self)).items():
            if field != "shape":
                self._check_kind(field, kind)
        if not _NAME.fullmatch(self.name):
            self._refuse("name", "must be letters, digits, '.', '_' and '-', starting with a letter or digit")
        if self.std_ddof not in (0, 1):
            self._refuse("std_ddof", "must be 0 (population) or 1 (sample)")
        for field in ("positive_weight", "negative_weight", "clip_low", "clip_high", "kl_coef"):
            if not 0.0 <= getattr(self, field) <= MAX_PARAMETER:
                self._refuse(field, f"must be between 0 and {MAX_PARAMETER:g}")
        if not 1e-12 <= self.std_eps <= MAX_PARAMETER:
            self._refuse("std_eps", f"must be between 1e-12 and {MAX_PARAMETER:g}")
        if self.clip_low > 1.0:
            self._refuse("clip_low", "must be at most 1 (no lower bound)")
        if self.dual_clip is not None and not 1.0 + self.clip_high < self.dual_clip <= MAX_PARAMETER:
            self._refuse("dual_clip", f"must be none, or above 1 + clip_high = {1 + self.clip_high:g}")
        if self.dual_clip is not None and self.surrogate == "cispo":
            self._refuse("dual_clip", "must be none with cispo, which bounds the ratio for both signs already")
        object.__setattr__(self, "shape", shape_from(self.shape))

    def _check_kind(self, field: str, kind: Any) -> None:
        """Check a field against its type: a listed choice, a finite number, a string."""
        value, options = getattr(self, field), get_args(kind) or (kind,)
        choices = [option for option in options if isinstance(option, str)]
        if choices:
            if value not in choices:
                self._refuse(field, f"must be one of {', '.join(choices)}")
        elif str in options:
            if not isinstance(value, str):
                self._refuse(field, "must be a string")
        elif not (value is None and type(None) in options):
            numbers = (int,) if kind is int else (int, float)
            if isinstance(value, bool) or not isinstance(value, numbers) or not math.isfinite(value):
                self._refuse(field, "must be a whole number" if kind is int else "must be a finite number")

    @property
    def is_relative(self) -> bool:
        """A rollout is compared with its group: a baseline or a scale is taken."""
        return self.baseline != "none" or self.scale != "none"

    @property
    def min_group_size(self) -> int:
        """Fewest rollouts in a group: 2 if relative, k + 1 with pass@k, else 1."""
        smallest = 2 if self.is_relative else 1
        return max(smallest, self.shape.k + 1) if isinstance(self.shape, PassAtK) else smallest

    @property
    def reads(self) -> str | None:
        """What its advantages are computed from besides the rewards of a batch; None if nothing."""
        if isinstance(self.shape, Unlikeliness | Smoothing):
            return "the log-probabilities of completions"
        return "the pass rates of the batches before" if isinstance(self.shape, ReverseHazard) else None

    def load(self) -> Self:
        """Load the function of a shape of the user's own, if it has one, before any work. Raises InputError."""
        if isinstance(self.shape, FunctionShape):
            self.shape.load()
        return self

    def _refuse(self, field: str, rule: str) -> None:
        raise InputError(f"objective {self.name!r}: {field} {rule}; got {getattr(self, field)!r}")

    def replace(self, **changes: Any) -> Objective:
        """This objective with some fields changed. Raises InputError for an unknown field or a bad value."""
        known = [field.name for field in dataclasses.fields(self)]
        for field in changes:
            if field not in known:
                raise InputError(f"Objective has no field {field!r}. Its fields: {', '.join(known)}.")
        return dataclasses.replace(self, **changes)
