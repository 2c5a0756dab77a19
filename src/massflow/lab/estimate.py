"""How long a comparison will take, from a few timed steps of a model of the same size."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from massflow.lab.cells import Cell
from massflow.lab.evaluate import Evaluator
from massflow.lab.model import Transformer, token_logp
from massflow.lab.pretrain import base_path
from massflow.lab.recipe import Recipe
from massflow.lab.sampler import sample
from massflow.seeding import generator

_PROMPTS = 32
"""Held-out prompts in the evaluation that is timed."""
BASE_SHARE = 0.6
"""A pre-training step costs about this much of an RL step's forward and backward passes."""


def estimated_seconds(todo: Sequence[Cell], workers: int, device: str) -> float:
    """Wall time of these runs and of the bases they need, on so many workers; right within a factor of two or so."""
    if not todo:
        return 0.0
    where = torch.device(device)
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
    """What makes the evaluations of two runs take another time."""
    return repr(recipe.evaluate)


def _evaluations(recipe: Recipe) -> float:
    """How many, in evaluations of the held-out prompts at every temperature."""
    trained = 1.0 + recipe.evaluate.train_prompts / recipe.evaluate.prompts
    return (1 + recipe.train.steps / recipe.evaluate.every + len(recipe.evaluate.wise)) * trained


def _timed(recipe: Recipe, where: torch.device) -> tuple[float, float]:
    """Seconds of an RL step and of an evaluation, each the second of two."""
    task, config = recipe.task, recipe.train
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        model = Transformer(recipe.model, task.vocab_size, task.prompt_length + task.completion_length)
        model.initialise(generator(0, "estimate")).to(where)
        prompts_PT = torch.from_numpy(task.prompts(config.prompts_per_step, "train", generator(0, "estimate"))).to(
            where
        )
        few = recipe.evaluate.model_copy(update={"prompts": _PROMPTS, "avoid": 0, "train_prompts": 0})
        evaluator = Evaluator(task, few, model)
        _train_once(model, recipe, prompts_PT)
        evaluator(model, 0)
        times = [time.perf_counter()]
        for work in (lambda: _train_once(model, recipe, prompts_PT), lambda: evaluator(model, 0)):
            work()
            times.append(time.perf_counter())
        return times[1] - times[0], (times[2] - times[1]) * recipe.evaluate.prompts / _PROMPTS
    finally:
        torch.set_num_threads(threads)


def _train_once(model: Transformer, recipe: Recipe, prompts_PT: torch.Tensor) -> None:
    """A step's rollouts, forward and backward passes."""
    config = recipe.train
    length = recipe.task.completion_length
    rollouts = sample(model, prompts_PT, length, config.group_size, generator(0, "estimate"))
    for _ in range(config.epochs):
        logits_BTV = model.completion_logits(prompts_PT, rollouts.completions_BT, rollouts.prompt_B)
        token_logp(logits_BTV, rollouts.completions_BT).sum().backward()
