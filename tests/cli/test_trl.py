"""`rlvrscope trl` end to end on a tiny model: run, kill and resume, read with the other commands, bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rlvrscope.cli.main import app
from rlvrscope.lab.tasks import Mul
from text_model import save_text_model

pytest.importorskip("trl")

RECIPE = """
format_version = 1

[model]
pretrained = {model}

[task]
name = "mul"
largest = 16
held_out_share = 0.4

[train]
objective = "grpo-n"
steps = 6
prompts = 10
prompts_per_step = 4
group_size = 4
batch = 16
learning_rate = 1e-3
max_tokens = 6
save_every = 2

[evaluate]
prompts = 8
samples = 8
every = 3
batch = 64

[probe]
prompts = 6
every = 2
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_text_model(tmp_path_factory.mktemp("model"), Mul(largest=16, held_out_share=0.4), steps=200)


@pytest.fixture
def recipe(tmp_path, model):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(model=json.dumps(str(model))))
    return path


def call(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.stdout, done.stderr


def rows(out, name):
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def test_a_run_leaves_a_run_folder_that_the_other_commands_read(recipe, tmp_path):
    out = tmp_path / "out put"
    code, shown, errors = call("trl", recipe, "--out", out)
    assert code == 0, errors
    assert "step 6 of 6: reward" in errors
    assert f"Run folder: {out}" in shown
    assert [row["step"] for row in rows(out, "telemetry.jsonl")] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows(out, "probe.jsonl")] == [0, 2, 4, 6]
    assert all(row["groups"] == 4 for row in rows(out, "ledger.jsonl"))
    assert any(0.0 < row["pass_at_1"] < 1.0 for row in rows(out, "ledger.jsonl"))
    assert {path.name for path in (out / "counts").iterdir()} == {"step-0.jsonl", "step-3.jsonl", "step-6.jsonl"}
    assert (out / "final" / "config.json").exists()
    assert main_ok("monitor", out, "--json")["reading"]["step"] == 6
    boundary = main_ok("boundary", f"{out}@0", out, "--json")
    assert boundary["problems"] == 8
    code, _, errors = call("boundary", f"{out}@0", f"{out}@5")
    assert (code, errors) == (2, f"error: {out} was not evaluated after step 5; it was after 0, 3, 6\n")
    page = tmp_path / "page.html"
    assert call("report", out, "--html", page)[0] == 0
    text = page.read_text()
    assert "What each run gained" in text
    assert "out put: mass of stored completions" in text
    code, _, errors = call("trl", recipe, "--out", out)  # nothing is left to do
    assert (code, errors) == (0, "")


def main_ok(*arguments):
    code, shown, errors = call(*arguments)
    assert code == 0, errors
    return json.loads(shown)


