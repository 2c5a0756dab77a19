"""Tabular policy, a control without shared parameters: one softmax per training prompt.

Its actions are the prompt's correct answers and one action for all wrong ones. It differs from the network in more than
parameter sharing (answers instead of tokens), so it shows what can happen without sharing, not what sharing alone does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import WorkError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.prompts import drawn_at, training_prompts
from rlvrscope.lab.recipe import Recipe, TrainConfig
from rlvrscope.lab.solutions import SolutionSet, class_advantages, solution_mass
from rlvrscope.lab.tokenised_task import tokenised
from rlvrscope.objectives import advantages
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import ROW_TYPES, PromptScores, TelemetryRow, TimingRow


class TabularPolicy:
    """Logits of P prompts and A actions: wrong answers first, then the correct ones; unused actions at -inf."""

    def __init__(self, solutions: SolutionSet, mass_Y: Floats) -> None:
        count_P = np.bincount(solutions.prompt_Y, minlength=solutions.problems)
        shape = (solutions.problems, 1 + count_P.max())
        self._index = (solutions.prompt_Y, 1 + np.concatenate([np.arange(count) for count in count_P]))
        probs_PA = self._spread(mass_Y, shape)
        probs_PA[:, 0] = np.maximum(1.0 - probs_PA.sum(axis=1), 1e-9)
        self.rewards_PA = self._spread(solutions.reward_Y, shape)
        with np.errstate(divide="ignore"):
            self.logits_PA = np.log(probs_PA)
        self._moments = _Moments.of(shape)

    def probs(self, prompts_M: Ints | slice = slice(None), temperature: float = 1.0) -> Floats:
        """(M, A) action probabilities of some prompts."""
        logits_MA = self.logits_PA[prompts_M] / temperature
        weights_MA = np.exp(logits_MA - logits_MA.max(axis=1, keepdims=True))
        return weights_MA / weights_MA.sum(axis=1, keepdims=True)

    def mass(self, temperature: float = 1.0) -> Floats:
        """(Y,) mass of every correct answer."""
        return self.probs(temperature=temperature)[self._index]

    def step(self, prompts_M: Ints, config: TrainConfig, rng: np.random.Generator) -> dict[str, float]:
        """Update some prompts along pi_v (At_v - sum_u pi_u At_u), exact or sampled; returns metrics."""
        probs_MA, rewards_MA = self.probs(prompts_M), self.rewards_PA[prompts_M]
        estimate = _expected if config.gradient == "exact" else _sampled
        pull_MA = estimate(probs_MA, rewards_MA, config, rng)
        ascent_MA = pull_MA - probs_MA * pull_MA.sum(axis=1, keepdims=True)
        if config.optimizer == "adamw":
            ascent_MA = self._moments.direction(prompts_M, ascent_MA)
        self.logits_PA[prompts_M] += config.learning_rate * ascent_MA
        entropy = -np.sum(probs_MA * np.log(np.where(probs_MA > 0.0, probs_MA, 1.0)), axis=1).mean()
        return {"reward": float((probs_MA * rewards_MA).sum(axis=1).mean()), "answer_entropy": float(entropy)}

    def _spread(self, values_Y: Floats, shape: tuple[int, int]) -> Floats:
        values_PA = np.zeros(shape)
        values_PA[self._index] = values_Y
        return values_PA


@dataclass(frozen=True)
class _Moments:
    """Adam's moments (0.9, 0.95), with a step count per prompt: logits move only when their prompt is drawn."""

    first_PA: Floats
    second_PA: Floats
    count_P: Ints

    @classmethod
    def of(cls, shape: tuple[int, int]) -> _Moments:
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape[0], dtype=np.int64))

    def direction(self, prompts_M: Ints, ascent_MA: Floats) -> Floats:
        self.count_P[prompts_M] += 1
        age_M1 = self.count_P[prompts_M, None]
        first_MA = self.first_PA[prompts_M] = 0.9 * self.first_PA[prompts_M] + 0.1 * ascent_MA
        second_MA = self.second_PA[prompts_M] = 0.95 * self.second_PA[prompts_M] + 0.05 * ascent_MA**2
        return first_MA / (1.0 - 0.9**age_M1) / (np.sqrt(second_MA / (1.0 - 0.95**age_M1)) + 1e-8)


