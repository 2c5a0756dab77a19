"""What a rollout, or a token, adds to the gradient: the slope of J in its log-probability, in NumPy.

J is the clipped surrogate less the KL term, as `rlvrscope.objectives.policy_loss` has them.
"""

from __future__ import annotations

import numpy as np

from rlvrscope.dynamics.inputs import Floats
from rlvrscope.dynamics.simulator.rule import Rule
from rlvrscope.objectives.loss import MAX_LOG_RATIO


def slope(rule: Rule, log_ratio: Floats, advantage: Floats, away: Floats) -> Floats:
    """d J / d log pi. log_ratio: log pi - log pi_old. away: log pi_ref - log pi. Of one shape, as the result."""
    found = _surrogate_slope(rule, log_ratio, advantage)
    if rule.kl_coef > 0.0:
        away = np.where(np.abs(away) <= MAX_LOG_RATIO, away, 0.0)
        found = found + rule.kl_coef * (away if rule.reverse_kl else np.expm1(away))
    return found


def _surrogate_slope(rule: Rule, log_ratio: Floats, advantage: Floats) -> Floats:
    ratio = np.exp(np.clip(log_ratio, -MAX_LOG_RATIO, MAX_LOG_RATIO))
    low, high = 1.0 - rule.clip_low, 1.0 + rule.clip_high
    if rule.cispo:
        return np.clip(ratio, low, high) * advantage
    least = np.where(advantage < 0.0, low, 0.0)
    most = np.where(advantage < 0.0, rule.dual_clip, high)
    free = (ratio >= least) & (ratio <= most) & (np.abs(log_ratio) <= MAX_LOG_RATIO)
    return np.where(free, ratio * advantage, 0.0)
