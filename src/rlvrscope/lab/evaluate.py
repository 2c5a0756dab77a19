"""Exact evaluation: list every right completion of every prompt and read off its probability.

P(right) is a sum of probabilities, pass@k = 1 - (1 - P)^k, and the mass on each solution is measured, not
estimated. Only the token entropy is taken from samples (of states; each state's entropy is exact).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope.lab.model import Transformer
from rlvrscope.lab.prompts import evaluation_prompts
from rlvrscope.lab.recipe import BOUNDARY_K, EvaluateConfig, SelectConfig
from rlvrscope.lab.sampler import greedy, sample
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.lab.tasks import RIGHT, Task
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.seeding import generator
from rlvrscope.stats import pass_at_k_exact

MASS_CLASSES = ("dominant", "other", "rare")


@dataclass(frozen=True)
class Scorer:
    """Turns the masses of some prompts' right completions into scores, and follows those the base had."""

    solutions: SolutionSet
    base: Transformer

    @cached_property
    def base_Y(self) -> NDArray[np.float64]:
        """The mass of each right completion under the base."""
        return solution_mass(self.base, self.solutions)[0]

    @cached_property
    def class_Y(self) -> NDArray[np.int64]:
        """Each right completion's class, an index into MASS_CLASSES, by its mass under the base.

        dominant: the base's most likely one of its prompt. rare: below 1/256 (and not dominant). other: the rest.
        """
        best_P = np.zeros(self.solutions.problems)
        np.maximum.at(best_P, self.solutions.prompt_Y, self.base_Y)
        dominant_Y = self.base_Y == best_P[self.solutions.prompt_Y]
        return np.where(dominant_Y, 0, np.where(self.base_Y < 1.0 / BOUNDARY_K, 2, 1))

    def scores(self, model: Transformer, temperatures: tuple[float, ...]) -> list[dict[str, Any]]:
        masses = solution_mass(model, self.solutions, temperatures)
        return [
            {"temperature": temperature, **self.score(mass_Y)}
            for temperature, mass_Y in zip(temperatures, masses, strict=True)
        ]

    def score(self, mass_Y: NDArray[np.float64]) -> dict[str, Any]:
        """Means over prompts, and prompt by prompt.

        `success` (P(right)), `distinct` (the expected number of different right answers in 256 samples) and the `mass`
        of each of MASS_CLASSES; where rewards are graded, `optimal`: the mass of answers with reward 1.
        """
        mass_Y = np.minimum(mass_Y, 1.0)  # float32 sums may pass 1 by 1e-6
        by_prompt = self.solutions.sum_by_prompt
        success_P = np.minimum(by_prompt(mass_Y), 1.0)
        distinct_P = by_prompt(pass_at_k_exact(mass_Y, [BOUNDARY_K])[:, 0])
        found = {
            "pass_at_1": float(success_P.mean()),
            "pass_at_256": float(pass_at_k_exact(success_P, [BOUNDARY_K]).mean()),
            "distinct_correct": float(distinct_P.mean()),
            "success": success_P.tolist(),
            "distinct": distinct_P.tolist(),
            "mass": {
                name: by_prompt(np.where(self.class_Y == index, mass_Y, 0.0)).tolist()
                for index, name in enumerate(MASS_CLASSES)
            },
        }
        if not self.solutions.graded:
            return found
        optimal_P = np.minimum(by_prompt(mass_Y * self.solutions.optimal_Y), 1.0)
        boundary = float(pass_at_k_exact(optimal_P, [BOUNDARY_K]).mean())
        return {**found, "optimal_pass_at_256": boundary, "optimal": optimal_P.tolist()}


@dataclass
class Evaluator:
    """Scores models on the same held-out prompts and, if asked to, on some of the training prompts."""

    task: Task
    config: EvaluateConfig
    base: Transformer
    select: SelectConfig | None = None
    trained_on_PT: Tokens | None = None
    held_out: Scorer = field(init=False)
    trained: Scorer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.held_out = self._scorer(evaluation_prompts(self.task, self.config, self.select, self.base))
        if self.config.train_prompts and self.trained_on_PT is not None:
            self.trained = self._scorer(self.trained_on_PT[: self.config.train_prompts])

    def __call__(self, model: Transformer, step: int) -> dict[str, Any]:
        """One row of evaluation.jsonl: scores at every temperature, greedy accuracy, token entropy (nats)."""
        prompts_PT, length = self.held_out.solutions.prompts_PT, self.task.completion_length
        drawn = sample(model, prompts_PT, length, self.config.entropy_samples, generator(0, "entropy"))
        answers_PT = greedy(model, prompts_PT, length)
        greedy_P = self.task.rewards(prompts_PT.cpu().numpy(), answers_PT.cpu().numpy())
        return {
            "step": step,
            "greedy_accuracy": float((greedy_P >= RIGHT).mean()),
            "token_entropy": float(drawn.entropy_BT.double().mean()),
            **self.scores(model),
        }

    def scores(self, model: Transformer) -> dict[str, list[dict[str, Any]]]:
        """`scores` on the held-out prompts and, where they are scored, `train`: one entry a temperature."""
        found = {"scores": self.held_out.scores(model, self.config.temperatures)}
        if self.trained is not None:
            found["train"] = self.trained.scores(model, self.config.temperatures)
        return found

    def _scorer(self, prompts_PT: Tokens) -> Scorer:
        return Scorer(SolutionSet.of(self.task, prompts_PT, self.base.device), self.base)
