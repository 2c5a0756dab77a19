"""Token trees: every text once, every prediction after its own text, and parts that fit."""

from __future__ import annotations

import numpy as np
import pytest

from rlvrscope.lab.token_tree import PAD, TokenTree, parts


def test_a_tree_by_hand():
    # Prompts 5 6 and 5 7 share their head; of the first, two completions share 8.
    prompts, prompt_B = np.array([[5, 6, PAD], [5, 7, PAD]]), np.array([1, 0, 0])
    completions = np.array([[9, 1, PAD], [8, 2, 3], [8, 4, PAD]])
    tree = TokenTree.of(prompts, prompt_B, completions)
    assert [text(tree, node) for node in range(len(tree.token_N))] == [
        [5],
        [5, 6],
        [5, 6, 8],
        [5, 6, 8, 2],
        [5, 7],
        [5, 7, 9],
    ]
    assert tree.depth_N.tolist() == [0, 1, 2, 3, 1, 2]
    assert tree.node_BT.tolist() == [[4, 5, 0], [1, 2, 3], [1, 2, 0]]
    assert tree.sees_NN().astype(int).tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 0, 0, 0, 1, 0],
        [1, 0, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize("seed", range(40))
def test_every_text_is_read_once_and_predicted_after_itself(seed: int):
    prompts, prompt_B, completions = rows(np.random.default_rng(seed))
    tree = TokenTree.of(prompts, prompt_B, completions)
    read = set()
    for row, (prompt, completion) in enumerate(zip(prompts[prompt_B], completions, strict=True)):
        start, tokens = real(prompt), real(completion)
        for place in range(len(tokens)):
            assert text(tree, tree.node_BT[row, place]) == start + tokens[:place]
        whole = start + tokens[:-1]
        read |= {tuple(whole[:end]) for end in range(1, len(whole) + 1)}
    assert {tuple(text(tree, node)) for node in range(len(tree.token_N))} == read
    assert len(tree.token_N) == len(read)
    assert (tree.parent_N < np.arange(len(read))).all()
    assert (tree.sees_NN().sum(axis=1) == tree.depth_N + 1).all()


@pytest.mark.parametrize("seed", range(20))
def test_parts_hold_every_row_once_and_fit(seed: int):
    prompts, prompt_B, completions = rows(np.random.default_rng(seed))
    split = parts(prompts, prompt_B, completions, 9)
    assert sorted(np.concatenate(split).tolist()) == list(range(len(prompt_B)))
    for part in split:
        nodes = len(TokenTree.of(prompts, prompt_B[part], completions[part]).token_N)
        assert nodes <= 9 or len(part) == 1


def rows(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prompts of 1 to 6 tokens, completions of 1 to 4, of three tokens, so that much is shared."""
    prompts, completions = rng.integers(3, size=(4, 6)), rng.integers(3, size=(12, 4))
    for row in (*prompts, *completions):
        row[rng.integers(1, len(row) + 1) :] = PAD
    return prompts, rng.integers(4, size=12), completions


def real(row: np.ndarray) -> list[int]:
    return [int(token) for token in row if token != PAD]


def text(tree: TokenTree, node: int) -> list[int]:
    tokens: list[int] = []
    while node >= 0:
        tokens.insert(0, int(tree.token_N[node]))
        node = int(tree.parent_N[node])
    return tokens
