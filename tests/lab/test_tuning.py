"""Learning rates from an equal grid: which runs, and which rate wins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from massflow.lab.cells import Cell, cells, tuning_cells
from massflow.lab.comparison import CompareConfig, TuneConfig
from massflow.lab.recipe import Recipe
from massflow.lab.tuning import chosen_rates
from massflow.runs import RunFolder

GAINS = (0.1, 0.2)


@pytest.fixture
def tuned(recipe: Recipe) -> Recipe:
    arms = {"own": {"learning_rate": 1e-5}, "anchor": {"anchor_coef": 0.1}}
    compare = CompareConfig(objectives=("grpo",), arms=arms, seeds=(0,))
    return recipe.model_copy(update={"compare": compare, "tune": TuneConfig(rates=(1e-4, 1e-3), prompts=10)})


def test_the_grid_is_equal_and_on_prompts_and_a_base_of_its_own(tuned: Recipe, tmp_path: Path):
    found = tuning_cells(tuned, tmp_path)
    assert {arm: list(by_rate) for arm, by_rate in found.items()} == {"grpo": [1e-4, 1e-3], "anchor": [1e-4, 1e-3]}
    one = found["anchor"][1e-3].recipe
    assert (one.train.learning_rate, one.train.seed, one.pretrain.seed) == (1e-3, 1000, 1000)
    assert (one.evaluate.prompts, one.evaluate.avoid, one.evaluate.temperatures) == (10, 24, (1.0,))
    assert one.train.anchor_coef == 0.1


def test_the_comparison_takes_the_rates_found(tuned: Recipe, tmp_path: Path):
    rates = {cell.name: cell.recipe.train.learning_rate for cell in cells(tuned, tmp_path, {"grpo": 5e-4})}
    assert rates == {"grpo-base0-seed0": 5e-4, "own-base0-seed0": 1e-5, "anchor-base0-seed0": 1e-3}
    assert tuned.train.learning_rate == 1e-3


def run(recipe: Recipe, folder: Path, success: list[list[float]] | None) -> Cell:
    """A finished run with these P(right), a row an evaluation; None: one that failed."""
    train = recipe.train.model_copy(update={"steps": len(success or [0]) - 1})
    cell = Cell(folder.name, recipe.model_copy(update={"train": train}), RunFolder(folder))
    for step, row in enumerate(success or []):
        cell.folder.append("evaluation", {"step": step, "scores": [{"temperature": 1.0, "success": row}]})
    if success:
        cell.folder.final_checkpoint.parent.mkdir()
        cell.folder.final_checkpoint.touch()
    return cell


def test_the_best_boundary_at_the_gains_wins(recipe: Recipe, tmp_path: Path):
    # pass@256 at p = .004 is .64, at 0 it is 0. "wide" gains as much as "narrow" and keeps its second prompt.
    # "slow" never gains .2, which counts 0; of two that gain nothing, the higher pass@1 decides.
    rows = {
        "narrow": [[0.3, 0.004], [0.7, 0.0]],
        "wide": [[0.3, 0.004], [0.7, 0.004]],
        "slow": [[0.3, 0.004], [0.5, 0.1]],
        "flat": [[0.3, 0.004], [0.31, 0.004]],
        "flatter": [[0.3, 0.004], [0.3, 0.004]],
    }
    made = {name: run(recipe, tmp_path / name, success) for name, success in rows.items()}
    lost = run(recipe, tmp_path / "lost", None)
    found = {
        "a": {1e-4: made["narrow"], 2e-4: made["wide"], 4e-4: made["slow"]},
        "b": {1e-4: made["flatter"], 2e-4: made["flat"]},
        "c": {1e-4: lost, 2e-4: made["flat"]},
        "d": {1e-4: lost, 2e-4: lost},
    }
    assert chosen_rates(found, GAINS, tmp_path / "t.json") == {"a": 2e-4, "b": 2e-4, "c": 2e-4, "d": 1e-4}
    table = json.loads((tmp_path / "t.json").read_text())["arms"]
    assert [row["learning_rate"] for row in table["a"]["scores"]] == [1e-4, 2e-4, 4e-4]
    assert table["d"]["scores"] == []
