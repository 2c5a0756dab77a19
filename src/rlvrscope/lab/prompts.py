"""Which prompts a run trains on and is scored on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlvrscope.errors import InputError
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.recipe import EvaluateConfig, SelectConfig, TrainConfig
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.lab.tasks import Task
from rlvrscope.lab.tasks.task import Split, Tokens
from rlvrscope.seeding import generator

_TRIES = 32


def training_prompts(task: Task, config: TrainConfig, select: SelectConfig | None, base: Transformer) -> Tokens:
    """(config.prompts, T): different prompts of the train split, the same for every arm of a base and seed."""
    return _draw(task, config.prompts, "train", config.stream("training prompts"), select, base)


def drawn_at(step: int, config: TrainConfig) -> NDArray[np.int64]:
    """Which of the training prompts a step (from 1) uses: in an order of the epoch's own, none twice in an epoch."""
    steps_per_epoch = config.prompts // config.prompts_per_step
    epoch, position = divmod(step - 1, steps_per_epoch)
    order_P = config.stream("prompt order", epoch).permutation(config.prompts)
    return order_P[position * config.prompts_per_step : (position + 1) * config.prompts_per_step]


def evaluation_prompts(task: Task, config: EvaluateConfig, select: SelectConfig | None, base: Transformer) -> Tokens:
    """(config.prompts, T): held-out prompts, the same for all runs of a base; `avoid`: none of that evaluation's."""
    if not config.avoid:
        return _draw(task, config.prompts, "held_out", generator(0, "evaluation prompts"), select, base)
    avoided = _draw(task, config.avoid, "held_out", generator(0, "evaluation prompts"), select, base)
    found = _draw(task, config.prompts + config.avoid, "held_out", generator(0, "tuning prompts"), select, base)
    taken = {tuple(prompt) for prompt in avoided.tolist()}
    kept = [prompt for prompt in found.tolist() if tuple(prompt) not in taken]
    return np.array(kept[: config.prompts])


def _draw(
    task: Task, count: int, split: Split, rng: np.random.Generator, select: SelectConfig | None, base: Transformer
) -> Tokens:
    """Different prompts that the selection admits. Raises InputError if too few are found."""
    if select is None:
        return task.prompts(count, split, rng)
    found = np.zeros((0, task.prompt_length), dtype=np.int64)
    for _ in range(_TRIES):
        drawn = task.prompts(max(count, 256), split, rng)
        found = np.concatenate([found, drawn[_admitted(task, drawn, select, base)]])
        _, first = np.unique(found, axis=0, return_index=True)
        found = found[np.sort(first)]
        if len(found) >= count:
            return found[:count]
    raise InputError(
        f"[select] admits only {len(found)} of the {split} prompts that were tried, and {count} are needed: "
        "widen it, or ask for fewer prompts"
    )


def _admitted(task: Task, prompts_PT: Tokens, select: SelectConfig, base: Transformer) -> NDArray[np.bool_]:
    solutions = SolutionSet.of(task, prompts_PT, base.device)
    (mass_Y,) = solution_mass(base, solutions)
    right_P = solutions.sum_by_prompt(mass_Y)
    optimal_P = solutions.sum_by_prompt(mass_Y * solutions.optimal_Y)
    admitted_P = right_P - optimal_P >= select.dominance * optimal_P
    for value_P, (least, most) in ((right_P, select.success), (optimal_P, select.optimal)):
        admitted_P &= (least <= value_P) & (value_P <= most)
    return admitted_P
