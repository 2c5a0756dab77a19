"""The prompts of a run: for training, and for evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlvrscope.errors import InputError
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.recipe import EvaluateConfig, SelectConfig, TrainConfig
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.lab.tasks import Task
from rlvrscope.lab.tasks.task import Split, Tokens
from rlvrscope.seeding import generator

_TRIES = 32


def training_prompts(task: Task, config: TrainConfig, select: SelectConfig | None, base: Policy) -> Tokens:
    """(config.prompts, T) distinct prompts of the train split, the same for all arms of a base and seed."""
    return _draw(task, config.prompts, "train", config.stream("training prompts"), select, base)


def drawn_at(step: int, config: TrainConfig) -> NDArray[np.int64]:
    """Indices of the training prompts of a step (from 1): each epoch visits all prompts in a new random order."""
    steps_per_epoch = config.prompts // config.prompts_per_step
    epoch, position = divmod(step - 1, steps_per_epoch)
    order_P = config.stream("prompt order", epoch).permutation(config.prompts)
    return order_P[position * config.prompts_per_step : (position + 1) * config.prompts_per_step]


def evaluation_prompts(task: Task, config: EvaluateConfig, select: SelectConfig | None, base: Policy) -> Tokens:
    """(config.prompts, T) held-out prompts, the same for all runs of a base.

    With `config.avoid`, none of the prompts that an evaluation of that many prompts would use.
    """
    if not config.avoid:
        return _draw(task, config.prompts, "held_out", generator(0, "evaluation prompts"), select, base)
    avoided_PT = _draw(task, config.avoid, "held_out", generator(0, "evaluation prompts"), select, base)
    drawn_PT = _draw(task, config.prompts + config.avoid, "held_out", generator(0, "tuning prompts"), select, base)
    avoided = {tuple(prompt) for prompt in avoided_PT.tolist()}
    others = [prompt for prompt in drawn_PT.tolist() if tuple(prompt) not in avoided]
    return np.array(others[: config.prompts])


def _draw(
    task: Task, count: int, split: Split, rng: np.random.Generator, select: SelectConfig | None, base: Policy
) -> Tokens:
    """Distinct prompts that pass the selection. Raises InputError if too few are found."""
    if select is None:
        return task.prompts(count, split, rng)
    admitted_PT = np.zeros((0, task.prompt_length), dtype=np.int64)
    for _ in range(_TRIES):
        drawn_PT = task.prompts(max(count, 256), split, rng)
        admitted_PT = np.concatenate([admitted_PT, drawn_PT[_admitted(task, drawn_PT, select, base)]])
        _, first = np.unique(admitted_PT, axis=0, return_index=True)
        admitted_PT = admitted_PT[np.sort(first)]
        if len(admitted_PT) >= count:
            return admitted_PT[:count]
    raise InputError(
        f"[select] admits only {len(admitted_PT)} of the {split} prompts that were tried, and {count} are needed: "
        "widen it, or use fewer prompts"
    )


def _admitted(task: Task, prompts_PT: Tokens, select: SelectConfig, base: Policy) -> NDArray[np.bool_]:
    solutions = SolutionSet.of(task, prompts_PT, base.device)
    (mass_Y,) = solution_mass(base, solutions)
    success_P = solutions.sum_by_prompt(mass_Y)
    optimal_P = solutions.sum_by_prompt(mass_Y * solutions.optimal_Y)
    admitted_P = success_P - optimal_P >= select.dominance * optimal_P
    for value_P, (least, most) in ((success_P, select.success), (optimal_P, select.optimal)):
        admitted_P &= (least <= value_P) & (value_P <= most)
    return admitted_P
