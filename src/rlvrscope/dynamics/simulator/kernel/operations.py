"""Operations that both representations share: draw, count and weigh a group, and record a path.

The arguments are arrays, not tuples of them, in the inner loop: a tuple's references would be counted at every step.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.simulator import streams
from rlvrscope.dynamics.simulator.streams import S12, UNIT
from rlvrscope.dynamics.simulator.update_rule import UpdateRule

POLL_STEPS = 1024
"""Steps between looks at the stop flag."""

mix = njit(nogil=True, inline="always")(streams.mix)


class Watch(NamedTuple):
    """W sets of actions, concatenated: set w is actions[first[w]:first[w + 1]]."""

    first: Ints
    actions: Ints
    threshold_W: Floats


class Output(NamedTuple):
    """Arrays to fill for a block of seeds; probs_STV has T = 0 if probabilities are not recorded."""

    steps_T: Ints
    probs_STV: Floats
    entropy_ST: Floats
    mass_SWT: Floats
    passage_SW: Floats
    lowest_SW: Floats
    done_S: Ints


@njit(nogil=True, inline="always")
def uniform(state: np.uint64) -> float:
    """The draw of a state, in [0, 1), as `streams.uniforms` has it."""
    return np.float64(np.int64(mix(state) >> S12)) * UNIT


@njit(nogil=True)
def allocate(group_size: int, num_actions: int):
    """Buffers of a group: its distinct actions, their counts, and per distinct action three floats.

    The floats: its weight, its gradient, and its log-probability before the update.
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
def group_weights(signal_V, rule: UpdateRule, drawn, count_V, distinct: int, weight) -> bool:
    """Write the weight of each distinct action of a group into `weight`; False if all are 0."""
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
    nonzero = False
    for j in range(distinct):
        centred = rule.factor * (signal_V[drawn[j]] - mean) if rule.centred else signal_V[drawn[j]]
        advantage = centred / scale
        weight[j] = advantage * (rule.positive if advantage > 0.0 else rule.negative)
        nonzero = nonzero or weight[j] != 0.0
    return nonzero


@njit(nogil=True, inline="always")
def surrogate_derivative(rule: UpdateRule, log_ratio: float, advantage: float, log_ratio_to_reference: float) -> float:
    """d J / d log pi of one rollout, as `update_rule.surrogate_derivative` has it."""
    bound = rule.log_ratio_bound
    ratio = math.exp(min(max(log_ratio, -bound), bound))
    low, high = 1.0 - rule.clip_low, 1.0 + rule.clip_high
    derivative = 0.0
    if rule.cispo:
        derivative = min(max(ratio, low), high) * advantage
    elif abs(log_ratio) <= bound:
        if advantage < 0.0:
            derivative = ratio * advantage if low <= ratio <= rule.dual_clip else 0.0
        else:
            derivative = ratio * advantage if ratio <= high else 0.0
    if rule.kl_coef > 0.0 and abs(log_ratio_to_reference) <= bound:
        estimate = log_ratio_to_reference if rule.reverse_kl else math.expm1(log_ratio_to_reference)
        derivative += rule.kl_coef * estimate
    return derivative


@njit(nogil=True)
def off_policy_gradients(
    rule: UpdateRule, drawn, weight, old, gradient, distinct: int, epoch: int, logits_V, log_total: float, start_V
) -> None:
    """Write the derivative of each drawn action, with ratio and KL term, into `gradient`. old: log pi at epoch 0."""
    for j in range(distinct):
        log_prob = logits_V[drawn[j]] - log_total
        if epoch == 0:
            old[j] = log_prob
        gradient[j] = surrogate_derivative(rule, log_prob - old[j], weight[j], start_V[drawn[j]] - log_prob)


@njit(nogil=True)
def record_row(output: Output, s: int, t: int, watch: Watch, weight_V, total: float) -> None:
    """Record row t of seed s. weight_V: probabilities times total."""
    entropy = 0.0
    for v in range(len(weight_V)):
        p = weight_V[v] / total
        if p > 0.0:
            entropy -= p * math.log(p)
        if output.probs_STV.shape[1] > 0:
            output.probs_STV[s, t, v] = p
    output.entropy_ST[s, t] = entropy
    for w in range(len(watch.threshold_W)):
        output.mass_SWT[s, w, t] = set_weight(w, watch.first, watch.actions, weight_V) / total


@njit(nogil=True, inline="always")
def record_extremes(passage_W, lowest_W, step: int, first, actions, threshold_W, weight_V, total: float) -> None:
    """Update, for each watched set, its lowest mass and its first step above the threshold."""
    for w in range(len(threshold_W)):
        mass = set_weight(w, first, actions, weight_V) / total
        lowest_W[w] = min(lowest_W[w], mass)
        if mass > threshold_W[w] and math.isnan(passage_W[w]):
            passage_W[w] = step


@njit(nogil=True, inline="always")
def set_weight(w: int, first, actions, weight_V) -> float:
    """Total weight of watched set w."""
    total = 0.0
    for i in range(first[w], first[w + 1]):
        total += weight_V[actions[i]]
    return total


@njit(nogil=True, inline="always")
def must_stop(done_S, s: int, step: int, last: int, stop) -> bool:
    """Publish the progress of seed s; True if the stop flag ends it before its last step."""
    if step % POLL_STEPS == 0 or step == last:
        done_S[s] = step
        return stop[0] and step < last
    return False
