"""Token trees: completions and their prompts as one tree, in which every shared prefix is read once.

A causal model reads the N nodes of a tree as one row. Its attention mask lets a node see its ancestors and itself, and
its position is its depth, so the logits at a node are those after the text from the root to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Ints

PAD = -1
"""Fills token arrays after the end of a prompt or a completion."""


@dataclass(frozen=True)
class TokenTree:
    """N nodes, every parent before its children, and for B completions of T tokens where each is predicted."""

    token_N: Ints
    parent_N: Ints
    """Index of the node before; -1 for a root."""
    depth_N: Ints
    node_BT: Ints
    """Node whose logits predict the token of a completion; 0 where the completion has ended."""

    @classmethod
    def of(cls, prompts_PT: Ints, prompt_B: Ints, completions_BT: Ints) -> TokenTree:
        """Tree of completions of prompts, both padded with PAD on the right; rows may come in any order.

        The last token of a completion is predicted, not read, so it is a node only where another completion goes on
        after it.
        """
        rows = _Rows.of(prompts_PT, prompt_B, completions_BT)
        place_BL = np.arange(rows.token_BL.shape[1])
        new_BL = (place_BL >= rows.shared_B[:, None]) & (place_BL < rows.length_B[:, None])
        number_BL = np.where(new_BL, np.cumsum(new_BL).reshape(new_BL.shape) - 1, -1)
        # A shared token was last new in the nearest row above that has another token before it: its column's maximum.
        node_BL = np.maximum.accumulate(number_BL, axis=0)
        row_N, place_N = np.nonzero(new_BL)
        parent_N = np.where(place_N == 0, -1, node_BL[row_N, np.maximum(place_N - 1, 0)])
        place_BT = rows.prompt_length_B[:, None] - 1 + np.arange(completions_BT.shape[1])
        predicted_BT = np.take_along_axis(node_BL, np.minimum(place_BT, node_BL.shape[1] - 1), axis=1)
        predicted_BT = np.where(place_BT < rows.length_B[:, None], predicted_BT, 0)
        node_BT = np.empty_like(predicted_BT)
        node_BT[rows.order_B] = predicted_BT
        return cls(rows.token_BL[row_N, place_N], parent_N, place_N, node_BT)

    def sees_NN(self) -> NDArray[np.bool_]:
        """(N, N) whether the first node sees the second: itself and its ancestors."""
        sees_NN = np.eye(len(self.token_N), dtype=bool)
        for depth in range(1, self.depth_N.max(initial=0) + 1):
            node_A = np.flatnonzero(self.depth_N == depth)
            sees_NN[node_A] |= sees_NN[self.parent_N[node_A]]
        return sees_NN


def parts(prompts_PT: Ints, prompt_B: Ints, completions_BT: Ints, max_nodes: int) -> list[Ints]:
    """Split rows into parts whose trees have at most `max_nodes` nodes each; a longer single row is a part of its own.

    Rows of equal prefixes go into one part where it has room. Each part holds indices of rows.
    """
    rows = _Rows.of(prompts_PT, prompt_B, completions_BT)
    bounds, nodes = [0], 0
    for row, (length, shared) in enumerate(zip(rows.length_B.tolist(), rows.shared_B.tolist(), strict=True)):
        nodes += length - shared
        if nodes > max_nodes and row > bounds[-1]:
            bounds.append(row)
            nodes = length
    return [rows.order_B[first:end] for first, end in zip(bounds, [*bounds[1:], len(prompt_B)], strict=True)]


@dataclass(frozen=True)
class _Rows:
    """The texts that a tree reads, each a prompt and a completion without its last token, sorted."""

    order_B: Ints
    """Index of each sorted row in the unsorted ones."""
    token_BL: Ints
    length_B: Ints
    prompt_length_B: Ints
    shared_B: Ints
    """Tokens that a row shares with the row before it."""

    @classmethod
    def of(cls, prompts_PT: Ints, prompt_B: Ints, completions_BT: Ints) -> _Rows:
        prompt_length_B = lengths(prompts_PT)[prompt_B]
        length_B = prompt_length_B + np.maximum(lengths(completions_BT) - 1, 0)
        token_BL = np.full((len(prompt_B), length_B.max(initial=1)), PAD, dtype=np.int64)
        place_BL = np.arange(token_BL.shape[1])
        in_prompt_BL = place_BL < prompt_length_B[:, None]
        token_BL[in_prompt_BL] = prompts_PT[prompt_B][prompts_PT[prompt_B] != PAD]
        in_completion_BL = ~in_prompt_BL & (place_BL < length_B[:, None])
        before_last_BT = np.arange(completions_BT.shape[1]) < (length_B - prompt_length_B)[:, None]
        token_BL[in_completion_BL] = completions_BT[before_last_BT]
        order_B = np.lexsort(token_BL.T[::-1])
        token_BL, length_B = token_BL[order_B], length_B[order_B]
        equal_BL = token_BL[1:] == token_BL[:-1]
        shared_B = np.where(equal_BL.all(axis=1), token_BL.shape[1], equal_BL.argmin(axis=1))
        shared_B = np.minimum(np.concatenate([[0], shared_B])[: len(order_B)], length_B)
        return cls(order_B, token_BL, length_B, prompt_length_B[order_B], shared_B)


def lengths(tokens_BT: Ints) -> Ints:
    """(B,) tokens of each row before its padding."""
    return (tokens_BT != PAD).sum(axis=1)


def padded(rows: Sequence[Sequence[int]], width: int | None = None) -> Ints:
    """(B, width) token arrays of rows, padded with PAD on the right; by default as wide as the longest row."""
    tokens_BT = np.full((len(rows), max(map(len, rows), default=0) if width is None else width), PAD, dtype=np.int64)
    for tokens_T, row in zip(tokens_BT, rows, strict=True):
        tokens_T[: len(row)] = row
    return tokens_BT
