# pyright: reportMissingImports=false
"""Our trainer in verl's registry, the check of a cluster's nodes on a real Ray, and the probe of a checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from rlvrscope.errors import InputError
from rlvrscope.monitor import Bank
from rlvrscope.problem import Problem
from rlvrscope.scoring import ScoreRequest
from text_model import byte_level_tokenizer, tiny_llama

pytest.importorskip("verl")
pytestmark = pytest.mark.verl
import ray  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from verl.trainer.ppo.v1 import PPOTrainerSync, get_trainer_cls  # noqa: E402

from rlvrscope.adapters.verl import trainer  # noqa: E402
from rlvrscope.adapters.verl.checks import check_machine  # noqa: E402
from rlvrscope.adapters.verl.names import TRAINER_MODE  # noqa: E402
from rlvrscope.adapters.verl.probe_callback import ProbeCallback  # noqa: E402
from rlvrscope.adapters.verl.recipe import VerlRecipe  # noqa: E402
from rlvrscope.adapters.verl.task_runner import check_nodes  # noqa: E402
from rlvrscope.engines import open_scorer  # noqa: E402


def test_verl_takes_our_trainer_for_its_synchronous_one():
    registered = get_trainer_cls(TRAINER_MODE)
    assert registered is trainer.GroupTrainer
    assert issubclass(registered, PPOTrainerSync)
    ours = registered.__new__(registered)
    ours.trainer_mode = TRAINER_MODE  # as verl's constructor does
    assert ours.trainer_mode == "sync"


@pytest.mark.skipif(" " in sys.executable, reason="Ray starts workers by an unquoted command")
def test_a_node_without_the_plugin_is_named():
    environment = {"env_vars": {"VERL_USE_EXTERNAL_PLUGINS": "none"}}
    ray.init(address="local", num_cpus=1, include_dashboard=False, runtime_env=environment)
    try:
        check_nodes("vanilla")  # verl's own loss needs no plug-in
        with pytest.raises(InputError, match="leaves the plug-in"):
            check_nodes("rlvrscope_grpo-n")
    finally:
        ray.shutdown()


def test_a_python_in_a_folder_with_a_space_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/a folder/bin/python")
    data = {"train": {"task": "a.jsonl"}, "validation": {"task": "b.jsonl"}}
    recipe = VerlRecipe.model_validate({"model": "m", "data": data})
    with pytest.raises(InputError, match="must hold no space; got '/a folder/bin/python'"):
        check_machine(recipe)


def test_each_checkpoint_is_probed_and_a_resumed_run_writes_its_rows_again(tmp_path: Path):
    tokenizer = byte_level_tokenizer()
    for step in (1, 2):
        folder = tmp_path / f"global_step_{step}" / "actor" / "huggingface"
        tiny_llama(len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    scorer = open_scorer("transformers", str(tmp_path / "global_step_1" / "actor" / "huggingface"))
    problem = Problem("p", "1+1=", "2")
    bank = Bank.of(
        scorer, {ScoreRequest(problem, problem.prompt, "2"): 3}, {ScoreRequest(problem, problem.prompt, "3"): 1}
    )
    bank.save(tmp_path / "bank.jsonl")
    rows = tmp_path / "probe.jsonl"
    config = OmegaConf.create({"rlvrscope": {"bank": str(tmp_path / "bank.jsonl"), "folder": str(tmp_path)}})
    for attempt in range(2):
        callback = ProbeCallback(config)
        for step in (1, 2) if attempt == 0 else (2,):
            callback.on_save(None, global_step=step, checkpoint_dir=str(tmp_path / f"global_step_{step}"))
    written = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["step"] for row in written] == [1, 2]
    assert written[0]["classes"]["dominant"]["left"] == pytest.approx(1.0, abs=1e-4)  # the base itself
