"""A policy as a tree of sums, where a step renews only what was drawn: for balanced rules over many actions."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from rlvrscope.dynamics.simulator.kernel.dense import LARGE, SMALL
from rlvrscope.dynamics.simulator.kernel.group import count, group_weights, room, uniform
from rlvrscope.dynamics.simulator.kernel.record import Record, Watch, leave, look, note
from rlvrscope.dynamics.simulator.rule import Rule
from rlvrscope.dynamics.simulator.streams import GAMMA

ZERO, ONE = np.uint64(0), np.uint64(1)
"""Indices without a sign need no check for negative ones."""


@njit(nogil=True)
def build(logits_V, shift: float, tree) -> None:
    """Leaves tree[L + v] = exp(z_v - shift), L a power of two; every node above is the sum of its two."""
    leaves = len(tree) // 2
    for v in range(len(logits_V)):
        tree[leaves + v] = math.exp(logits_V[v] - shift)
    for node in range(leaves - 1, 0, -1):
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@njit(nogil=True, inline="always")
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


@njit(nogil=True, inline="always")
def renew(tree, nodes, distinct: int) -> None:
    """Renew the sums above these leaves, level by level: those of one level don't wait for each other."""
    level = len(tree) // 2
    while level > 1:
        level //= 2
        for j in range(distinct):
            node = nodes[j] >> ONE
            nodes[j] = node
            tree[node] = tree[node << ONE] + tree[(node << ONE) + ONE]


@njit(nogil=True)
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
