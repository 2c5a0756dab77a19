"""One step of training in numbers: what the kernel needs of an objective and of the other knobs."""

from __future__ import annotations

import math
from typing import NamedTuple

from rlvrscope.dynamics.inputs import is_relative
from rlvrscope.objectives import Objective


class Rule(NamedTuple):
    """A step: dz_v = rate sum_i g_i (1[a_i = v] - pi_v), g_i the slope of the surrogate in log pi(a_i)."""

    group_size: int
    rate: float
    """learning_rate / group_size."""
    relative: bool
    """A group whose rewards are all equal has weight 0."""
    centred: bool
    factor: float
    """n / (n - 1) of leave-one-out, else 1."""
    scaled: bool
    divisor: float
    """n - ddof of the standard deviation."""
    eps: float
    positive: float
    negative: float
    clip_low: float
    clip_high: float
    dual_clip: float
    cispo: bool
    epochs: int
    kl_coef: float
    reverse_kl: bool
    """The KL term is k2, the gradient of KL(pi || start); else k3, that of KL(start || pi)."""
    balanced: bool
    """Weights of a group sum to 0, so logits of actions that were not drawn stay where they are, exactly."""


def rule_of(
    objective: Objective,
    group_size: int,
    learning_rate: float,
    kl_coef: float = 0.0,
    inner_epochs: int = 1,
    clip: tuple[float, float] | None = None,
) -> Rule:
    """The numbers of a step. clip replaces the objective's (clip_low, clip_high)."""
    relative = is_relative(objective)
    even = objective.positive_weight == objective.negative_weight and objective.baseline != "none"
    even = even and objective.shape is None
    low, high = (objective.clip_low, objective.clip_high) if clip is None else clip
    return Rule(
        group_size=group_size,
        rate=learning_rate / group_size,
        relative=relative,
        centred=objective.baseline != "none",
        factor=group_size / (group_size - 1.0) if objective.baseline == "leave_one_out" else 1.0,
        scaled=objective.scale == "group_std",
        divisor=float(group_size - objective.std_ddof) if relative else 1.0,
        eps=objective.std_eps,
        positive=objective.positive_weight,
        negative=objective.negative_weight,
        clip_low=low,
        clip_high=high,
        dual_clip=math.inf if objective.dual_clip is None else objective.dual_clip,
        cispo=objective.surrogate == "cispo",
        epochs=inner_epochs,
        kl_coef=kl_coef,
        reverse_kl=objective.kl_estimator == "k2",
        balanced=even and inner_epochs == 1 and kl_coef == 0.0,
    )