def _sampled(probs_MA: Floats, rewards_MA: Floats, config: TrainConfig, rng: np.random.Generator) -> Floats:
    """(1/G) sum_i A_i 1[a_i = v] of one group per prompt."""
    edges_MA = np.cumsum(probs_MA, axis=1)
    draw_MG1 = rng.random((len(probs_MA), config.group_size, 1)) * edges_MA[:, None, -1:]
    actions_MG = (edges_MA[:, None] <= draw_MG1).sum(axis=2)
    advantages_MG = advantages(np.take_along_axis(rewards_MA, actions_MG, axis=1), config.objective)
    pull_MA = np.zeros_like(probs_MA)
    np.add.at(pull_MA, (np.arange(len(probs_MA))[:, None], actions_MG), advantages_MG / config.group_size)
    return pull_MA


def _expected(probs_MA: Floats, rewards_MA: Floats, config: TrainConfig, rng: np.random.Generator) -> Floats:  # noqa: ARG001
    """Expectation of `_sampled`: pi_v At_v; answers of equal reward share their effective advantage."""
    rewards = np.unique(rewards_MA[rewards_MA > 0.0])
    class_MA = np.where(rewards_MA > 0.0, 1 + np.searchsorted(rewards, rewards_MA), 0)
    pull_MA = np.zeros_like(probs_MA)
    for row, (probs_A, class_A) in enumerate(zip(probs_MA, class_MA, strict=True)):
        mass_C = np.bincount(class_A, weights=probs_A, minlength=1 + len(rewards))[1:].astype(np.float64)
        pull_MA[row] = probs_A * class_advantages(mass_C, rewards, config.objective, config.group_size)[class_A]
    return pull_MA


def train_tabular(
    recipe: Recipe, base: Policy, folder: RunFolder, on_progress: Callable[[int, dict[str, float]], None]
) -> None:
    """Train a tabular policy into a run folder. It takes seconds, so a killed run starts again from the beginning.

    Only training prompts are scored; scores on held-out prompts stay those of the base. Raises WorkError if the recipe
    scores no training prompts.
    """
    if not recipe.evaluate.train_prompts:
        raise WorkError("a tabular policy has training prompts only: set evaluate.train_prompts above 0")
    for kind in ROW_TYPES:
        folder.keep_until(kind, -1)
    config = recipe.train
    task = tokenised(recipe.task, base)
    prompts_PT = training_prompts(task, config, recipe.select, base)
    evaluator = Evaluator(task, recipe.evaluate, base, recipe.select, prompts_PT)
    solutions = SolutionSet.of(task, prompts_PT, base.device)
    table = TabularPolicy(solutions, solution_mass(base, solutions)[0])
    untrained = evaluator(base, 0)

    def evaluate(step: int) -> None:
        folder.append(untrained.model_copy(update={"step": step, "training": _scores(table, evaluator)}))

    evaluate(0)
    for step in range(1, config.steps + 1):
        started = time.process_time()
        metrics = table.step(drawn_at(step, config), config, config.stream("rollouts", step))
        folder.append(TelemetryRow.model_validate({"step": step, **metrics}))
        folder.append(TimingRow(step=step, cpu=time.process_time() - started))
        if recipe.evaluate.at(step, config.steps):
            evaluate(step)
        on_progress(step, metrics)
    logits_PA = torch.from_numpy(table.logits_PA)
    checkpoint.save(folder.final_checkpoint, base, {"logits": logits_PA}, kind="tabular", step=config.steps)


def _scores(table: TabularPolicy, evaluator: Evaluator) -> tuple[PromptScores, ...]:
    """Scores on the first training prompts at every temperature."""
    scorer = evaluator.training
    assert scorer is not None  # train_tabular requires training prompts
    num_scored = len(scorer.solutions.prompt_Y)
    return tuple(
        scorer.score(table.mass(temperature)[:num_scored], temperature) for temperature in evaluator.config.temperatures
    )
