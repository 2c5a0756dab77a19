"""The simulator's fast version, compiled by numba and kept on disk: one seed after another, without Python.

It holds its own copy of the advantage formulas, tested equal to `massflow.objectives` on every count vector of small
groups, and of the clear version's step, tested equal to `plain`. Two ways to hold a policy: `dense` renews every
probability after a step; `sparse` keeps a tree of sums and renews only what was drawn, for balanced rules.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from massflow.dynamics.rule import Rule
from massflow.dynamics.streams import FIRST, GAMMA, S12, S27, S30, S31, SECOND, UNIT
from massflow.objectives.surrogate import LOG_RATIO_BOUND

POLL = 1024
"""Steps between looks at the stop flag."""
SMALL, LARGE = 1e-200, 1e200
"""Sums of weights outside are scaled anew."""
NEAR, RENEWAL = 0.05, 64
"""A pull below moves weights by a series of 9 terms (error 0.05^10 / 10!, nothing); every 64 steps by exp again."""
ZERO, ONE = np.uint64(0), np.uint64(1)
"""Indices without a sign need no check for negative ones."""
FEW = 12
"""Actions up to which a walk beats bisection."""


class Watch(NamedTuple):
    """W sets of actions, one after the other: set w is actions[first[w]:first[w + 1]]."""

    first: NDArray[np.int64]
    actions: NDArray[np.int64]
    threshold_W: NDArray[np.float64]


class Record(NamedTuple):
    """What is kept of a block of seeds; probs_STV has T = 0 where probabilities are not."""

    steps_T: NDArray[np.int64]
    probs_STV: NDArray[np.float64]
    entropy_ST: NDArray[np.float64]
    mass_SWT: NDArray[np.float64]
    passage_SW: NDArray[np.float64]
    lowest_SW: NDArray[np.float64]
    done_S: NDArray[np.int64]


@njit(nogil=True, cache=True, inline="always")
def uniform(state: np.uint64) -> float:
    """The draw of a state, in [0, 1): see `streams`."""
    x = (state ^ (state >> S30)) * FIRST
    x = (x ^ (x >> S27)) * SECOND
    x = x ^ (x >> S31)
    return np.float64(np.int64(x >> S12)) * UNIT


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True, inline="always")
def slope(rule: Rule, advantage: float, log_ratio: float, away: float) -> float:
    """d J / d log pi of one rollout: the clipped surrogate less the KL term. away: log pi_ref - log pi."""
    ratio = math.exp(min(max(log_ratio, -LOG_RATIO_BOUND), LOG_RATIO_BOUND))
    low, high = 1.0 - rule.clip_low, 1.0 + rule.clip_high
    found = 0.0
    if rule.cispo:
        found = min(max(ratio, low), high) * advantage
    elif abs(log_ratio) <= LOG_RATIO_BOUND:
        if advantage < 0.0:
            found = ratio * advantage if low <= ratio <= rule.dual_clip else 0.0
        else:
            found = ratio * advantage if ratio <= high else 0.0
    if rule.kl_coef > 0.0 and abs(away) <= LOG_RATIO_BOUND:
        found += rule.kl_coef * math.expm1(away)
    return found


@njit(nogil=True, cache=True)
def note(record: Record, s: int, t: int, watch: Watch, weight_V, total: float) -> None:
    """Keep row t of seed s. weight_V: probabilities times total."""
    entropy = 0.0
    for v in range(len(weight_V)):
        p = weight_V[v] / total
        if p > 0.0:
            entropy -= p * math.log(p)
        if record.probs_STV.shape[1] > 0:
            record.probs_STV[s, t, v] = p
    record.entropy_ST[s, t] = entropy
    for w in range(len(watch.threshold_W)):
        record.mass_SWT[s, w, t] = set_weight(watch, w, weight_V) / total


@njit(nogil=True, cache=True, inline="always")
def set_weight(watch: Watch, w: int, weight_V) -> float:
    found = 0.0
    for i in range(watch.first[w], watch.first[w + 1]):
        found += weight_V[watch.actions[i]]
    return found


@njit(nogil=True, cache=True, inline="always")
def look(passage_W, lowest_W, step: int, first, actions, threshold_W, weight_V, total: float) -> None:
    """Note, of each watched set, its least mass so far and when it was first above its threshold."""
    for w in range(len(threshold_W)):
        mass = 0.0
        for i in range(first[w], first[w + 1]):
            mass += weight_V[actions[i]]
        mass /= total
        lowest_W[w] = min(lowest_W[w], mass)
        if mass > threshold_W[w] and math.isnan(passage_W[w]):
            passage_W[w] = step


@njit(nogil=True, cache=True, inline="always")
def fill(logits_V, shift: float, weight_V, cumulative_V) -> float:
    """exp(z - shift) and its cumulative sum; returns the total."""
    for v in range(len(logits_V)):
        weight_V[v] = math.exp(logits_V[v] - shift)
    total = 0.0
    for v in range(len(logits_V)):
        total += weight_V[v]
        cumulative_V[v] = total
    return total


@njit(nogil=True, cache=True, inline="always")
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


@njit(nogil=True, cache=True, inline="always")
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


@njit(nogil=True, cache=True)
def room(group_size: int, num_actions: int):
    """The group being learnt from: its distinct actions, how often each was drawn, its weight, and room to work in.

    Arrays by themselves: a tuple of them would have its references counted at every step.
    """
    drawn, count_V = np.empty(group_size, np.int64), np.zeros(num_actions, np.int64)
    return drawn, count_V, np.empty(group_size), np.empty(group_size), np.empty(group_size)


@njit(nogil=True, cache=True, inline="always")
def count(drawn, count_V, distinct: int, action: int) -> int:
    """Count one more rollout; returns the number of distinct actions."""
    count_V[action] += 1
    if count_V[action] > 1:
        return distinct
    drawn[distinct] = action
    return distinct + 1


@njit(nogil=True, cache=True)
def slopes(
    rule: Rule, drawn, weight, old, gain, distinct: int, epoch: int, logits_V, log_total: float, start_V
) -> None:
    """The slope of each drawn action where ratios or the KL term count, into `gain`. old: log pi at epoch 0."""
    for j in range(distinct):
        log_prob = logits_V[drawn[j]] - log_total
        if epoch == 0:
            old[j] = log_prob
        gain[j] = slope(rule, weight[j], log_prob - old[j], start_V[drawn[j]] - log_prob)


@njit(nogil=True, cache=True, inline="always")
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


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True, inline="always")
def leave(done_S, s: int, step: int, last: int, stop) -> bool:
    """Say how far seed s is; True if it has to stop here."""
    if step % POLL == 0 or step == last:
        done_S[s] = step
        return stop[0] and step < last
    return False


@njit(nogil=True, cache=True)
def build(logits_V, shift: float, tree) -> None:
    """Leaves tree[L + v] = exp(z_v - shift), L a power of two; every node above is the sum of its two."""
    leaves = len(tree) // 2
    for v in range(len(logits_V)):
        tree[leaves + v] = math.exp(logits_V[v] - shift)
    for node in range(leaves - 1, 0, -1):
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@njit(nogil=True, cache=True, inline="always")
def descend(tree, target: float) -> int:
    """The action at which the cumulative weight, from the left, passes the target. No branches: half would miss."""
    leaves = np.uint64(len(tree) // 2)
    node = ONE
    while node < leaves:
        node = node << ONE
        left = tree[node]
        right = target >= left
        target -= left if right else 0.0
        node += ONE if right else ZERO
    while tree[node] <= 0.0:  # rounding led past the last possible action
        node -= ONE
    return int(node - leaves)


@njit(nogil=True, cache=True, inline="always")
def renew(tree, nodes, distinct: int) -> None:
    """Renew the sums above these leaves, level by level: those of one level don't wait for each other."""
    level = len(tree) // 2
    while level > 1:
        level //= 2
        for j in range(distinct):
            node = nodes[j] >> ONE
            nodes[j] = node
            tree[node] = tree[node << ONE] + tree[(node << ONE) + ONE]


