"""The command line, run as a user runs it: results, exit codes, one-line errors, kill and Ctrl-C."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlvrscope.cli.shared.guard import interruption_message
from terminal import COLUMNS, on_terminal

RLVRSCOPE = [sys.executable, "-m", "rlvrscope"]


def rlvrscope(*words: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*RLVRSCOPE, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("[!.]*")) if path.is_file() and path.name != "timing.jsonl"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def demo_flags(recipe_file: Path) -> list[str]:
    """`rlvrscope demo --quick` made tiny."""
    import tomllib

    def flatten(table: dict, prefix: str = "") -> list[str]:
        flags = []
        for key, value in table.items():
            if isinstance(value, dict):
                flags += flatten(value, f"{prefix}{key}.")
            elif key != "format_version":
                flags += ["--set", f"{prefix}{key}={json.dumps(value)}"]
        return flags

    return ["--quick", *flatten(tomllib.loads(recipe_file.read_text()))]


def test_help_fits_a_narrow_terminal():
    for words in ([], ["demo"], ["wise"], ["lab"], ["lab", "train"], ["lab", "pretrain"]):
        text = rlvrscope(*words, "--help").stdout
        assert "Usage: " in text
        assert max(map(len, text.splitlines())) <= 80


def test_version():
    assert rlvrscope("--version").stdout == "rlvrscope 0.1.0\n"


def test_start_up_is_light():
    """Help must not wait for large libraries; Ctrl-C is handled before the command-line libraries load."""
    heavy = {"torch", "altair", "vl_convert", "numpy", "scipy"}
    code = f"import sys, rlvrscope.cli.main; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
    code = "import sys, rlvrscope.__main__; print(sorted({'typer', 'click', 'rich', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_demo_end_to_end(cache: Path, demo_flags: list[str], tmp_path: Path):  # noqa: ARG001
    out = tmp_path / "out"
    printed = rlvrscope("demo", *demo_flags, "--out", out).stdout
    assert "pass@256" in printed
    names = {path.name for path in out.iterdir()}
    files = {"recipe.toml", "environment.json", "summary.json", "times.json", "report.html"}
    assert names == {*files, "figures", "runs"}
    charts = ("frontier", "envelopes", "prompts", "pass-at-k", "training", "mass-flow", "stages")
    made = {path.name for path in (out / "figures").iterdir()}
    assert made - {"equal-pass.png", "equal-pass.svg"} == {f"{c}.{kind}" for c in charts for kind in ("png", "svg")}
    # In another folder with one worker: the same numbers. In the same folder: nothing is done again.
    other = json.loads(rlvrscope("demo", *demo_flags, "--out", tmp_path / "other", "--workers", "1", "--json").stdout)
    assert other == json.loads((out / "summary.json").read_text())
    assert digest(out / "runs") == digest(tmp_path / "other" / "runs")
    before = digest(out)
    code, lines = on_terminal(["-m", "rlvrscope", "demo", *demo_flags, "--out", out])
    assert code == 0
    assert max(map(len, lines)) <= COLUMNS
    assert digest(out) == before


def test_lab_train_with_a_user_objective(cache: Path, recipe_file: Path, tmp_path: Path):  # noqa: ARG001
    """The recipe records the function's hash; a worker runs it; a run of another function is refused, not continued."""
    objective, recipe = tmp_path / "mine.py", tmp_path / "mine.toml"
    objective.write_text("def rare_first(rewards_PG, advantages_PG):\n    return advantages_PG * 0.5\n")
    recipe.write_text(recipe_file.read_text())
    chosen = f"train.objective={{base = 'grpo', name = 'mine', shape = '{objective}:rare_first'}}"
    words = ["lab", "train", recipe, "--out", tmp_path / "run", "--set", chosen]
    rlvrscope(*words)
    resolved = (tmp_path / "run" / "recipe.toml").read_text()
    assert hashlib.sha256(objective.read_bytes()).hexdigest() in resolved
    objective.write_text(objective.read_text().replace("0.5", "0.6"))
    refusal = rlvrscope(*words, expect=2).stderr
    assert "holds a run of another recipe (train.objective.shape.sha256 is" in refusal
    assert refusal.count("\n") == 1
    fresh = [*words[:4], tmp_path / "fresh"]
    objective.write_text("def rare_first(rewards_PG, advantages_PG):\n    return advantages_PG[:, 0]\n")
    assert (
        "rare_first must return ndarray of shape (8, 4); got ndarray (8,)"
        in rlvrscope(*fresh, "--set", chosen, expect=1).stderr
    )
    (tmp_path / "resolved.toml").write_text(resolved)
    changed = rlvrscope("lab", "train", tmp_path / "resolved.toml", "--out", tmp_path / "again", expect=2).stderr
    assert "mine.py has changed" in changed


