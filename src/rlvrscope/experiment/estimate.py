"""How long a comparison will take, from a few timed steps of a model of the same size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rlvrscope.experiment.plan import Cell
from rlvrscope.lab.device import check_device, run_threads
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.pretrain import base_path
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.trainer import Trainer
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.seeding import generator

_PROMPTS = 32
"""Held-out prompts in the evaluation that is timed."""
BASE_SHARE = 0.35
"""A pre-training step costs about this much of an RL step."""


def estimated_seconds(todo: Sequence[Cell], workers: int, device: str) -> float:
    """Wall time of these runs and of the bases they need, on so many workers; right within a factor of two or so."""
    if not todo:
        return 0.0
    where = check_device(device)
    bases = {base_path(cell.recipe, where): cell.recipe.pretrain.steps for cell in todo}
    kinds = {_kind(cell.recipe): cell.recipe for cell in todo}
    timed = {kind: _timed(recipe, where) for kind, recipe in kinds.items()}
    training = 0.0
    for cell in todo:
        step, evaluation = timed[_kind(cell.recipe)]
        training += cell.recipe.train.steps * step + _evaluations(cell.recipe) * evaluation
    pretraining = sum(
        steps * BASE_SHARE * max(step for step, _ in timed.values())
        for path, steps in bases.items()
        if not path.exists()
    )
    return (training + pretraining) / min(workers, len(todo))


def _kind(recipe: Recipe) -> str:
    """What makes two runs' steps or evaluations take another time."""
    config = recipe.train
    size = (config.prompts_per_step, config.group_size, config.epochs, config.minibatches)
    return repr((recipe.evaluate, size, config.gradient, config.policy, config.objective.kl_coef > 0.0))


def _evaluations(recipe: Recipe) -> float:
    """How many, in evaluations of the held-out prompts at every temperature."""
    if recipe.train.policy == "tabular":  # of its base; a table's own takes no time beside it
        return 1.0
    trained = 1.0 + recipe.evaluate.train_prompts / recipe.evaluate.prompts
    return (recipe.evaluate.count(recipe.train.steps) + len(recipe.evaluate.wise)) * trained


def _timed(recipe: Recipe, where: Any) -> tuple[float, float]:
    """Seconds of an RL step and of an evaluation, each the second of two."""
    task = recipe.task
    with run_threads():
        model, base = (
            Transformer(recipe.model, task.vocab_size, task.prompt_length + task.completion_length)
            .initialise(generator(0, "estimate"))
            .to(where)
            for _ in range(2)
        )
        few = recipe.evaluate.model_copy(update={"prompts": _PROMPTS, "avoid": 0, "train_prompts": 0})
        evaluator = Evaluator(task, few, base)
        plain = {
            "objective": OBJECTIVES["grpo"].replace(kl_coef=recipe.train.objective.kl_coef),  # not a user's own code
            "anchor_coef": 0.0,  # an untrained base has no right answers
            "prompts": recipe.train.prompts_per_step,
        }
        trainer = Trainer(model, base, task, recipe.train.model_copy(update=plain))
        work = [lambda step: evaluator(model, step)]
        work += [trainer.step] if recipe.train.policy == "shared" else []
        seconds = [0.0, 0.0]
        for index, one in enumerate(work):
            one(1)
            begun = time.perf_counter()
            one(2)
            seconds[index] = time.perf_counter() - begun
        return seconds[1], seconds[0] * recipe.evaluate.prompts / _PROMPTS
