"""A policy whose every probability is renewed after each update."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from rlvrscope.dynamics.simulator.kernel.group import count, group_weights, room, slopes, uniform
from rlvrscope.dynamics.simulator.kernel.record import Record, Watch, leave, look, note
from rlvrscope.dynamics.simulator.rule import Rule
from rlvrscope.dynamics.simulator.streams import GAMMA

SMALL, LARGE = 1e-200, 1e200
"""Sums of weights outside are scaled anew."""
NEAR, RENEWAL = 0.05, 64
"""A pull below moves weights by a series of 9 terms (error 0.05^10 / 10!, nothing); every 64 steps by exp again."""
FEW = 12
"""Actions up to which a walk beats bisection."""


@njit(nogil=True, inline="always")
def fill(logits_V, shift: float, weight_V, cumulative_V) -> float:
    """exp(z - shift) and its cumulative sum; returns the total."""
    for v in range(len(logits_V)):
        weight_V[v] = math.exp(logits_V[v] - shift)
    total = 0.0
    for v in range(len(logits_V)):
        total += weight_V[v]
        cumulative_V[v] = total
    return total


@njit(nogil=True, inline="always")
def shrink(share: float, drawn, distinct: int, logits_V, shift: float, weight_V, cumulative_V) -> float:
    """What `fill` does after a small pull: w exp(-share w) by its series, to rounding; drawn actions anew."""
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
def find(cumulative_V, target: float) -> int:
    """The first action whose cumulative weight is above the target."""
    if len(cumulative_V) <= FEW:
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
def move(rule: Rule, drawn, count_V, gain, distinct: int, logits_V, weight_V, total: float) -> float:
    """z_v += rate (C_v g_v - pi_v sum_u C_u g_u); returns rate sum_u C_u g_u, 0 of a balanced rule."""
    pull = 0.0
    for j in range(distinct):
        gain[j] *= rule.rate * count_V[drawn[j]]
        pull += gain[j]
    if rule.balanced:
        pull = 0.0
    share = pull / total
    for v in range(len(logits_V)):
        logits_V[v] -= share * weight_V[v]
    for j in range(distinct):
        logits_V[drawn[j]] += gain[j]
    return pull


@njit(nogil=True)
def dense_seed(s: int, key, signal_V, start_V, rule: Rule, watch: Watch, record: Record, stop) -> bool:
    """One seed, every probability renewed after each update. False if stopped."""
    logits_V, weight_V, cumulative_V = start_V.copy(), np.empty(len(start_V)), np.empty(len(start_V))
    drawn, count_V, weight, gain, old = room(rule.group_size, len(start_V))
    done_S, steps_T = record.done_S, record.steps_T
    shift, state, row, off_policy = logits_V.max(), key, 1, rule.epochs > 1 or rule.kl_coef > 0.0
    total = fill(logits_V, shift, weight_V, cumulative_V)
    note(record, s, 0, watch, weight_V, total)
    passage_W, lowest_W = record.passage_SW[s], record.lowest_SW[s]
    first, actions, threshold_W = watch.first, watch.actions, watch.threshold_W
    look(passage_W, lowest_W, 0, first, actions, threshold_W, weight_V, total)
    for step in range(1, steps_T[-1] + 1):
        distinct = 0
        for _ in range(rule.group_size):
            state += GAMMA
            distinct = count(drawn, count_V, distinct, find(cumulative_V, uniform(state) * total))
        if group_weights(signal_V, rule, drawn, count_V, distinct, weight) or rule.kl_coef > 0.0:
            for epoch in range(rule.epochs):
                gain[:distinct] = weight[:distinct]
                if off_policy:
                    log_total = shift + math.log(total)
                    slopes(rule, drawn, weight, old, gain, distinct, epoch, logits_V, log_total, start_V)
                pull = move(rule, drawn, count_V, gain, distinct, logits_V, weight_V, total)
                if abs(pull) < NEAR and step % RENEWAL != 0:
                    total = shrink(pull / total, drawn, distinct, logits_V, shift, weight_V, cumulative_V)
                else:
                    total = fill(logits_V, shift, weight_V, cumulative_V)
                if not SMALL < total < LARGE:
                    shift = logits_V.max()
                    total = fill(logits_V, shift, weight_V, cumulative_V)
            look(passage_W, lowest_W, step, first, actions, threshold_W, weight_V, total)
        for j in range(distinct):
            count_V[drawn[j]] = 0
        if step == steps_T[row]:
            note(record, s, row, watch, weight_V, total)
            row += 1
        if leave(done_S, s, step, steps_T[-1], stop):
            return False
    return True
