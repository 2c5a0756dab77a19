"""Rows of some prompts, decoded as one growing token tree; long rows leave it for a cache of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from rlvrscope.arrays import Ints
from rlvrscope.lab.policy import NextTokens
from rlvrscope.lab.token_tree import TokenTree

if TYPE_CHECKING:
    from rlvrscope.lab.tree_policy import TreePolicy

LOGIT_NODES = 256
"""Nodes whose logits exist at the same time while rows are drawn."""
SHORT_COMPLETION = 15
"""Completions of at most this many tokens stay in the tree: copying caches would cost more than it saves."""
MAX_NODES_PER_DEPTH = 8
"""Nodes in the cache for each token of the longest row, above which rows leave the tree.

A step of SmolLM2-135M with 16 to 256 rows takes the same time in a tree of 4 to 8 times as many nodes as a row has
tokens (one thread of a CPU).
"""


class TreeDecoder:
    """A `Decoder` whose rows share a node for as long as their tokens are equal."""

    def __init__(self, policy: TreePolicy, prompts_PT: Ints, prompt_B: Tensor, completion_length: int) -> None:
        self.policy = policy
        tree = TokenTree.of(prompts_PT, np.arange(len(prompts_PT)), np.zeros((len(prompts_PT), 1), dtype=np.int64))
        last_P = tree.node_BT[:, 0]
        self.cache: _SharedCache | _OwnCaches = _SharedCache(policy, tree, last_P)
        self.hidden_UD, self.depth_U = self.cache.hidden_UD, tree.depth_N[last_P]
        self.may_leave = completion_length > SHORT_COMPLETION
        self.node_B = prompt_B.cpu().numpy()
        """Index of each row's node among the U nodes that rows have reached; -1 after its end."""

    def next_tokens(self) -> Iterator[NextTokens]:
        for first in range(0, len(self.hidden_UD), LOGIT_NODES):
            row_A = np.flatnonzero((self.node_B >= first) & (self.node_B < first + LOGIT_NODES))
            rows, nodes = (torch.from_numpy(values).to(self.policy.device) for values in (row_A, self.node_B[row_A]))
            yield NextTokens(self.policy.logits(self.hidden_UD[first : first + LOGIT_NODES]), rows, nodes - first)

    def advance(self, token_B: Tensor, ended_B: Tensor) -> None:
        live_A = np.flatnonzero(~ended_B.cpu().numpy())
        steps_A2 = np.stack([self.node_B[live_A], token_B.cpu().numpy()[live_A]], axis=1)
        step_U2, node_A = np.unique(steps_A2, axis=0, return_inverse=True)
        self.node_B = np.full(len(self.node_B), -1)
        self.node_B[live_A] = node_A.ravel()
        if not len(step_U2):
            self.hidden_UD = self.hidden_UD[:0]
            return
        parent_U, token_U = step_U2.T
        self.depth_U = self.depth_U[parent_U] + 1
        self.cache.select(parent_U)
        if isinstance(self.cache, _SharedCache) and self.may_leave:
            self.cache = self.cache.divided_if_wide(int(self.depth_U.max()))
        self.hidden_UD = self.cache.extend(token_U, self.depth_U)


class _SharedCache:
    """Keys and values of a tree, one entry a node; a mask hides other branches."""

    def __init__(self, policy: TreePolicy, tree: TokenTree, last_U: Ints) -> None:
        self.policy, self.cache = policy, DynamicCache(config=policy.language_model.config)
        sees_NN = tree.sees_NN()
        hidden_1ND = policy.read(tree.token_N[None], tree.depth_N[None], sees_NN[None], self.cache)
        self.hidden_UD = hidden_1ND[0, torch.from_numpy(last_U).to(policy.device)]
        self.sees_UN = sees_NN[last_U]

    def select(self, node_U: Ints) -> None:
        """Make these the nodes to extend; one with several children is repeated."""
        self.sees_UN = self.sees_UN[node_U]

    def extend(self, token_U: Ints, depth_U: Ints) -> Tensor:
        """(U, D) output at a child of each node."""
        self.sees_UN = np.concatenate([self.sees_UN, np.eye(len(token_U), dtype=bool)], axis=1)
        return self.policy.read(token_U[None], depth_U[None], self.sees_UN[None], self.cache)[0]

    def divided_if_wide(self, depth: int) -> _SharedCache | _OwnCaches:
        return self.divided() if self.cache.get_seq_length() > MAX_NODES_PER_DEPTH * depth else self

    def divided(self) -> _OwnCaches:
        """Copy the path from the root to each node into a row of its own, padded on the left."""
        length_U = self.sees_UN.sum(axis=1)
        real_UL = np.arange(length_U.max()) >= length_U.max() - length_U[:, None]
        node_UL = np.zeros(real_UL.shape, dtype=np.int64)
        node_UL[real_UL] = np.nonzero(self.sees_UN)[1]
        index_UL = torch.from_numpy(node_UL).to(self.policy.device)
        cache = DynamicCache(config=self.policy.language_model.config)
        layers: Any = self.cache.layers
        for number, layer in enumerate(layers):
            keys, values = (shared[0][:, index_UL].transpose(0, 1) for shared in (layer.keys, layer.values))
            cache.update(keys, values, number)
        return _OwnCaches(self.policy, cache, real_UL)


class _OwnCaches:
    """Keys and values of U nodes' paths, a row each. real_UL: False where a row is padded."""

    def __init__(self, policy: TreePolicy, cache: Any, real_UL: NDArray[np.bool_]) -> None:
        self.policy, self.cache, self.real_UL = policy, cache, real_UL

    def select(self, node_U: Ints) -> None:
        """Make these the nodes to extend; one with several children is repeated."""
        if not np.array_equal(node_U, np.arange(len(self.real_UL))):
            self.cache.batch_select_indices(torch.from_numpy(node_U).to(self.policy.device))
            self.real_UL = self.real_UL[node_U]

    def extend(self, token_U: Ints, depth_U: Ints) -> Tensor:
        """(U, D) output at a child of each node."""
        self.real_UL = np.pad(self.real_UL, ((0, 0), (0, 1)), constant_values=True)
        return self.policy.read(token_U[:, None], depth_U[:, None], self.real_UL[:, None], self.cache)[:, 0]
