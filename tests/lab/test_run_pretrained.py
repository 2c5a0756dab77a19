"""The whole path on a pretrained model: train, kill and resume, compare with tuning, evaluate, mix weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

from rlvrscope import InputError, config
from rlvrscope.experiment.estimate import estimated_seconds
from rlvrscope.experiment.plan import Plan
from rlvrscope.experiment.results import Experiment
from rlvrscope.experiment.runner import run_experiment
from rlvrscope.experiment.tuning import Tuning
from rlvrscope.lab import checkpoint
from rlvrscope.lab.pretrain import base_path, load_base
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.run import train
from rlvrscope.lab.tokenised_task import tokenised
from rlvrscope.lab.trainer import Trainer
from rlvrscope.lab.wise import check_pair, interpolate, read_source
from rlvrscope.runs import EvaluationRow, RunFolder, TelemetryRow, at_temperature

pytest.importorskip("transformers")
CPU = torch.device("cpu")
TOML = """
format_version = 2
name = "tiny-text"
[task]
name = "mul"
largest = 20
[model]
pretrained = "FOLDER"
[train]
steps = 6
prompts = 32
prompts_per_step = 8
group_size = 8
minibatches = 2
learning_rate = 3e-3
warmup_steps = 0
[evaluate]
prompts = 12
every = 2
temperatures = [0.7, 1.0]
wise = [0.5]
"""
COMPARE = """
[compare]
objectives = ["grpo", "grpo-p"]
bases = [0, 1]
seeds = [0]
gains = [0.001]
[tune]
rates = [1e-3, 3e-3]
bases = [9]
prompts = 8
"""


@pytest.fixture(scope="module")
def text_recipe(text_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("text_recipe") / "recipe.toml"
    path.write_text(TOML.replace("FOLDER", str(text_model)) + COMPARE)
    return config.load(path, Recipe)


@pytest.fixture(scope="module")
def compared(text_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "out"
    assert not run_experiment(text_recipe, out, 2, "cpu", lambda event: None)
    return out


class Stop(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("changes", [{}, {"entropy_coef": 0.01, "anchor_coef": 0.1, "epochs": 2}])
def test_a_run_cut_off_and_resumed_gives_the_same_bytes(text_recipe: Recipe, tmp_path: Path, changes: dict):
    recipe = text_recipe.model_copy(update={"train": text_recipe.train.model_copy(update=changes)})
    base = load_base(recipe, base_path(recipe, CPU), CPU)
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    train(recipe, base, whole)

    def stop(step: int, metrics: dict) -> None:  # noqa: ARG001
        if step in (1, 3, 5):
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            train(recipe, base, cut, stop)
    train(recipe, base, cut)
    for name in ("telemetry.jsonl", "evaluation.jsonl", "interpolation.jsonl", "checkpoints/final.safetensors"):
        assert (cut.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert max(row.grad_norm for row in whole.rows(TelemetryRow)) > 0.0
    first, *_, last = whole.rows(EvaluationRow)
    assert np.abs(last.held_out[1].success_P - first.held_out[1].success_P).max() > 1e-4


def test_training_raises_the_reward(text_recipe: Recipe):
    base = load_base(text_recipe, base_path(text_recipe, CPU), CPU)
    policy = load_base(text_recipe, base_path(text_recipe, CPU), CPU)
    trainer = Trainer(policy, base, tokenised(text_recipe.task, base), text_recipe.train)
    rows = [trainer.step(step) for step in range(1, 61)]
    assert np.mean([row.reward for row in rows[-12:]]) > 1.5 * np.mean([row.reward for row in rows[:12]]) > 0.0
    assert rows[-1].kl > 0.01


@pytest.mark.parametrize("changes", [{"gradient": "exact", "minibatches": 1}, {"policy": "tabular"}])
def test_exact_gradients_and_tables_work_on_text(text_recipe: Recipe, tmp_path: Path, changes: dict):
    evaluate = text_recipe.evaluate.model_copy(update={"train_prompts": 16, "wise": ()})
    changed = {"train": text_recipe.train.model_copy(update=changes), "evaluate": evaluate}
    recipe = text_recipe.model_copy(update=changed)
    folder = RunFolder(tmp_path)
    train(recipe, load_base(recipe, base_path(recipe, CPU), CPU), folder)
    first, *_, last = (at_temperature(row.training) for row in folder.rows(EvaluationRow))
    assert last.pass_at_1 > first.pass_at_1


def test_in_bfloat16_the_first_update_is_on_policy(text_recipe: Recipe):
    """Log-probabilities of rollouts are computed again as updates compute them; the sampler's gap is reported."""
    half = text_recipe.model.model_copy(update={"dtype": "bfloat16"})
    recipe = text_recipe.model_copy(update={"model": half})
    base, policy = (load_base(recipe, base_path(recipe, CPU), CPU) for _ in range(2))
    config_ = recipe.train.model_copy(update={"minibatches": 1})
    row = Trainer(policy, base, tokenised(recipe.task, base), config_).step(1)
    assert row.ratio_max == pytest.approx(1.0, abs=0.02)
    assert 0.0 < row.sampler_kl < 0.01


