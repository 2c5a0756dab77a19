"""Estimate of the wall time of a comparison, from a few timed steps of a model of the same size."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from rlvrscope.experiment.plan import PlannedRun
from rlvrscope.experiment.runner import raise_failures
from rlvrscope.experiment.workers import Event, Job, Report, run_jobs
from rlvrscope.lab.device import check_device, run_threads
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.memory import check_memory
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.pretrain import base_path, load_base
from rlvrscope.lab.recipe import ModelConfig, Recipe
from rlvrscope.lab.tasks import Task, TextTask
from rlvrscope.lab.tokenised_task import tokenised
from rlvrscope.lab.trainer import Trainer
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.seeding import generator

_PROMPTS = 32
"""Held-out prompts of the timed evaluation."""
BASE_SHARE = 0.35
"""Cost of a pre-training step, in RL steps."""


def estimated_seconds(planned: Sequence[PlannedRun], workers: int, device: str) -> float:
    """Wall time of these runs and of the bases they need, in seconds; accurate within a factor of two or so."""
    if not planned:
        return 0.0
    torch_device = check_device(device)
    for recipe in {_cost_key(run.recipe): run.recipe for run in planned}.values():
        check_memory(recipe, min(workers, len(planned)), torch_device)
    pretrained = {base_path(run.recipe, torch_device): run.recipe.pretrain for run in planned}
    bases = {path: settings.steps for path, settings in pretrained.items() if settings is not None}
    kinds = {_cost_key(run.recipe): run.recipe for run in planned}
    timed = {kind: (_timed if recipe.pretrain else _timed_apart)(recipe, device) for kind, recipe in kinds.items()}
    training = 0.0
    for run in planned:
        step, evaluation = timed[_cost_key(run.recipe)]
        training += run.recipe.train.steps * step + _evaluations(run.recipe) * evaluation
    pretraining = sum(
        steps * BASE_SHARE * max(step for step, _ in timed.values())
        for path, steps in bases.items()
        if not path.exists()
    )
    return (training + pretraining) / min(workers, len(planned))


def _cost_key(recipe: Recipe) -> str:
    """Settings that determine the time of a step and of an evaluation."""
    config = recipe.train
    size = (config.prompts_per_step, config.group_size, config.epochs, config.minibatches)
    return repr((recipe.evaluate, size, config.gradient, config.policy, config.objective.kl_coef > 0.0))


def _evaluations(recipe: Recipe) -> float:
    """Evaluation cost of a run, in units of one evaluation of the held-out prompts at every temperature."""
    if recipe.train.policy == "tabular":  # one of the base; those of the table cost nothing
        return 1.0
    trained = 1.0 + recipe.evaluate.train_prompts / recipe.evaluate.prompts
    return (recipe.evaluate.count(recipe.train.steps) + len(recipe.evaluate.wise)) * trained


def _timed_apart(recipe: Recipe, device: str) -> tuple[float, float]:
    """The same in a process of its own, which gives the memory of a pretrained model back. Raises WorkError."""
    seconds: dict[str, float] = {}

    def keep(event: Event | None) -> None:
        seconds.update(event.metrics or {} if event else {})

    raise_failures(run_jobs([Job("estimate", 1, partial(_report_times, recipe, device))], 1, keep), 1, "estimates")
    return seconds["step"], seconds["evaluation"]


def _report_times(recipe: Recipe, device: str, report: Report) -> None:
    step, evaluation = _timed(recipe, device)
    report(1, {"step": step, "evaluation": evaluation})


def _timed(recipe: Recipe, device: str) -> tuple[float, float]:
    """Seconds of an RL step and of an evaluation, each timed on its second call."""
    torch_device = check_device(device)
    with run_threads():
        base, task = _base(recipe, torch_device)
        model = copy.deepcopy(base)
        small = recipe.evaluate.model_copy(update={"prompts": _PROMPTS, "avoid": 0, "train_prompts": 0})
        evaluator = Evaluator(task, small, base)
        changes = {
            "objective": OBJECTIVES["grpo"].replace(kl_coef=recipe.train.objective.kl_coef),  # not a user's function
            "anchor_coef": 0.0,  # an untrained base has no right answers
            "prompts": recipe.train.prompts_per_step,
        }
        trainer = Trainer(model, base, task, recipe.train.model_copy(update=changes))
        calls = [lambda step: evaluator(model, step)]
        calls += [trainer.step] if recipe.train.policy == "shared" else []
        seconds = [0.0, 0.0]
        for index, call in enumerate(calls):
            call(1)
            started = time.perf_counter()
            call(2)
            seconds[index] = time.perf_counter() - started
        return seconds[1], seconds[0] * recipe.evaluate.prompts / _PROMPTS


def _base(recipe: Recipe, torch_device: Any) -> tuple[Policy, Task]:
    """A base to time, and the task in its tokens: untrained weights where there is nothing to load yet."""
    task, size = recipe.task, recipe.model
    if isinstance(size, ModelConfig) and not isinstance(task, TextTask):
        base = Transformer(size, task.vocab_size, task.prompt_length + task.completion_length)
        return base.initialise(generator(0, "estimate")).to(torch_device), task
    base = load_base(recipe, base_path(recipe, torch_device), torch_device)
    return base, tokenised(task, base)
