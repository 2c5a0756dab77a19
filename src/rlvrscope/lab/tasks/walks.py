"""Helpers of tasks made of random walks: weighted choices, all sequences of choices, a split by hash, prompts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.lab.tasks.task import Split, Tokens

Walk = Callable[[int], Tokens]
"""draws -> (at most `draws`, prompt_length + completion_length) complete random walks of both splits."""

ILLEGAL = -1
"""Result of an operation that leaves the value range of a task."""

MAX_SEQUENCES = 20_000
"""Sequences of choices per prompt, all of which are enumerated to find the correct completions."""

_TRIES = 64


def check_sequences(count: int, settings: str) -> None:
    """Raise ValueError if a prompt has too many sequences of choices to enumerate."""
    if count > MAX_SEQUENCES:
        raise ValueError(f"{settings} give {count:,} sequences per prompt; at most {MAX_SEQUENCES:,} can be enumerated")


@cache
def sequences(choices: int, steps: int) -> Ints:
    """(choices^steps, steps) all sequences of choices."""
    return np.array(list(itertools.product(range(choices), repeat=steps)))


def choose(weights_BO: Floats, rng: np.random.Generator) -> Ints:
    """(B,) a column per row, drawn in proportion to the row's weights; ILLEGAL where all weights are 0."""
    edges_BO = np.cumsum(weights_BO, axis=1)
    draw_B1 = rng.random(len(weights_BO))[:, None] * edges_BO[:, -1:]
    choice_B = np.minimum((edges_BO <= draw_B1).sum(axis=1), weights_BO.shape[1] - 1)
    return np.where(edges_BO[:, -1] == 0.0, ILLEGAL, choice_B)


def distinct_prompts(walk: Walk, prompt_length: int, count: int, split: Split, held_out_share: float) -> Tokens:
    """(P, prompt_length) the first `count` distinct prompts of a split. Raises InputError if there are fewer."""
    prompts_PT = np.zeros((0, prompt_length), dtype=np.int64)
    for walks_BT in _of_split(walk, prompt_length, 2 * count + 256, split, held_out_share):
        prompts_PT = np.concatenate([prompts_PT, walks_BT[:, :prompt_length]])
        _, first = np.unique(prompts_PT, axis=0, return_index=True)
        prompts_PT = prompts_PT[np.sort(first)]
        if len(prompts_PT) >= count:
            return prompts_PT[:count]
    raise InputError(f"only {len(prompts_PT)} distinct {split} prompts were found, not {count}: ask for fewer")


def worked_examples(walk: Walk, prompt_length: int, count: int, held_out_share: float) -> Tokens:
    """(B, prompt_length + completion_length) walks of the train split. Raises InputError if there are too few."""
    batches: list[Tokens] = []
    for walks_BT in _of_split(walk, prompt_length, count + count // 4 + 16, "train", held_out_share):
        batches.append(walks_BT)
        if sum(map(len, batches)) >= count:
            return np.concatenate(batches)[:count]
    raise InputError(f"{count} demonstrations were not found in {_TRIES} tries: lower task.held_out_share")


def held_out(prompts_PT: Tokens, share: float) -> NDArray[np.bool_]:
    """(P,) whether a prompt is held out, by a fixed hash (splitmix64) of its tokens."""
    from rlvrscope.dynamics.simulator.streams import GAMMA, mix  # late: a recipe is read without SciPy

    code_P = np.zeros(len(prompts_PT), dtype=np.uint64)
    for column_P in prompts_PT.T:
        code_P = code_P * np.uint64(64) + column_P.astype(np.uint64)
    return mix(code_P + GAMMA) < np.uint64(int(share * 2**64))


def _of_split(walk: Walk, prompt_length: int, draws: int, split: Split, held_out_share: float) -> Iterator[Tokens]:
    for _ in range(_TRIES):
        walks_BT = walk(draws)
        yield walks_BT[held_out(walks_BT[:, :prompt_length], held_out_share) == (split == "held_out")]