@njit(nogil=True, cache=True)
def sparse_seed(s: int, key, signal_V, start_V, rule: Rule, watch: Watch, record: Record, stop) -> bool:
    """One seed of a balanced rule: logits that were not drawn stay, so a step costs n log V. False if stopped."""
    leaves = 1
    while leaves < len(start_V):
        leaves *= 2
    logits_V, tree = start_V.copy(), np.zeros(2 * leaves)
    weight_V = tree[leaves : leaves + len(start_V)]
    drawn, count_V, weight, _, _ = room(rule.group_size, len(start_V))
    nodes = np.empty(rule.group_size, np.uint64)
    done_S, steps_T = record.done_S, record.steps_T
    shift, state, row = logits_V.max(), key, 1
    build(logits_V, shift, tree)
    note(record, s, 0, watch, weight_V, tree[1])
    passage_W, lowest_W = record.passage_SW[s], record.lowest_SW[s]
    first, actions, threshold_W = watch.first, watch.actions, watch.threshold_W
    look(passage_W, lowest_W, 0, first, actions, threshold_W, weight_V, tree[1])
    for step in range(1, steps_T[-1] + 1):
        distinct = 0
        for _ in range(rule.group_size):
            state += GAMMA
            distinct = count(drawn, count_V, distinct, descend(tree, uniform(state) * tree[1]))
        if group_weights(signal_V, rule, drawn, count_V, distinct, weight):
            for j in range(distinct):
                action = drawn[j]
                logits_V[action] += rule.rate * count_V[action] * weight[j]
                nodes[j] = leaves + action
                tree[leaves + action] = math.exp(logits_V[action] - shift)
            renew(tree, nodes, distinct)
            if not SMALL < tree[1] < LARGE:
                shift = logits_V.max()
                build(logits_V, shift, tree)
            look(passage_W, lowest_W, step, first, actions, threshold_W, weight_V, tree[1])
        for j in range(distinct):
            count_V[drawn[j]] = 0
        if step == steps_T[row]:
            note(record, s, row, watch, weight_V, tree[1])
            row += 1
        if leave(done_S, s, step, steps_T[-1], stop):
            return False
    return True


@njit(nogil=True, cache=True)
def run_seeds(sparse: bool, keys_S, signal_V, start_V, rule: Rule, watch: Watch, record: Record, stop) -> None:
    """A block of seeds, one after the other; returns early if the stop flag is raised."""
    for s in range(len(keys_S)):
        if sparse:
            going = sparse_seed(s, keys_S[s], signal_V, start_V, rule, watch, record, stop)
        else:
            going = dense_seed(s, keys_S[s], signal_V, start_V, rule, watch, record, stop)
        if not going:
            return
