"""Exact evaluation: against every completion there is, and against sampling within its error."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from rlvrscope.experiment.results import Experiment
from rlvrscope.lab import checkpoint
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.recipe import EvaluateConfig, ModelConfig, Recipe
from rlvrscope.lab.sampler import sample
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.lab.tasks import Line
from rlvrscope.runs import at_temperature
from rlvrscope.seeding import generator
from rlvrscope.stats import pass_at_k, pass_at_k_exact

CPU = torch.device("cpu")


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
def test_success_equals_the_sum_over_every_completion(temperature: float):
    """One step of Line: all 59 x 59 completions of a prompt can be scored, right or wrong."""
    task = Line(steps=1)
    model = Transformer(ModelConfig(width=16, layers=1, heads=2), task.vocab_size, 9).initialise(generator(0, "all"))
    prompts = task.prompts(4, "held_out", generator(0, "p"))
    solutions = SolutionSet.of(task, prompts, CPU)
    (mass_Y,) = solution_mass(model, solutions, (temperature,))
    every = np.array(list(itertools.product(range(task.vocab_size), repeat=2)))
    for index, prompt in enumerate(prompts):
        rows = np.repeat(prompt[None], len(every), axis=0)
        tokens = torch.from_numpy(np.concatenate([rows, every], axis=1))
        logp = token_logp(model(tokens[:, :-1])[:, 6:], tokens[:, 7:], temperature).double().sum(1)
        chance = logp.exp().detach().numpy()
        assert chance.sum() == pytest.approx(1.0, abs=1e-5)
        expected = (chance * task.rewards(rows, every)).sum()
        assert solutions.sum_by_prompt(mass_Y)[index] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_exact_agrees_with_sampling_within_its_error(experiment: Path, recipe: Recipe, temperature: float):
    """A trained model, 400 samples of 24 prompts: success, pass@16 and distinct answers."""
    path = experiment / "runs" / "grpo-base0-seed0" / "checkpoints" / "final.safetensors"
    model, _, _ = checkpoint.load(path, CPU)
    evaluator = Evaluator(recipe.token_task, recipe.evaluate, model)
    score = at_temperature(evaluator(model, 0).held_out, temperature)
    success_P = score.success_P
    assert 0.02 < success_P.mean() < 0.98
    draws, task = 400, recipe.token_task
    prompts = evaluator.held_out.solutions.prompts_PT
    drawn = sample(model, prompts, task.completion_length, draws, generator(0, "check"), temperature=temperature)
    rewards_B = task.rewards(prompts[drawn.prompt_B].numpy(), drawn.completions_BT.numpy())
    right_PG = rewards_B.reshape(-1, draws)
    error_P = np.sqrt(success_P * (1 - success_P) / draws)
    assert (np.abs(right_PG.mean(axis=1) - success_P) <= 4.5 * error_P + 1e-9).all()
    estimate = pass_at_k(np.full(len(prompts), draws), right_PG.sum(axis=1), [16]).mean()
    assert estimate == pytest.approx(pass_at_k_exact(success_P, [16]).mean(), abs=0.03)


def test_classes_share_out_the_right_mass(experiment: Path):
    for run in Experiment.read(experiment).runs:
        kinds = sum(run.mass_SP(kind) for kind in ("dominant", "other", "rare"))
        np.testing.assert_allclose(kinds, run.success_SP(), atol=1e-6)


def test_dominant_is_the_most_likely_right_answer_and_rare_is_below_one_in_256(model: Transformer, recipe: Recipe):
    evaluator = Evaluator(recipe.token_task, recipe.evaluate, model)
    (mass_Y,) = solution_mass(model, evaluator.held_out.solutions)
    prompt_Y, class_Y = evaluator.held_out.solutions.prompt_Y, evaluator.held_out.class_Y
    for prompt in range(evaluator.held_out.solutions.problems):
        mine = prompt_Y == prompt
        assert (class_Y[mine] == 0).sum() == 1
        assert mass_Y[mine][class_Y[mine] == 0] == mass_Y[mine].max()
    assert (mass_Y[class_Y == 2] < 1 / 256).all()
    assert (mass_Y[class_Y == 1] >= 1 / 256).all()


def test_distinct_answers_by_hand(model: Transformer, recipe: Recipe):
    """Expected different right answers in 256 samples: sum over answers of 1 - (1 - mass)^256."""
    evaluator = Evaluator(recipe.token_task, EvaluateConfig(prompts=3), model)
    (mass_Y,) = solution_mass(model, evaluator.held_out.solutions)
    row = evaluator(model, 5)
    expected = [
        sum(1 - (1 - mass) ** 256 for mass in mass_Y[evaluator.held_out.solutions.prompt_Y == prompt])
        for prompt in range(3)
    ]
    assert row.step == 5
    np.testing.assert_allclose(
        row.held_out[0].distinct_P, expected, rtol=1e-2
    )  # masses of 1e-10 differ by float32 rounding
    assert row.held_out[0].distinct_correct == pytest.approx(np.mean(expected), rel=1e-4)


def test_cooling_sharpens(experiment: Path, recipe: Recipe):
    """A trained model at temperature .7 has fewer different answers than at 1."""
    (run, *_) = Experiment.read(experiment).runs
    cool, plain = (np.mean(run.scores(temperature)[-1].distinct_P) for temperature in recipe.evaluate.temperatures)
    assert cool < plain
