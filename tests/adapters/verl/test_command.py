# pyright: reportMissingImports=false
"""`rlvrscope verl`: its dry run is accepted by verl itself, and what can't run is one line before Ray starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlvrscope import config
from rlvrscope.adapters.verl.configuration import compose, validate
from rlvrscope.adapters.verl.data_sets import write_problems
from rlvrscope.adapters.verl.launch import with_overrides
from rlvrscope.adapters.verl.recipe import VerlRecipe
from rlvrscope.adapters.verl.run_paths import RunPaths
from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from text_model import byte_level_tokenizer

pytest.importorskip("verl")
pytestmark = pytest.mark.verl
from verl.utils.dataset.rl_dataset import RLHFDataset  # noqa: E402

RECIPES = Path(__file__).parents[3] / "recipes"
RECIPE = """
model = "Qwen/Qwen2.5-Math-7B"
objective = "gspo-n"
[data]
train = { task = "math", split = "train" }
validation = { task = "math" }
"""


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.toml").write_text(RECIPE)
    return subprocess.run(
        [sys.executable, "-m", "rlvrscope", "verl", "recipe.toml", *arguments],
        capture_output=True, text=True, cwd=folder, env=os.environ | environment,
    )  # fmt: skip


def test_a_dry_run_prints_the_configuration_that_verl_validated_and_writes_nothing(tmp_path: Path):
    done = command(tmp_path, "--dry-run", "trainer.total_training_steps=7")
    assert done.returncode == 0, done.stderr
    assert "loss_mode: rlvrscope_gspo-n" in done.stdout
    assert "adv_estimator: rlvrscope_gspo-n" in done.stdout
    assert "total_training_steps: 7" in done.stdout
    assert "All configuration checks passed" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.toml"]


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--dry-run"], {"VERL_USE_EXTERNAL_PLUGINS": "none"}, "leaves the plug-in 'rlvrscope' out"),
        ([], {}, "'vllm' is not installed"),
    ],
)
def test_what_can_not_run_is_one_line_before_ray_starts(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], message: str
):
    done = command(tmp_path, *arguments, **environment)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("actor_rollout_ref.actor.lrr=1", "verl's configuration refuses 'actor_rollout_ref.actor.lrr=1'"),
        ("trainer.nnodes=two", "trainer.nnodes must be a number; got 'two'"),
        ("+algorithm.foo=1", "verl refuses this configuration: AlgoConfig"),
        ("actor_rollout_ref.actor.loss_agg_mode=mean", "Invalid loss_agg_mode: mean"),
        ("data.train_batch_size=1000", "must be a multiple of actor.ppo_mini_batch_size"),
    ],
)
def test_overrides_that_verl_does_not_take_are_refused_in_one_line(tmp_path: Path, override: str, message: str):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = with_overrides(config.load(tmp_path / "recipe.toml", VerlRecipe), [override])
    with pytest.raises(InputError) as refusal:
        validate(compose(recipe, RunPaths(tmp_path), tmp_path / "metrics.jsonl"))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["qwen", "llama"])
@pytest.mark.parametrize("objective", [None, "gspo-n", "nsr"])
def test_verl_accepts_the_papers_recipe_and_reads_data_of_its_schema(tmp_path: Path, name: str, objective: str | None):
    changes = [f"objective={objective}"] if objective else []
    recipe = config.load(RECIPES / "paper-math" / f"{name}.toml", VerlRecipe, changes)
    composed = compose(recipe, RunPaths(tmp_path), tmp_path / "metrics.jsonl")
    validate(composed)
    assert composed.data.train_batch_size == 1024
    assert composed.actor_rollout_ref.actor.ppo_mini_batch_size == 256
    assert composed.actor_rollout_ref.actor.clip_ratio_high == (4e-4 if objective == "gspo-n" else 0.2)
    mode = {"gspo-n": "seq-mean-token-mean"}.get(str(objective), "token-mean")
    assert composed.actor_rollout_ref.actor.loss_agg_mode == mode

    problems = [Problem(f"p{number}", f"What is {number} + 1?", str(number + 1)) for number in range(3)]
    write_problems(problems, "math", recipe.data.instruction, Path(composed.data.train_files))
    tokenizer = byte_level_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    data = RLHFDataset(composed.data.train_files, tokenizer, composed.data)
    assert len(data) == 3
    assert data[1]["reward_model"]["ground_truth"] == "2"
    assert data[1]["raw_prompt"][-1]["role"] == "user"