def test_ctrl_c_stops_the_work_and_keeps_finished_steps(cache: Path, recipe_file: Path, tmp_path: Path):  # noqa: ARG001
    out = tmp_path / "run"
    command = [*RLVRSCOPE, "lab", "train", str(recipe_file), "--out", str(out), "--set", "train.steps=100000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: rows(out / "telemetry.jsonl") >= 5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, errors = process.communicate(timeout=20)  # the steps left would take hours
    assert process.returncode == 130
    assert "interrupted: finished work is kept" in errors
    assert "Traceback" not in errors
    rows_at_exit = rows(out / "telemetry.jsonl")
    time.sleep(1.0)
    assert rows(out / "telemetry.jsonl") == rows_at_exit, "a worker still runs"
    assert (out / "checkpoints" / "resume.safetensors").exists()


@pytest.mark.parametrize("seconds", [0.15, 0.3])
def test_ctrl_c_while_starting_is_quiet(recipe_file: Path, tmp_path: Path, seconds: float):
    command = [*RLVRSCOPE, "lab", "train", str(recipe_file), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "resumed"),
    [(["lab", "train"], True), (["--debug", "demo"], True), (["dynamics", "figure1"], False), ([], False)],
)
def test_the_interruption_message(words: list[str], resumed: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["rlvrscope", *words])
    assert interruption_message().startswith("interrupted")
    assert ("same command to continue" in interruption_message()) == resumed


def rows(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def test_lab_pretrain_prints_the_path_of_the_base(cache: Path, recipe_file: Path):
    path = Path(rlvrscope("lab", "pretrain", recipe_file).stdout.strip())
    assert path.is_relative_to(cache)
    assert path.suffix == ".safetensors"
    assert json.loads(rlvrscope("lab", "pretrain", recipe_file, "--json").stdout) == {"base": str(path)}


def test_lab_train_prints_before_and_after(experiment: Path, cache: Path, recipe_file: Path, tmp_path: Path):  # noqa: ARG001
    done = json.loads(rlvrscope("lab", "train", recipe_file, "--out", tmp_path / "run", "--json").stdout)
    rows = (experiment / "runs" / "grpo-base0-seed0" / "evaluation.jsonl").read_text().splitlines()
    score = json.loads(rows[-1])["held_out"][-1]
    assert done["after"]["pass_at_1"] == score["pass_at_1"]
    assert "pass_at_256" in rlvrscope("lab", "train", recipe_file, "--out", tmp_path / "run").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lab", "train", "none.toml", "--out", "x"], "cannot read none.toml: No such file"),
        (["lab", "train", "{recipe}", "--out", "x", "--set", "train.stepz=1"], "Did you mean 'steps'?"),
        (["lab", "train", "{recipe}", "--out", "{recipe}/x"], "Not a directory"),
        (["lab", "train", "{recipe}", "--out", "x", "--device", "cuda:9"], "--device cuda:9 is not available"),
        (
            ["lab", "train", "{recipe}", "--out", "x", "--set", "train.objective=pass-at-k"],
            "group_size must be at least 5 for objective 'pass-at-k'; got 4",
        ),
        (
            ["demo", "--set", "train.group_size=4", "--set", 'compare.objectives=["grpo", "pass-at-k"]'],
            "arm 'pass-at-k'",
        ),
        (["demo", "--set", "compare.seeds=[0, 0]"], "seeds must not repeat; got [0, 0]"),
        (["demo", "--out", "{recipe}"], "is a file, and a run needs a folder"),
    ],
)
def test_mistakes_are_one_line(cache: Path, recipe_file: Path, words: list[str], message: str):  # noqa: ARG001
    words = [word.format(recipe=recipe_file) for word in words]
    done = subprocess.run([*RLVRSCOPE, *words], capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_damaged_base_is_one_line_and_nothing_is_lost(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RLVRSCOPE_CACHE", str(tmp_path / "cache"))
    flags = ["--set", "pretrain.steps=5"]
    base = Path(rlvrscope("lab", "pretrain", recipe_file, *flags).stdout.strip())
    base.write_bytes(base.read_bytes()[:1000])
    done = rlvrscope("lab", "train", recipe_file, "--out", tmp_path / "run", *flags, expect=2)
    assert "not a whole safetensors file" in done.stderr
    assert str(base) in done.stderr
    assert base.stat().st_size == 1000


def test_a_run_whose_rows_are_gone_is_one_line(cache: Path, recipe_file: Path, tmp_path: Path):  # noqa: ARG001
    rlvrscope("lab", "train", recipe_file, "--out", tmp_path / "run")
    rows = tmp_path / "run" / "evaluation.jsonl"
    rows.write_text(rows.read_text()[:200])
    refusal = rlvrscope("lab", "train", recipe_file, "--out", tmp_path / "run", expect=2).stderr
    assert "evaluation.jsonl does not reach step 6" in refusal
    rows.write_text('{"no": "step"}\n')
    refusal = rlvrscope("lab", "train", recipe_file, "--out", tmp_path / "run", expect=2).stderr
    assert "evaluation.jsonl is damaged: line 1: step: Field required" in refusal


def test_debug_shows_the_traceback(recipe_file: Path):
    words = ["--debug", "lab", "train", str(recipe_file), "--out", "x", "--set", "train.stepz=1"]
    done = subprocess.run([*RLVRSCOPE, *words], capture_output=True, text=True)
    assert "InputError" in done.stderr
    assert "config.py" in done.stderr
