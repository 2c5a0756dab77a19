"""One training step as numbers: the update rule, and the derivative of the surrogate that it follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.dynamics.inputs import brief, check_bounds, check_count, check_group_size, check_rate, is_relative
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective
from rlvrscope.objectives.loss import MAX_LOG_RATIO
from rlvrscope.objectives.numeric import MAX_PARAMETER

MAX_ROLLOUTS = 1_000_000
"""Rollouts in a sampled group."""


class UpdateRule(NamedTuple):
    """A step dz_v = rate sum_i g_i (1[a_i = v] - pi_v), g_i the derivative of the surrogate in log pi(a_i).

    A tuple of numbers, which numba can compile for: all that the kernel knows of an objective and the other knobs.
    """

    group_size: int
    rate: float
    """learning_rate / group_size."""
    relative: bool
    """A group of equal rewards has weight 0."""
    centred: bool
    factor: float
    """n / (n - 1) for leave_one_out, else 1."""
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
    log_ratio_bound: float
    """Bound on |log ratio|, beyond which its derivative is 0."""
    epochs: int
    kl_coef: float
    reverse_kl: bool
    """KL estimate k2, the gradient of KL(pi || start); else k3, that of KL(start || pi)."""
    balanced: bool
    """The weights of a group sum to 0, so logits of actions that were not drawn do not move, exactly."""


def update_rule(
    objective: Objective,
    group_size: float,
    learning_rate: float,
    kl_coef: float | None = None,
    inner_epochs: int = 1,
    clip: tuple[float, float] | None = None,
) -> UpdateRule:
    """The rule of an objective. kl_coef, clip = (low, high): in place of the objective's own.

    Raises InputError for numbers out of range.
    """
    size = check_group_size(group_size, objective)
    if size == math.inf:
        raise InputError("a group that is drawn has a finite size; group_size=inf is for flow")
    size = check_count("group_size", size, maximum=MAX_ROLLOUTS)
    learning_rate = check_rate("learning_rate", learning_rate)
    kl_coef = check_bounds("kl_coef", objective.kl_coef if kl_coef is None else kl_coef, 0.0, MAX_PARAMETER)
    inner_epochs = check_count("inner_epochs", inner_epochs)
    low, high = (objective.clip_low, objective.clip_high) if clip is None else _checked_clip(clip)
    relative = is_relative(objective)
    zero_sum = objective.positive_weight == objective.negative_weight and objective.baseline != "none"
    return UpdateRule(
        group_size=size,
        rate=learning_rate / size,
        relative=relative,
        centred=objective.baseline != "none",
        factor=size / (size - 1.0) if objective.baseline == "leave_one_out" else 1.0,
        scaled=objective.scale == "group_std",
        divisor=float(size - objective.std_ddof) if relative else 1.0,
        eps=objective.std_eps,
        positive=objective.positive_weight,
        negative=objective.negative_weight,
        clip_low=low,
        clip_high=high,
        dual_clip=math.inf if objective.dual_clip is None else objective.dual_clip,
        cispo=objective.surrogate == "cispo",
        log_ratio_bound=MAX_LOG_RATIO,
        epochs=inner_epochs,
        kl_coef=kl_coef,
        reverse_kl=objective.kl_estimator == "k2",
        balanced=zero_sum and objective.shape is None and inner_epochs == 1 and kl_coef == 0.0,
    )


def _checked_clip(clip: tuple[float, float]) -> tuple[float, float]:
    if not isinstance(clip, Sequence) or isinstance(clip, str) or len(clip) != 2:
        raise InputError(f"clip must be (low, high), such as (0.2, 0.28); got {brief(clip)}")
    return check_bounds("clip's low", clip[0], 0.0, 1.0), check_bounds("clip's high", clip[1], 0.0, MAX_PARAMETER)


def surrogate_derivative(
    rule: UpdateRule, log_ratio: Floats, advantage: Floats, log_ratio_to_reference: Floats
) -> Floats:
    """d J / d log pi per token, J the clipped surrogate minus the KL term of `rlvrscope.objectives.policy_loss`.

    log_ratio: log pi - log pi_old. log_ratio_to_reference: log pi_ref - log pi. All of one shape, as is the result.
    """
    derivative = _clipped_derivative(rule, log_ratio, advantage)
    if rule.kl_coef > 0.0:
        bounded = np.where(np.abs(log_ratio_to_reference) <= rule.log_ratio_bound, log_ratio_to_reference, 0.0)
        derivative = derivative + rule.kl_coef * (bounded if rule.reverse_kl else np.expm1(bounded))
    return derivative


def _clipped_derivative(rule: UpdateRule, log_ratio: Floats, advantage: Floats) -> Floats:
    ratio = np.exp(np.clip(log_ratio, -rule.log_ratio_bound, rule.log_ratio_bound))
    low, high = 1.0 - rule.clip_low, 1.0 + rule.clip_high
    if rule.cispo:
        return np.clip(ratio, low, high) * advantage
    min_ratio = np.where(advantage < 0.0, low, 0.0)
    max_ratio = np.where(advantage < 0.0, rule.dual_clip, high)
    unclipped = (ratio >= min_ratio) & (ratio <= max_ratio) & (np.abs(log_ratio) <= rule.log_ratio_bound)
    return np.where(unclipped, ratio * advantage, 0.0)
