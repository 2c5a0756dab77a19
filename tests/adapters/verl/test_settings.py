"""Recipes of verl runs and their settings, without verl."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rlvrscope import config
from rlvrscope.adapters.verl.data_sets import messages, write_problems
from rlvrscope.adapters.verl.group_metrics import group_metrics
from rlvrscope.adapters.verl.launch import with_overrides
from rlvrscope.adapters.verl.recipe import VerlRecipe
from rlvrscope.adapters.verl.reward import compute_score
from rlvrscope.adapters.verl.run_paths import RunPaths
from rlvrscope.adapters.verl.settings import objective_settings, overrides, settings
from rlvrscope.errors import InputError
from rlvrscope.monitor import GroupLedger
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.problem import Problem

DATA = {"train": {"task": "math", "split": "train"}, "validation": {"task": "math"}}
PROBLEM = Problem("p1", "What is 1/4 + 1/4?", "1/2", metadata={"level": "1"})


def recipe(**changes: object) -> VerlRecipe:
    return config.parse({"model": "m", "data": DATA, **changes}, VerlRecipe, "recipe")


def test_a_resolved_recipe_reads_as_itself(tmp_path: Path):
    own = recipe(objective={"base": "w-reinforce", "name": "half", "positive_weight": 0.5})
    own = with_overrides(own, ["trainer.nnodes=2"])
    (tmp_path / "recipe.toml").write_text(config.dumps(own))
    assert config.load(tmp_path / "recipe.toml", VerlRecipe) == own


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"prompts_per_step": 1000}}, "multiple of minibatch_prompts"),
        ({"train": {"group_size": 1}}, "group_size must be at least 2"),
        ({"cluster": {"gpus_per_node": 7}}, "must divide among the 7 GPUs"),
        ({"cluster": {"tensor_parallel": 3}}, "tensor_parallel must divide"),
        ({"checkpoint": {"bank": "b.jsonl", "model": False}}, "bank needs model = true"),
        ({"objective": "grop"}, "Did you mean 'grpo'"),
        ({"trian": {}}, "unknown key 'trian'"),
    ],
)
def test_what_can_not_run_is_refused_in_one_line(changes: dict[str, object], message: str):
    with pytest.raises(InputError, match=message) as refusal:
        recipe(**changes)
    assert "\n" not in str(refusal.value)


def test_gspos_clip_and_aggregation_are_set():
    gspo = objective_settings(OBJECTIVES["gspo-n"], 100)
    assert gspo["actor_rollout_ref.actor.clip_ratio_low"] == 3e-4
    assert gspo["actor_rollout_ref.actor.clip_ratio_high"] == 4e-4
    assert gspo["actor_rollout_ref.actor.loss_agg_mode"] == "seq-mean-token-mean"
    assert objective_settings(OBJECTIVES["dr-grpo"], 100)["actor_rollout_ref.actor.loss_scale_factor"] == 100
    assert objective_settings(OBJECTIVES["grpo-kl-reverse"], 100)["actor_rollout_ref.actor.kl_loss_type"] == "k2"


def test_values_are_written_in_hydras_grammar(tmp_path: Path):
    values = dict(text.split("=", 1) for text in overrides(settings(recipe(), RunPaths(tmp_path / "it's"))))
    assert values["data.train_files"] == f"'{tmp_path}/it\\'s/data/train.parquet'"
    assert values["trainer.logger"] == "['console','file']"
    assert values["actor_rollout_ref.actor.loss_scale_factor"] == "null"
    assert values["actor_rollout_ref.actor.use_kl_loss"] == "false"


def test_problems_become_verls_columns_and_come_back_to_the_verifier(tmp_path: Path):
    path = tmp_path / "data" / "train.parquet"
    write_problems([PROBLEM], "math", "system", path)
    (row,) = pq.read_table(path).to_pylist()
    assert row["reward_model"] == {"style": "rule", "ground_truth": "1/2"}
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert row["prompt"][1]["content"] == PROBLEM.prompt
    for text, score in ((r"so it is \boxed{0.5}", 1.0), (r"\boxed{2}", 0.0), ("no box", 0.0)):
        verdict = compute_score(row["data_source"], text, row["reward_model"]["ground_truth"], row["extra_info"])
        assert verdict["score"] == verdict["acc"] == score


def test_the_instruction_goes_where_the_recipe_says():
    choice = Problem("c", "Which?", "B", "choice", metadata={"choices": ["one", "two"]})
    assert "boxed" in messages(PROBLEM, "user")[0]["content"]
    assert messages(PROBLEM, "none") == [{"role": "user", "content": PROBLEM.prompt}]
    assert messages(choice, "none")[0]["content"] == "Which?\n\nA. one\nB. two"


def test_each_attempt_has_its_own_file_of_metrics(tmp_path: Path):
    paths = RunPaths(tmp_path)
    assert paths.next_metrics().name == "attempt-1.jsonl"
    paths.next_metrics().parent.mkdir()
    (tmp_path / "metrics" / "attempt-10.jsonl").touch()
    assert paths.next_metrics().name == "attempt-11.jsonl"


def test_group_metrics_are_the_ledgers_and_the_signs_that_train():
    ledger = GroupLedger()
    prompts = {"a": 1, "b": 1, "c": 2}  # a batch may hold a prompt twice
    rewards = {"a": [1.0, 0.0], "b": [0.0, 0.0], "c": [1.0]}  # group c lost a rollout
    advantages = [0.7, -0.7, 0.0, 0.0, 0.0]
    metrics = group_metrics(ledger, 1, prompts, rewards, advantages, OBJECTIVES["grpo-n"])
    assert metrics["rlvrscope/positive_share"] == 0.0
    assert metrics["rlvrscope/negative_share"] == 0.2
    assert metrics["rlvrscope/pass_at_1"] == 0.25
    assert metrics["rlvrscope/pass_at_group"] == 0.5
    assert metrics["rlvrscope/equal_reward_share"] == pytest.approx(2 / 3)
    later = group_metrics(ledger, 2, {"d": 1}, {"d": [0.0, 0.0]}, [0.0, 0.0], None)
    assert later["rlvrscope/lost"] == 1
