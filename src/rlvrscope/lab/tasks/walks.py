"""What tasks made of random walks share: weighted choices, every sequence of choices, a split by hash, prompts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rlvrscope.errors import InputError
from rlvrscope.lab.tasks.task import Split, Tokens

Walk = Callable[[int], Tokens]
"""draws -> (at most so many, prompt_length + completion_length): random walks that ended well, of both splits."""

ILLEGAL = -1
"""What an operation gives where it leaves the values of a task."""

MAX_SEQUENCES = 20_000
"""Sequences of choices that a prompt may have: all of them are looked at to list its right completions."""

_TRIES = 64


def check_sequences(count: int, made_of: str) -> None:
    """Raises ValueError, with the size, if a prompt has too many sequences of choices to look at all of them."""
    if count > MAX_SEQUENCES:
        raise ValueError(
            f"{made_of} make {count:,} sequences a prompt; every one is looked at, so at most {MAX_SEQUENCES:,} may be"
        )


@cache
def sequences(choices: int, steps: int) -> NDArray[np.int64]:
    """(choices^steps, steps): every sequence of choices."""
    return np.array(list(itertools.product(range(choices), repeat=steps)))


def choose(weights_BO: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(B,): a column of each row, drawn in proportion to its weights; ILLEGAL where all of them are 0."""
    edges_BO = np.cumsum(weights_BO, axis=1)
    draw_B1 = rng.random(len(weights_BO))[:, None] * edges_BO[:, -1:]
    choice_B = np.minimum((edges_BO <= draw_B1).sum(axis=1), weights_BO.shape[1] - 1)
    return np.where(edges_BO[:, -1] == 0.0, ILLEGAL, choice_B)


def different_prompts(walk: Walk, prompt_length: int, count: int, split: Split, held_out_share: float) -> Tokens:
    """(P, prompt_length): the first `count` different prompts of a split. Raises InputError if there are fewer."""
    found = np.zeros((0, prompt_length), dtype=np.int64)
    for walks_BT in _of_split(walk, prompt_length, 2 * count + 256, split, held_out_share):
        found = np.concatenate([found, walks_BT[:, :prompt_length]])
        _, first = np.unique(found, axis=0, return_index=True)
        found = found[np.sort(first)]
        if len(found) >= count:
            return found[:count]
    raise InputError(f"only {len(found)} different {split} prompts were found, not {count}: ask for fewer")


def worked_examples(walk: Walk, prompt_length: int, count: int, held_out_share: float) -> Tokens:
    """(B, prompt_length + completion_length): walks of the train split. Raises InputError if there are none."""
    found: list[Tokens] = []
    for walks_BT in _of_split(walk, prompt_length, count + count // 4 + 16, "train", held_out_share):
        found.append(walks_BT)
        if sum(map(len, found)) >= count:
            return np.concatenate(found)[:count]
    raise InputError(f"{count} demonstrations were not found in {_TRIES} tries: lower task.held_out_share")


def held_out(prompts_PT: Tokens, share: float) -> NDArray[np.bool_]:
    """(P,): whether a prompt is held out: a fixed hash (splitmix64) of its content, the same in every run."""
    x = np.zeros(len(prompts_PT), dtype=np.uint64)
    for column in prompts_PT.T:
        x = x * np.uint64(64) + column.astype(np.uint64)
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return x < np.uint64(int(share * 2**64))


def _of_split(walk: Walk, prompt_length: int, draws: int, split: Split, held_out_share: float) -> Iterator[Tokens]:
    for _ in range(_TRIES):
        walks_BT = walk(draws)
        yield walks_BT[held_out(walks_BT[:, :prompt_length], held_out_share) == (split == "held_out")]
