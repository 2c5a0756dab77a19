"""Exact evaluation: enumerate the right answers to every prompt and compute their probabilities.

P(correct) is a sum of probabilities, pass@k = 1 - (1 - P)^k, and the mass on each completion is computed, not
estimated. Only the token entropy is averaged over sampled states; the entropy of each state is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.prompts import evaluation_prompts
from rlvrscope.lab.recipe import BOUNDARY_K, EvaluateConfig, SelectConfig
from rlvrscope.lab.sampler import greedy, sample
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.lab.tasks import MIN_CORRECT_REWARD, Task
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.runs.rows import EvaluationRow, PromptScores
from rlvrscope.seeding import generator
from rlvrscope.stats import pass_at_k_exact

MASS_CLASSES = ("dominant", "other", "rare")


@dataclass(frozen=True)
class PromptScorer:
    """Scores of models on a fixed set of prompts; mass classes are defined by the base."""

    solutions: SolutionSet
    base: Policy
    unlisted: SolutionSet | None = None
    """What `solutions` misses, where it does not list every spelling."""

    @classmethod
    def of(cls, task: Task, prompts_PT: Tokens, base: Policy) -> PromptScorer:
        unlisted = SolutionSet.unlisted(task, prompts_PT, base.device)
        return cls(SolutionSet.of(task, prompts_PT, base.device), base, unlisted if len(unlisted.prompt_Y) else None)

    @cached_property
    def base_Y(self) -> Floats:
        """Mass of each correct completion under the base."""
        return solution_mass(self.base, self.solutions)[0]

    @cached_property
    def class_Y(self) -> Ints:
        """Class of each correct completion, an index into MASS_CLASSES.

        dominant: the most likely one of its prompt under the base. rare: below 1/256 under the base and not dominant.
        other: the rest.
        """
        best_P = np.zeros(self.solutions.problems)
        np.maximum.at(best_P, self.solutions.prompt_Y, self.base_Y)
        dominant_Y = self.base_Y == best_P[self.solutions.prompt_Y]
        return np.where(dominant_Y, 0, np.where(self.base_Y < 1.0 / BOUNDARY_K, 2, 1))

    def scores(self, model: Policy, temperatures: tuple[float, ...]) -> tuple[PromptScores, ...]:
        """Score a model at each temperature."""
        if self.unlisted is None:
            masses = solution_mass(model, self.solutions, temperatures)
            return tuple(self.score(mass_Y, scale) for mass_Y, scale in zip(masses, temperatures, strict=True))
        both, listed_Y = self.solutions.joined(self.unlisted)
        scores = []
        for mass_Y, temperature in zip(solution_mass(model, both, temperatures), temperatures, strict=True):
            unlisted_P = np.minimum(self.unlisted.sum_by_prompt(mass_Y[~listed_Y]), 1.0)
            score = self.score(mass_Y[listed_Y], temperature)
            scores.append(score.model_copy(update={"unlisted_P": unlisted_P}))
        return tuple(scores)

    def score(self, mass_Y: Floats, temperature: float) -> PromptScores:
        """Scores from the mass of every right answer at a temperature."""
        mass_Y = np.minimum(mass_Y, 1.0)  # float32 sums may exceed 1 by 1e-6
        by_prompt = self.solutions.sum_by_prompt
        success_P = np.minimum(by_prompt(mass_Y), 1.0)
        distinct_P = by_prompt(pass_at_k_exact(mass_Y, [BOUNDARY_K])[:, 0])
        optimal_P = np.minimum(by_prompt(mass_Y * self.solutions.optimal_Y), 1.0) if self.solutions.graded else None
        return PromptScores(
            temperature=temperature,
            k=BOUNDARY_K,
            pass_at_1=float(success_P.mean()),
            pass_at_k=_boundary(success_P),
            distinct_correct=float(distinct_P.mean()),
            success_P=success_P,
            distinct_P=distinct_P,
            mass={
                name: by_prompt(np.where(self.class_Y == index, mass_Y, 0.0)) for index, name in enumerate(MASS_CLASSES)
            },
            optimal_pass_at_k=np.nan if optimal_P is None else _boundary(optimal_P),
            optimal_P=optimal_P,
        )


@dataclass
class Evaluator:
    """Evaluation of models on the same held-out prompts and, if asked for, on some of the training prompts."""

    task: Task
    config: EvaluateConfig
    base: Policy
    select: SelectConfig | None = None
    training_prompts_PT: Tokens | None = None
    held_out: PromptScorer = field(init=False)
    training: PromptScorer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.held_out = self._scorer(evaluation_prompts(self.task, self.config, self.select, self.base))
        if self.config.train_prompts and self.training_prompts_PT is not None:
            self.training = self._scorer(self.training_prompts_PT[: self.config.train_prompts])

    def __call__(self, model: Policy, step: int) -> EvaluationRow:
        """Evaluate a model at every temperature of the recipe."""
        prompts_PT, length, stops = self.held_out.solutions.prompts_PT, self.task.completion_length, self.task.stops
        rollouts = sample(model, prompts_PT, length, self.config.entropy_samples, generator(0, "entropy"), stops=stops)
        completions_PT = greedy(model, prompts_PT, length, stops)
        rewards_P = self.task.rewards(prompts_PT.cpu().numpy(), completions_PT.cpu().numpy())
        held_out, training = self.scores(model)
        return EvaluationRow(
            step=step,
            greedy_accuracy=float((rewards_P >= MIN_CORRECT_REWARD).mean()),
            entropy=rollouts.mean_entropy,
            well_formed=self.task.well_formed(rollouts.completions_BT.cpu().numpy()),
            held_out=held_out,
            training=training,
        )

    def scores(self, model: Policy) -> tuple[tuple[PromptScores, ...], tuple[PromptScores, ...]]:
        """Scores on held-out prompts and on training prompts (empty if none are scored), one entry per temperature."""
        temperatures = self.config.temperatures
        training = () if self.training is None else self.training.scores(model, temperatures)
        return self.held_out.scores(model, temperatures), training

    def _scorer(self, prompts_PT: Tokens) -> PromptScorer:
        return PromptScorer.of(self.task, prompts_PT, self.base)


def _boundary(success_P: Floats) -> float:
    """Mean pass@BOUNDARY_K over prompts."""
    return float(pass_at_k_exact(success_P, [BOUNDARY_K]).mean())
