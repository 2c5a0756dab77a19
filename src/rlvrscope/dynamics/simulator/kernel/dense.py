"""A policy as a vector of weights, all of them renewed after each update."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from rlvrscope.dynamics.simulator.kernel.operations import (
    Output,
    Watch,
    allocate,
    count,
    group_weights,
    must_stop,
    off_policy_gradients,
    record_extremes,
    record_row,
    uniform,
)
from rlvrscope.dynamics.simulator.streams import GAMMA
from rlvrscope.dynamics.simulator.update_rule import UpdateRule

MIN_TOTAL, MAX_TOTAL = 1e-200, 1e200
"""Range of the sum of weights; outside it, weights are rescaled."""
MAX_SERIES_PULL = 0.05
"""Largest pull for which a series of 9 terms replaces exp: its error is 0.05^10 / 10!, below rounding."""
RENEWAL_STEPS = 64
"""Steps between renewals of all weights by exp."""
MAX_WALK_ACTIONS = 12
"""Actions up to which a linear search beats bisection."""


@njit(nogil=True, inline="always")
def fill(logits_V, shift: float, weight_V, cumulative_V) -> float:
    """Compute exp(z - shift) and its cumulative sum; returns the total."""
    for v in range(len(logits_V)):
        weight_V[v] = math.exp(logits_V[v] - shift)
    total = 0.0
    for v in range(len(logits_V)):
        total += weight_V[v]
        cumulative_V[v] = total
    return total


@njit(nogil=True, inline="always")
def fill_by_series(share: float, drawn, distinct: int, logits_V, shift: float, weight_V, cumulative_V) -> float:
    """Like `fill` after a small pull: w exp(-share w) by its series, to rounding; drawn actions by exp."""
    for v in range(len(weight_V)):
        x = -share * weight_V[v]
        series = 1.0 + x * (1 / 7) * (1.0 + x * (1 / 8) * (1.0 + x * (1 / 9)))
        series = 1.0 + x * (1 / 4) * (1.0 + x * (1 / 5) * (1.0 + x * (1 / 6) * series))
        weight_V[v] *= 1.0 + x * (1.0 + x * (1 / 2) * (1.0 + x * (1 / 3) * series))
    for j in range(distinct):
        weight_V[drawn[j]] = math.exp(logits_V[drawn[j]] - shift)
    total = 0.0
    for v in range(len(weight_V)):
        total += weight_V[v]
        cumulative_V[v] = total
    return total


@njit(nogil=True, inline="always")
def sample(cumulative_V, target: float) -> int:
    """The first action whose cumulative weight exceeds the target."""
    if len(cumulative_V) <= MAX_WALK_ACTIONS:
        v = 0
        while cumulative_V[v] <= target:
            v += 1
        return v
    low, high = 0, len(cumulative_V) - 1
    while low < high:
        middle = (low + high) >> 1
        if cumulative_V[middle] > target:
            high = middle
        else:
            low = middle + 1
    return low


@njit(nogil=True, inline="always")
def update_logits(rule: UpdateRule, drawn, count_V, gradient, distinct: int, logits_V, weight_V, total: float) -> float:
    """z_v += rate (C_v g_v - pi_v sum_u C_u g_u); returns the pull rate sum_u C_u g_u, 0 for a balanced rule."""
    pull = 0.0
    for j in range(distinct):
        gradient[j] *= rule.rate * count_V[drawn[j]]
        pull += gradient[j]
    if rule.balanced:
        pull = 0.0
    share = pull / total
    for v in range(len(logits_V)):
        logits_V[v] -= share * weight_V[v]
    for j in range(distinct):
        logits_V[drawn[j]] += gradient[j]
    return pull


@njit(nogil=True)
def simulate_dense(s: int, key, signal_V, start_V, rule: UpdateRule, watch: Watch, output: Output, stop) -> bool:
    """Simulate one seed. False if stopped."""
    logits_V, weight_V, cumulative_V = start_V.copy(), np.empty(len(start_V)), np.empty(len(start_V))
    drawn, count_V, weight, gradient, old = allocate(rule.group_size, len(start_V))
    done_S, steps_T = output.done_S, output.steps_T
    shift, state, row, off_policy = logits_V.max(), key, 1, rule.epochs > 1 or rule.kl_coef > 0.0
    total = fill(logits_V, shift, weight_V, cumulative_V)
    record_row(output, s, 0, watch, weight_V, total)
    passage_W, lowest_W = output.passage_SW[s], output.lowest_SW[s]
    first, actions, threshold_W = watch.first, watch.actions, watch.threshold_W
    record_extremes(passage_W, lowest_W, 0, first, actions, threshold_W, weight_V, total)
    for step in range(1, steps_T[-1] + 1):
        distinct = 0
        for _ in range(rule.group_size):
            state += GAMMA
            distinct = count(drawn, count_V, distinct, sample(cumulative_V, uniform(state) * total))
        if group_weights(signal_V, rule, drawn, count_V, distinct, weight) or rule.kl_coef > 0.0:
            for epoch in range(rule.epochs):
                gradient[:distinct] = weight[:distinct]
                if off_policy:
                    log_total = shift + math.log(total)
                    off_policy_gradients(
                        rule, drawn, weight, old, gradient, distinct, epoch, logits_V, log_total, start_V
                    )
                pull = update_logits(rule, drawn, count_V, gradient, distinct, logits_V, weight_V, total)
                if abs(pull) < MAX_SERIES_PULL and step % RENEWAL_STEPS != 0:
                    total = fill_by_series(pull / total, drawn, distinct, logits_V, shift, weight_V, cumulative_V)
                else:
                    total = fill(logits_V, shift, weight_V, cumulative_V)
                if not MIN_TOTAL < total < MAX_TOTAL:
                    shift = logits_V.max()
                    total = fill(logits_V, shift, weight_V, cumulative_V)
            record_extremes(passage_W, lowest_W, step, first, actions, threshold_W, weight_V, total)
        for j in range(distinct):
            count_V[drawn[j]] = 0
        if step == steps_T[row]:
            record_row(output, s, row, watch, weight_V, total)
            row += 1
        if must_stop(done_S, s, step, steps_T[-1], stop):
            return False
    return True