def test_killed_and_resumed_is_the_same_run(recipe, model, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert call("trl", recipe, "--out", whole)[0] == 0
    command = [sys.executable, "-m", "rlvrscope", "trl", str(recipe), "--out", str(parts)]
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (parts / "checkpoint-2" / "rlvrscope_ledger.json").exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (parts / "final").exists()
    code, _, errors = call("trl", recipe, "--out", parts)
    assert code == 0, errors
    assert {path.name for path in (parts / "counts").iterdir()} == {path.name for path in (whole / "counts").iterdir()}
    for name in ("telemetry.jsonl", "ledger.jsonl", "probe.jsonl", "bank.jsonl", "recipe.toml", "counts/step-6.jsonl"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name
    weights = [(folder / "final" / "model.safetensors").read_bytes() for folder in (whole, parts)]
    assert weights[0] == weights[1]
    assert weights[0] != (model / "model.safetensors").read_bytes()
    assert any(row["grad_norm"] > 0.0 for row in state_of(whole)["log_history"] if "grad_norm" in row)


def test_killed_before_the_first_checkpoint_starts_anew(recipe, tmp_path):
    out = tmp_path / "out"
    assert call("trl", recipe, "--out", out, "--set", "train.steps=2")[0] == 0
    kept = {name: (out / name).read_bytes() for name in ("telemetry.jsonl", "ledger.jsonl", "counts/step-2.jsonl")}
    for folder in (out / "final", out / "checkpoint-2"):
        shutil.rmtree(folder)
    code, _, errors = call("trl", recipe, "--out", out, "--set", "train.steps=2")
    assert code == 0, errors
    assert {name: (out / name).read_bytes() for name in kept} == kept


def test_runs_of_one_folder_name_are_told_by_their_paths(recipe, tmp_path):
    runs = [tmp_path / name / "seed0" for name in ("a", "b")]
    for out in runs:
        assert call("trl", recipe, "--out", out, "--set", "train.steps=1", "--set", "evaluate.every=1")[0] == 0
    page = tmp_path / "page.html"
    assert call("report", *runs, "--html", page)[0] == 0
    assert all(str(out) in page.read_text() for out in runs)


def state_of(out):
    return json.loads((out / "checkpoint-6" / "trainer_state.json").read_text())


def test_lora_and_several_updates(recipe, tmp_path):
    out = tmp_path / "out"
    changes = ["model.lora_rank=4", "train.updates=2", "train.batch=8", "train.steps=2", "evaluate.every=2"]
    settings = [part for change in changes for part in ("--set", change)]
    code, _, errors = call("trl", recipe, "--out", out, *settings)
    assert code == 0, errors
    assert (out / "final" / "adapter_config.json").exists()
    assert [row["step"] for row in rows(out, "telemetry.jsonl")] == [1, 2, 3, 4]
    assert [row["step"] for row in rows(out, "ledger.jsonl")] == [1, 3]
    assert main_ok("monitor", out, "--json")["reading"]["step"] == 4


def test_problems_of_a_file_are_verified(recipe, tmp_path):
    problems = tmp_path / "problems.jsonl"
    lines = [{"id": str(n), "prompt": f"{n} + 1 =", "answer": str(n + 1), "forms": ["whole"]} for n in range(40)]
    problems.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out"
    text = recipe.read_text()
    task = text[text.index("[task]") : text.index("[train]")]
    probe = text[text.index("[probe]") :]
    table = f'[task]\nname = {json.dumps(str(problems))}\ntemplate = "none"\nheld_out_share = 0.4\n\n'
    recipe.write_text(text.replace(task, table).replace(probe, ""))
    code, _, errors = call("trl", recipe, "--out", out, "--set", "train.steps=1", "--set", "evaluate.every=1")
    assert code == 0, errors
    counted = rows(out, "counts/step-0.jsonl")
    assert len(counted) == 8
    assert {row["problem"] for row in counted} <= {line["id"] for line in lines}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.objective=grop", "no objective is called 'grop'. Did you mean 'grpo'"),
        ("train.group_size=1", "train.group_size: "),
        ("train.batch=12", "16 rollouts must divide into 1 updates of whole batches of 12"),
        ("train.objective=pass-at-k", "group_size must be at least 5 for objective 'pass-at-k'; got 4"),
        ("model.pretrained=model.gguf", "convert it first (rlvrscope lab convert model.gguf --out FOLDER)"),
        ("model.pretrained=/no/such/folder", "transformers can't load a model and its tokenizer from it"),
        ("task={name='mull'}", "unknown task 'mull'"),
        ("task.colour=1", "unknown key 'task.colour'"),
        ("task={name='p.jsonl', count='many'}", "[task]: count: "),
        ("train.prompts=5000", "training prompts; got train.prompts = 5000"),
        ("grpo.epsilonn=0.1", "[grpo] epsilonn: GRPOConfig has no such field. Did you mean 'epsilon'"),
        (
            "grpo.gradient_accumulation_steps=4",
            "[grpo] gradient_accumulation_steps is set by the recipe's other sections",
        ),
        ("grpo.num_iterations=2", "[grpo] num_iterations: set train.updates"),
        ("grpo.reward_weights=[1.0, 2.0]", "TRL refuses these settings"),
        ("grpo.max_steps=3", "[grpo] max_steps is set by the recipe's other sections"),
        ("grpo.epsilon=0.3", "GRPOConfig has epsilon=0.3, and objective 'grpo-n' means 0.2"),
        ("train.stop_on=['explotation']", "no stage or alarm is called 'explotation'"),
        ("train.then={exploration='gspo'}", "'gspo' differs from 'grpo-n' in importance_sampling_level"),
        ("probe.bank=nothing.jsonl", "cannot read nothing.jsonl"),
    ],
)
def test_bad_input_is_one_line_before_any_training(recipe, tmp_path, change, message):
    code, _, errors = call("trl", recipe, "--out", tmp_path / "out", "--set", change)
    assert code == 2
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert "Traceback" not in errors
    assert not (tmp_path / "out" / "telemetry.jsonl").exists()


def test_another_recipe_s_folder_is_refused(recipe, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    code, _, errors = call("trl", recipe, "--out", out)
    assert code == 2
    assert "holds other files" in errors
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_imports_of_the_command_need_no_trl():
    code = "import sys, rlvrscope.cli.main, rlvrscope.adapters.trl; sys.exit(bool({'trl', 'torch'} & set(sys.modules)))"
    path = os.pathsep.join([str(Path(__file__).parents[2] / "src"), *sys.path])
    assert subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}).returncode == 0
