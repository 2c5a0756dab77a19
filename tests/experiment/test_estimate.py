"""Time estimate of a comparison: what it counts, and that every kind of run can be timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvrscope.experiment import estimate
from rlvrscope.experiment.estimate import BASE_SHARE, estimated_seconds
from rlvrscope.experiment.plan import Plan
from rlvrscope.lab.recipe import CompareConfig, Recipe


def test_steps_evaluations_and_bases_are_counted(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RLVRSCOPE_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(estimate, "_timed", lambda recipe, where: (2.0, 3.0))  # seconds of a step, of an evaluation
    compare = CompareConfig(objectives=("grpo",), bases=(0, 1), seeds=(0,))
    evaluate = recipe.evaluate.model_copy(update={"every": 2, "also": (1,), "wise": (0.5,)})
    todo = Plan.of(recipe.model_copy(update={"compare": compare, "evaluate": evaluate}), tmp_path).runs()
    # 6 steps; evaluations of the base, after 1, 2, 4 and 6, and of one mixture; 700 steps of pre-training a base.
    one = 6 * 2.0 + 6 * 3.0 + 700 * BASE_SHARE * 2.0
    assert estimated_seconds(todo, 1, "cpu") == pytest.approx(2 * one)
    assert estimated_seconds(todo, 8, "cpu") == pytest.approx(one), "no more workers than runs"
    assert estimated_seconds([], 2, "cpu") == 0.0


def test_every_kind_of_run_can_be_timed(recipe: Recipe, tmp_path: Path):
    """Timing needs no trained base and runs no user function."""
    mine = tmp_path / "mine.py"
    mine.write_text("def late(rewards_PG, advantages_PG):\n    raise RuntimeError('run')\n")
    arms = {
        "exact": {"gradient": "exact"},
        "table": {"policy": "tabular"},
        "anchor": {"anchor_coef": 0.1},
        "tempered": {"temperature": 0.9, "loss_temperature": 0.9},
        "mine": {"objective": {"base": "grpo", "name": "mine", "shape": f"{mine}:late", "kl_coef": 0.1}},
    }
    compare = CompareConfig(arms=arms)
    evaluate = recipe.evaluate.model_copy(update={"train_prompts": 8})
    runs = Plan.of(recipe.model_copy(update={"compare": compare, "evaluate": evaluate}), tmp_path / "out").runs()
    assert estimated_seconds(runs, 2, "cpu") > 0.0
