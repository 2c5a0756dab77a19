"""The control without shared parameters: one softmax a training prompt, over its right answers and all wrong ones.

It differs from the network in more than that: whole answers rather than tokens, all wrong ones together. So it shows
what can happen without shared parameters, not what they alone do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlvrscope.errors import WorkError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.exact_gradient import class_advantages
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.prompts import drawn_at, training_prompts
from rlvrscope.lab.recipe import Recipe, TrainConfig
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.objectives import advantages
from rlvrscope.runs import RunFolder

Floats = NDArray[np.float64]


class Table:
    """Logits of P prompts, A actions each: wrong answers first, then the right ones; absent ones at -inf."""

    def __init__(self, solutions: SolutionSet, mass_Y: Floats) -> None:
        count_P = np.bincount(solutions.prompt_Y, minlength=solutions.problems)
        shape = (solutions.problems, 1 + count_P.max())
        self._cell = (solutions.prompt_Y, 1 + np.concatenate([np.arange(count) for count in count_P]))
        probs_PA = self._spread(mass_Y, shape)
        probs_PA[:, 0] = np.maximum(1.0 - probs_PA.sum(axis=1), 1e-9)
        self.rewards_PA = self._spread(solutions.reward_Y, shape)
        with np.errstate(divide="ignore"):
            self.logits_PA = np.log(probs_PA)
        self._moments = _Moments.of(shape)

    def probs(self, prompts_M: NDArray[np.int64] | slice = slice(None), temperature: float = 1.0) -> Floats:
        """(M, A): the policy of some prompts."""
        logits_MA = self.logits_PA[prompts_M] / temperature
        weights_MA = np.exp(logits_MA - logits_MA.max(axis=1, keepdims=True))
        return weights_MA / weights_MA.sum(axis=1, keepdims=True)

    def mass(self, temperature: float = 1.0) -> Floats:
        """(Y,): the mass of every right answer."""
        return self.probs(temperature=temperature)[self._cell]

    def step(self, prompts_M: NDArray[np.int64], config: TrainConfig, rng: np.random.Generator) -> dict[str, float]:
        """One step on some prompts along pi_v (At_v - sum_u pi_u At_u), or its sample: as it is, or by Adam."""
        probs_MA, rewards_MA = self.probs(prompts_M), self.rewards_PA[prompts_M]
        weigh = _expected if config.gradient == "exact" else _sampled
        pull_MA = weigh(probs_MA, rewards_MA, config, rng)
        ascent_MA = pull_MA - probs_MA * pull_MA.sum(axis=1, keepdims=True)
        if config.optimizer == "adamw":
            ascent_MA = self._moments.direction(prompts_M, ascent_MA)
        self.logits_PA[prompts_M] += config.learning_rate * ascent_MA
        entropy = -np.sum(probs_MA * np.log(np.where(probs_MA > 0.0, probs_MA, 1.0)), axis=1).mean()
        return {"reward": float((probs_MA * rewards_MA).sum(axis=1).mean()), "answer_entropy": float(entropy)}

    def _spread(self, values_Y: Floats, shape: tuple[int, int]) -> Floats:
        found_PA = np.zeros(shape)
        found_PA[self._cell] = values_Y
        return found_PA


@dataclass(frozen=True)
class _Moments:
    """Adam's running means, (0.9, 0.95), one clock a prompt: a prompt's logits move when it is drawn, not between."""

    first_PA: Floats
    second_PA: Floats
    count_P: NDArray[np.int64]

    @classmethod
    def of(cls, shape: tuple[int, int]) -> _Moments:
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape[0], dtype=np.int64))

    def direction(self, prompts_M: NDArray[np.int64], ascent_MA: Floats) -> Floats:
        self.count_P[prompts_M] += 1
        age_M1 = self.count_P[prompts_M, None]
        first_MA = self.first_PA[prompts_M] = 0.9 * self.first_PA[prompts_M] + 0.1 * ascent_MA
        second_MA = self.second_PA[prompts_M] = 0.95 * self.second_PA[prompts_M] + 0.05 * ascent_MA**2
        return first_MA / (1.0 - 0.9**age_M1) / (np.sqrt(second_MA / (1.0 - 0.95**age_M1)) + 1e-8)


def _sampled(probs_MA: Floats, rewards_MA: Floats, config: TrainConfig, rng: np.random.Generator) -> Floats:
    """(1/G) sum_i A_i 1[a_i = v] for one group a prompt."""
    edges_MA = np.cumsum(probs_MA, axis=1)
    draw_MG1 = rng.random((len(probs_MA), config.group_size, 1)) * edges_MA[:, None, -1:]
    actions_MG = (edges_MA[:, None] <= draw_MG1).sum(axis=2)
    advantages_MG = advantages(np.take_along_axis(rewards_MA, actions_MG, axis=1), config.objective)
    pull_MA = np.zeros_like(probs_MA)
    np.add.at(pull_MA, (np.arange(len(probs_MA))[:, None], actions_MG), advantages_MG / config.group_size)
    return pull_MA


def _expected(probs_MA: Floats, rewards_MA: Floats, config: TrainConfig, rng: np.random.Generator) -> Floats:  # noqa: ARG001
    """The same in expectation: pi_v At_v, where answers of equal reward share their effective advantage."""
    rewards = np.unique(rewards_MA[rewards_MA > 0.0])
    class_MA = np.where(rewards_MA > 0.0, 1 + np.searchsorted(rewards, rewards_MA), 0)
    pull_MA = np.zeros_like(probs_MA)
    for row, (probs_A, class_A) in enumerate(zip(probs_MA, class_MA, strict=True)):
        mass_C = np.bincount(class_A, weights=probs_A, minlength=1 + len(rewards))[1:]
        pull_MA[row] = probs_A * class_advantages(mass_C, rewards, config.objective, config.group_size)[class_A]
    return pull_MA


def train_tabular(
    recipe: Recipe, base: Transformer, folder: RunFolder, on_progress: Callable[[int, dict[str, Any]], None]
) -> None:
    """Train the table of one run into its folder. It takes seconds, so after a kill it begins anew.

    Training prompts are scored as `train`; held-out prompts have no table, and keep the base's scores. Raises
    WorkError if the recipe scores no training prompts.
    """
    if not recipe.evaluate.train_prompts:
        raise WorkError("a tabular policy knows training prompts only: set evaluate.train_prompts above 0")
    for name in ("telemetry", "evaluation", "timing"):
        folder.keep_until(name, -1)
    config = recipe.train
    prompts_PT = training_prompts(recipe.task, config, recipe.select, base)
    evaluator = Evaluator(recipe.task, recipe.evaluate, base, recipe.select, prompts_PT)
    solutions = SolutionSet.of(recipe.task, prompts_PT, base.device)
    table = Table(solutions, solution_mass(base, solutions)[0])
    untrained = evaluator(base, 0)

    def evaluate(step: int) -> None:
        folder.append("evaluation", {**untrained, "step": step, "train": _scores(table, evaluator)})

    evaluate(0)
    for step in range(1, config.steps + 1):
        started = time.process_time()
        facts = table.step(drawn_at(step, config), config, config.stream("rollouts", step))
        folder.append("telemetry", {"step": step, **facts})
        folder.append("timing", {"step": step, "cpu": time.process_time() - started})
        if recipe.evaluate.at(step, config.steps):
            evaluate(step)
        on_progress(step, facts)
    logits_PA = torch.from_numpy(table.logits_PA)
    checkpoint.save(folder.final_checkpoint, base, {"logits": logits_PA}, kind="tabular", step=config.steps)


def _scores(table: Table, evaluator: Evaluator) -> list[dict[str, Any]]:
    """At every temperature, of the training prompts that are scored: the first ones."""
    scorer = evaluator.trained
    assert scorer is not None  # train_tabular saw to it
    scored = len(scorer.solutions.prompt_Y)
    return [
        {"temperature": temperature, **scorer.score(table.mass(temperature)[:scored])}
        for temperature in evaluator.config.temperatures
    ]
