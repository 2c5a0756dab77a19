"""Which prompts: selected by the base's masses, tuning apart from evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlvrscope import InputError
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.prompts import drawn_at, evaluation_prompts, training_prompts
from rlvrscope.lab.recipe import EvaluateConfig, SelectConfig, TrainConfig
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.lab.tasks import Line

TASK = Line(steps=2, common_reward=0.5)
CPU = torch.device("cpu")


def test_prompts_to_tune_on_are_others(model: Transformer):
    scored = evaluation_prompts(TASK, EvaluateConfig(prompts=120), None, model)
    tuned = evaluation_prompts(TASK, EvaluateConfig(prompts=60, avoid=120), None, model)
    assert len(tuned) == 60
    assert not {tuple(prompt) for prompt in tuned} & {tuple(prompt) for prompt in scored}


def test_runs_of_a_seed_on_other_bases_draw_anew(model: Transformer):
    def drawn(**changes: int) -> tuple[list, list]:
        config = TrainConfig(prompts=64, **changes)
        return training_prompts(TASK, config, None, model).tolist(), drawn_at(1, config).tolist()

    prompts, order = drawn()
    assert drawn(learning_rate=1e-3) == (prompts, order)
    for changes in ({"base": 1}, {"seed": 1}):
        assert drawn(**changes)[0] != prompts
        assert drawn(**changes)[1] != order


def test_a_selection_admits_by_the_masses_of_the_base(model: Transformer):
    wide = training_prompts(TASK, TrainConfig(prompts=300), None, model)
    mass_P = masses(model, wide)[0]
    least = float(np.quantile(mass_P, 0.7))
    select = SelectConfig(success=(least, 1.0), dominance=1.0)
    found = training_prompts(TASK, TrainConfig(prompts=40), select, model)
    right_P, optimal_P = masses(model, found)
    assert len(np.unique(found, axis=0)) == 40
    assert (right_P >= least).all()
    assert (right_P - optimal_P >= optimal_P).all()


def test_a_selection_that_admits_none_is_refused(model: Transformer):
    select = SelectConfig(optimal=(0.99, 1.0))
    with pytest.raises(InputError, match=r"\[select\] admits only 0 of the train prompts"):
        training_prompts(TASK, TrainConfig(prompts=64), select, model)


def masses(model: Transformer, prompts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    solutions = SolutionSet.of(TASK, prompts, CPU)
    (mass_Y,) = solution_mass(model, solutions)
    return solutions.sum_by_prompt(mass_Y), solutions.sum_by_prompt(mass_Y * solutions.optimal_Y)
