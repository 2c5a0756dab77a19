"""Counts drawn from a finished experiment of the lab, and folders that are not finished."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.readers import ReadOptions, read_models


def success(experiment: Path, name: str, step: int) -> list[float]:
    lines = (experiment / "runs" / name / "evaluation.jsonl").read_text().splitlines()
    row = next(row for row in map(json.loads, lines) if row["step"] == step)
    return next(score["success_P"] for score in row["held_out"] if score["temperature"] == 1.0)


def test_an_experiment_is_its_base_and_its_objectives(experiment: Path):
    models = read_models(str(experiment), ReadOptions(samples=64))
    assert [model.name for model in models] == ["base", "grpo", "grpo-p"]
    base, grpo, _ = (model.counts for model in models)
    assert base.problem == tuple(f"prompt-{i:03}" for i in range(24))
    assert set(np.asarray(base.n)) == {64}
    assert (base.runs, base.seed) == ([("0", "")], None)
    assert grpo.runs == [("0", "0")]
    assert not models[0].has_texts
    assert models[0].texts("prompt-000") == []


def test_draws_follow_the_exact_probabilities(experiment: Path):
    many = 1_000_000
    (grpo,) = read_models(f"{experiment}#grpo", ReadOptions(samples=many))
    np.testing.assert_allclose(
        np.asarray(grpo.counts.c) / many, success(experiment, "grpo-base0-seed0", 6), atol=5 * 0.5 / np.sqrt(many)
    )


def test_the_same_folder_gives_the_same_counts(experiment: Path):
    first, again = (read_models(str(experiment)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.counts.c, other.counts.c)
    drawn = {tuple(np.asarray(model.counts.c)) for model in first}
    assert len(drawn) == 3, "each model has its own draw"


def test_every_run_of_a_base_has_the_same_base(experiment: Path):
    (of_experiment,) = read_models(f"{experiment}@0")
    assert of_experiment.name == "base"
    for name in ("grpo-base0-seed0", "grpo-p-base0-seed0"):
        (of_run,) = read_models(f"{experiment / 'runs' / name}@0")
        assert (of_run.name, of_run.counts.seed, of_run.counts.base) == ("base", None, ("0",) * 24)
        np.testing.assert_array_equal(of_run.counts.c, of_experiment.counts.c)


def test_a_run_and_its_steps(experiment: Path):
    run = experiment / "runs" / "grpo-base0-seed0"
    (last,) = read_models(str(run))
    assert last.name == "grpo"
    assert last.counts.runs == [("0", "0")]
    np.testing.assert_array_equal(last.counts.c, read_models(f"{experiment}#grpo")[0].counts.c)
    assert [model.name for model in read_models(f"{experiment}@4")] == ["base", "grpo@4", "grpo-p@4"]
    assert read_models(f"{run}@4#grpo")[0].name == "grpo@4"
    with pytest.raises(InputError, match="there is no evaluation at step 3; there are 0, 2, 4, 6"):
        read_models(f"{run}@3")
    with pytest.raises(InputError, match="there is no model 'gspo'; there is base, grpo, grpo-p"):
        read_models(f"{experiment}#gspo")


@pytest.fixture
def spoilt(experiment: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(experiment, tmp_path / "out"))


def test_runs_that_are_not_finished(spoilt: Path):
    run = spoilt / "runs" / "grpo-base0-seed0"
    (run / "checkpoints" / "final.safetensors").unlink()
    for source in (spoilt, run):
        with pytest.raises(InputError, match="grpo-base0-seed0 is not finished"):
            read_models(str(source))
    shutil.rmtree(spoilt / "runs")
    with pytest.raises(InputError, match="is not finished"):
        read_models(str(spoilt))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"success_P": [', '"success_P": ["a", ', "evaluation.jsonl is damaged: line 1: held_out.0.success_P"),
        ('"success_P": [', '"success_P": [NaN, ', "a list of finite numbers"),
        ('"success_P": [', '"success_P": [1.5, ', "a list of probabilities"),
        ('"temperature": 1.0', '"temperature": 2.0', "temperature 1 was not scored"),
        ('"held_out": [', '"held_out": {"a": [', "evaluation.jsonl is damaged"),
        ('"step": 6', '"step": 5', "does not reach step 6"),
        ('"success_P"', '"\xe9"', "evaluation.jsonl is damaged"),
    ],
)
def test_damaged_evaluations(spoilt: Path, old: str, new: str, what: str):
    path = spoilt / "runs" / "grpo-base0-seed0" / "evaluation.jsonl"
    path.write_bytes(path.read_text().replace(old, new).encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read_models(str(path.parent))
    assert what in str(caught.value)
    assert str(path.parent) in str(caught.value)


def test_samples_to_draw_are_checked(experiment: Path):
    with pytest.raises(InputError, match="must be 1 or more; got 0"):
        read_models(str(experiment), ReadOptions(samples=0))


def test_a_folder_of_an_earlier_format_is_refused(spoilt: Path):
    for recipe in spoilt.rglob("recipe.toml"):
        recipe.write_text(recipe.read_text().replace("format_version = 2", "format_version = 1", 1))
    for source in (spoilt, spoilt / "runs" / "grpo-base0-seed0"):
        with pytest.raises(InputError, match="format_version: must be 2; got 1: written by an earlier version"):
            read_models(str(source))
