"""A policy as a tree of sums, where a step renews only the drawn actions: for balanced rules over many actions."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from rlvrscope.dynamics.simulator.kernel.dense import MAX_TOTAL, MIN_TOTAL
from rlvrscope.dynamics.simulator.kernel.operations import (
    Output,
    Watch,
    allocate,
    count,
    group_weights,
    must_stop,
    record_extremes,
    record_row,
    uniform,
)
from rlvrscope.dynamics.simulator.streams import GAMMA
from rlvrscope.dynamics.simulator.update_rule import UpdateRule

ZERO, ONE = np.uint64(0), np.uint64(1)
"""Unsigned indices, which numba does not check for negative values."""


@njit(nogil=True)
def build(logits_V, shift: float, tree) -> None:
    """Fill the leaves, tree[L + v] = exp(z_v - shift), L a power of two, and each node with the sum of its children."""
    leaves = len(tree) // 2
    for v in range(len(logits_V)):
        tree[leaves + v] = math.exp(logits_V[v] - shift)
    for node in range(leaves - 1, 0, -1):
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@njit(nogil=True, inline="always")
def sample(tree, target: float) -> int:
    """The first action whose cumulative weight exceeds the target. Branch-free: half the predictions would fail."""
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


@njit(nogil=True, inline="always")
def renew(tree, nodes, distinct: int) -> None:
    """Renew the sums above these leaves, level by level: sums of one level are independent, so they overlap."""
    level = len(tree) // 2
    while level > 1:
        level //= 2
        for j in range(distinct):
            node = nodes[j] >> ONE
            nodes[j] = node
            tree[node] = tree[node << ONE] + tree[(node << ONE) + ONE]


@njit(nogil=True)
def simulate_sparse(s: int, key, signal_V, start_V, rule: UpdateRule, watch: Watch, output: Output, stop) -> bool:
    """Simulate one seed of a balanced rule: logits not drawn do not move, so a step costs n log V. False if stopped."""
    leaves = 1
    while leaves < len(start_V):
        leaves *= 2
    logits_V, tree = start_V.copy(), np.zeros(2 * leaves)
    weight_V = tree[leaves : leaves + len(start_V)]
    drawn, count_V, weight, _, _ = allocate(rule.group_size, len(start_V))
    nodes = np.empty(rule.group_size, np.uint64)
    done_S, steps_T = output.done_S, output.steps_T
    shift, state, row = logits_V.max(), key, 1
    build(logits_V, shift, tree)
    record_row(output, s, 0, watch, weight_V, tree[1])
    passage_W, lowest_W = output.passage_SW[s], output.lowest_SW[s]
    first, actions, threshold_W = watch.first, watch.actions, watch.threshold_W
    record_extremes(passage_W, lowest_W, 0, first, actions, threshold_W, weight_V, tree[1])
    for step in range(1, steps_T[-1] + 1):
        distinct = 0
        for _ in range(rule.group_size):
            state += GAMMA
            distinct = count(drawn, count_V, distinct, sample(tree, uniform(state) * tree[1]))
        if group_weights(signal_V, rule, drawn, count_V, distinct, weight):
            for j in range(distinct):
                action = drawn[j]
                logits_V[action] += rule.rate * count_V[action] * weight[j]
                nodes[j] = leaves + action
                tree[leaves + action] = math.exp(logits_V[action] - shift)
            renew(tree, nodes, distinct)
            if not MIN_TOTAL < tree[1] < MAX_TOTAL:
                shift = logits_V.max()
                build(logits_V, shift, tree)
            record_extremes(passage_W, lowest_W, step, first, actions, threshold_W, weight_V, tree[1])
        for j in range(distinct):
            count_V[drawn[j]] = 0
        if step == steps_T[row]:
            record_row(output, s, row, watch, weight_V, tree[1])
            row += 1
        if must_stop(done_S, s, step, steps_T[-1], stop):
            return False
    return True
