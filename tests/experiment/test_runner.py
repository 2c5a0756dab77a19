"""An experiment: independent of the number of workers, gone on with, refused for another recipe."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rlvrscope import InputError
from rlvrscope.experiment.plan import Plan
from rlvrscope.experiment.runner import run_experiment
from rlvrscope.lab.device import check_device
from rlvrscope.lab.recipe import Recipe


def digest(folder: Path) -> dict[str, str]:
    files = [
        path for path in sorted((folder / "runs").rglob("[!.]*")) if path.is_file() and path.name != "timing.jsonl"
    ]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_results_do_not_depend_on_workers(experiment: Path, recipe: Recipe, tmp_path: Path):
    run_experiment(recipe, tmp_path / "out", workers=1, device="cpu", on_event=lambda event: None)
    assert digest(tmp_path / "out") == digest(experiment)
    assert len(digest(experiment)) == 2 * 5  # recipe, telemetry, ledger, evaluation, checkpoint


def test_what_is_done_is_not_done_again(experiment: Path, recipe: Recipe):
    before = digest(experiment)
    events = []
    run_experiment(recipe, experiment, workers=2, device="cpu", on_event=events.append)
    assert events == []
    assert digest(experiment) == before


def test_another_recipes_folder_is_left_alone(experiment: Path, recipe: Recipe):
    before = digest(experiment)
    other = recipe.model_copy(update={"name": "other"})
    with pytest.raises(InputError, match="holds a run of another recipe"):
        run_experiment(other, experiment, workers=1, device="cpu", on_event=lambda event: None)
    assert digest(experiment) == before


def test_runs_cross_bases_seeds_and_objectives(recipe: Recipe, tmp_path: Path):
    assert recipe.compare is not None
    compare = recipe.compare.model_copy(update={"bases": (0, 1), "seeds": (3, 4)})
    names = [run.name for run in Plan.of(recipe.model_copy(update={"compare": compare}), tmp_path).runs()]
    assert len(names) == len(set(names)) == 8
    assert names[:2] == ["grpo-base0-seed3", "grpo-p-base0-seed3"]


def test_a_recipe_without_a_comparison_is_refused(recipe: Recipe, tmp_path: Path):
    with pytest.raises(InputError, match=r"has no \[compare\] section"):
        Plan.of(recipe.model_copy(update={"compare": None}), tmp_path)


@pytest.mark.parametrize(("device", "message"), [("gpu", "must be cpu or cuda"), ("cuda:99", "is not available")])
def test_a_device_that_is_not_there_is_one_clear_line(device: str, message: str):
    with pytest.raises(InputError, match=message):
        check_device(device)