def test_a_comparison_tunes_trains_and_is_read(compared: Path, text_recipe: Recipe):
    assert set(Tuning.read(compared / "tuning.json").rates) == {"grpo", "grpo-p"}
    experiment = Experiment.read(compared)
    assert sorted(run.name for run in experiment.runs) == [
        f"{arm}-base{base}-seed0" for arm in ("grpo", "grpo-p") for base in (0, 1)
    ]
    starts = [run.success_SP()[0] for run in experiment.runs]
    assert all(np.array_equal(start, starts[0]) for start in starts), "one base, whatever its number"
    entropies = {run.name: [row.entropy for row in run.telemetry] for run in experiment.runs}
    assert entropies["grpo-base0-seed0"] != entropies["grpo-base1-seed0"], "other training prompts"
    toml = (compared / "runs" / "grpo-base0-seed0" / "recipe.toml").read_text()
    assert "[pretrain]" not in toml
    assert config.load(compared / "recipe.toml", Recipe) == text_recipe


def test_the_time_is_estimated_in_another_process(text_recipe: Recipe, tmp_path: Path):
    planned = Plan.of(text_recipe, tmp_path).runs()
    assert 0.0 < estimated_seconds(planned[:1], 1, "cpu") < estimated_seconds(planned, 1, "cpu") * 3
    lost = text_recipe.model.model_copy(update={"pretrained": str(tmp_path)})
    broken = planned[0].recipe.model_copy(update={"model": lost})
    with pytest.raises(InputError, match="there is no settings in it"):
        estimated_seconds([replace(planned[0], recipe=broken)], 1, "cpu")


def test_runs_that_tune_keep_no_weights(compared: Path):
    (tuning, *_) = sorted((compared / "tuning").iterdir())
    assert RunFolder(tuning).final_checkpoint.stat().st_size < 1000
    with pytest.raises(InputError, match=r"holds no weights: its run has train\.keep_weights = false"):
        checkpoint.load(RunFolder(tuning).final_checkpoint, CPU)


def test_weights_of_a_run_mix_with_the_base(compared: Path, text_model: Path, text_recipe: Recipe):
    before, after = (read_source(path, CPU) for path in (text_model, compared / "runs" / "grpo-base0-seed0"))
    check_pair(before, after, text_recipe)
    middle = interpolate(before.model, after.model, 0.5)
    for weights, low, high in zip(
        *(each.module.parameters() for each in (middle, before.model, after.model)), strict=True
    ):
        torch.testing.assert_close(weights, (low + high) / 2)


def test_a_checkpoint_names_the_files_it_was_trained_from(compared: Path, text_model: Path, tmp_path: Path):
    path = RunFolder(compared / "runs" / "grpo-base0-seed0").final_checkpoint
    with safetensors.safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["rlvrscope"])
    assert header["model"] == {"pretrained": str(text_model), "dtype": "float32"}
    assert len(header["sha256"]) == 64
    moved = tmp_path / "moved"
    shutil.copytree(text_model, moved)
    settings = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps({**settings, "rms_norm_eps": 1e-3}))
    other, _, _ = checkpoint.load(path, CPU)
    other.config = other.config.model_copy(update={"pretrained": str(moved)})  # pyright: ignore[reportAttributeAccessIssue]
    checkpoint.save(tmp_path / "a.safetensors", other, kind="policy")
    with pytest.raises(InputError, match="holds other files than when the run began"):
        checkpoint.load(tmp_path / "a.safetensors", CPU)


@pytest.mark.parametrize(
    ("missing", "what"), [("model.safetensors", "weights"), ("tokenizer*", "tokenizer"), ("config.json", "settings")]
)
def test_a_folder_that_lacks_a_part_is_one_line(
    text_model: Path, text_recipe: Recipe, tmp_path: Path, missing: str, what: str
):
    folder = tmp_path / "lacking"
    shutil.copytree(text_model, folder)
    for file in folder.glob(missing):
        file.unlink()
    model = text_recipe.model.model_copy(update={"pretrained": str(folder)})
    with pytest.raises(InputError, match=f"there is no {what} in it"):
        base_path(text_recipe.model_copy(update={"model": model}), CPU)
