"""A group of rollouts: drawn, counted, weighed. The kernel's own copy of the formulas of `rlvrscope.objectives`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from rlvrscope.dynamics.simulator.rule import Rule
from rlvrscope.dynamics.simulator.streams import FIRST, S12, S27, S30, S31, SECOND, UNIT
from rlvrscope.objectives.loss import MAX_LOG_RATIO


@njit(nogil=True, inline="always")
def uniform(state: np.uint64) -> float:
    """The draw of a state, in [0, 1): see `streams`."""
    x = (state ^ (state >> S30)) * FIRST
    x = (x ^ (x >> S27)) * SECOND
    x = x ^ (x >> S31)
    return np.float64(np.int64(x >> S12)) * UNIT


@njit(nogil=True)
def room(group_size: int, num_actions: int):
    """The group being learnt from: its distinct actions, how often each was drawn, its weight, and room to work in.

    Arrays by themselves: a tuple of them would have its references counted at every step.
    """
    drawn, count_V = np.empty(group_size, np.int64), np.zeros(num_actions, np.int64)
    return drawn, count_V, np.empty(group_size), np.empty(group_size), np.empty(group_size)


@njit(nogil=True, inline="always")
def count(drawn, count_V, distinct: int, action: int) -> int:
    """Count one more rollout; returns the number of distinct actions."""
    count_V[action] += 1
    if count_V[action] > 1:
        return distinct
    drawn[distinct] = action
    return distinct + 1


@njit(nogil=True)
def group_weights(signal_V, rule: Rule, drawn, count_V, distinct: int, weight) -> bool:
    """The weight of each distinct action of a group into `weight`; False if all are 0."""
    low, high, total = np.inf, -np.inf, 0.0
    for j in range(distinct):
        value = signal_V[drawn[j]]
        low, high = min(low, value), max(high, value)
        total += count_V[drawn[j]] * value
    if rule.relative and low == high:
        weight[:distinct] = 0.0
        return False
    mean = total / rule.group_size
    scale = 1.0
    if rule.scaled:
        squares = 0.0
        for j in range(distinct):
            squares += count_V[drawn[j]] * (signal_V[drawn[j]] - mean) ** 2
        scale = math.sqrt(squares / rule.divisor) + rule.eps
    some = False
    for j in range(distinct):
        centred = rule.factor * (signal_V[drawn[j]] - mean) if rule.centred else signal_V[drawn[j]]
        advantage = centred / scale
        weight[j] = advantage * (rule.positive if advantage > 0.0 else rule.negative)
        some = some or weight[j] != 0.0
    return some


@njit(nogil=True, inline="always")
def slope(rule: Rule, advantage: float, log_ratio: float, away: float) -> float:
    """d J / d log pi of one rollout: the clipped surrogate less the KL term. away: log pi_ref - log pi."""
    ratio = math.exp(min(max(log_ratio, -MAX_LOG_RATIO), MAX_LOG_RATIO))
    low, high = 1.0 - rule.clip_low, 1.0 + rule.clip_high
    found = 0.0
    if rule.cispo:
        found = min(max(ratio, low), high) * advantage
    elif abs(log_ratio) <= MAX_LOG_RATIO:
        if advantage < 0.0:
            found = ratio * advantage if low <= ratio <= rule.dual_clip else 0.0
        else:
            found = ratio * advantage if ratio <= high else 0.0
    if rule.kl_coef > 0.0 and abs(away) <= MAX_LOG_RATIO:
        found += rule.kl_coef * (away if rule.reverse_kl else math.expm1(away))
    return found


@njit(nogil=True)
def slopes(
    rule: Rule, drawn, weight, old, gain, distinct: int, epoch: int, logits_V, log_total: float, start_V
) -> None:
    """The slope of each drawn action where ratios or the KL term count, into `gain`. old: log pi at epoch 0."""
    for j in range(distinct):
        log_prob = logits_V[drawn[j]] - log_total
        if epoch == 0:
            old[j] = log_prob
        gain[j] = slope(rule, weight[j], log_prob - old[j], start_V[drawn[j]] - log_prob)
