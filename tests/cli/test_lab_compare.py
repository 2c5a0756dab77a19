"""`rlvrscope lab compare` as a user runs it: killed again and again, with a run that fails, with a user's objective."""

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

from rlvrscope import config
from rlvrscope.experiment.runner import run_experiment
from rlvrscope.lab.recipe import Recipe
from rlvrscope.seeding import generator

RLVRSCOPE = [sys.executable, "-m", "rlvrscope"]
TUNED = """
[compare.arms.anchor]
anchor_coef = 0.05
[compare.arms.exact]
gradient = "exact"
learning_rate = 1e-3
[tune]
rates = [5e-4, 1e-3]
bases = [1000]
prompts = 12
"""
KILLER = """
import os, signal, sys
marker = os.environ.get("KILL_ONCE")
if marker and not os.path.exists(marker):
    replace = os.replace
    def kill(source, target, **keywords):
        if str(target).endswith("resume.safetensors") and "runs" in str(target) and not os.path.exists(marker):
            open(marker, "w").close()
            os.killpg(os.getpgrp(), signal.SIGKILL)
        return replace(source, target, **keywords)
    os.replace = kill
"""


@pytest.fixture
def tuned(recipe_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tuned.toml"
    path.write_text(recipe_file.read_text() + TUNED)
    return path


def files(folder: Path) -> list[Path]:
    """Everything but times, pictures and pages."""
    patterns = ("*.safetensors", "telemetry.jsonl", "evaluation.jsonl", "recipe.toml", "tuning.json")
    return sorted(path for name in patterns for path in folder.rglob(name) if not path.name.startswith("."))


def digest(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files(folder)}


def compare(recipe: Path, out: Path, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    command = [*RLVRSCOPE, "lab", "compare", str(recipe), "--out", str(out), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_kill_9_at_any_moment_changes_nothing(cache: Path, experiment: Path, tuned: Path, tmp_path: Path):  # noqa: ARG001
    """Eight kills, of the whole group or of the parent alone: one between a write and its rename, seven at random."""
    assert not run_experiment(config.load(tuned, Recipe), tmp_path / "whole", 2, "cpu", lambda event: None)
    out, rng = tmp_path / "cut", generator(0, "kills")
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(KILLER)
    paths = os.pathsep.join(filter(None, [str(tmp_path / "hook"), os.environ.get("PYTHONPATH")]))
    hooked = {**os.environ, "PYTHONPATH": paths, "KILL_ONCE": str(tmp_path / "killed")}
    kills = 0
    for turn in range(8):
        process = subprocess.Popen(
            [*RLVRSCOPE, "lab", "compare", str(tuned), "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=hooked if turn == 0 else None,
            start_new_session=True,
        )
        if turn == 0:
            process.wait(timeout=120)
            assert (tmp_path / "killed").exists()
            assert list(out.rglob(".resume.safetensors.*.tmp")), "killed before the rename"
        else:
            before, deadline = len(files(out)), time.monotonic() + rng.uniform(0.0, 1.0)
            while process.poll() is None and (len(files(out)) == before or time.monotonic() < deadline):
                time.sleep(0.01)
            if process.poll() is not None:
                break
            if turn % 2:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()  # its workers run until their next report; the next command must not clash with them
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 4, "too fast to be killed often enough"
    assert "exact" in compare(tuned, out).stdout
    assert digest(out) == digest(tmp_path / "whole")
    assert len([name for name in digest(out) if name.endswith("final.safetensors")]) == 4 + 6


def test_a_run_that_fails_stops_no_other_and_is_listed(cache: Path, recipe_file: Path, tmp_path: Path):  # noqa: ARG001
    objective = tmp_path / "mine.py"
    objective.write_text("def late(rewards_PG, advantages_PG):\n    return advantages_PG / 0.0 * 0.0\n")
    recipe = tmp_path / "recipe.toml"
    objectives = f"""["grpo", {{base = "grpo", name = "broken", shape = "{objective}:late"}}]"""
    recipe.write_text(recipe_file.read_text().replace('["grpo", "grpo-p"]', objectives))
    out = tmp_path / "out"
    failed = compare(recipe, out, expect=1)
    assert "failed: broken-base0-seed0: " in failed.stderr
    assert "late" in failed.stderr
    assert (out / "runs" / "grpo-base0-seed0" / "checkpoints" / "final.safetensors").exists()
    reason = (out / "runs" / "broken-base0-seed0" / "error.log").read_text()
    assert reason.startswith("step 1: ")
    assert "late" in reason.splitlines()[0]
    assert "Traceback" in reason
    assert "late must return finite numbers" in reason
    assert "broken-base0-seed0" in (out / "report.html").read_text()
    assert "GRPO" in failed.stdout


def test_a_user_objective_is_an_arm(cache: Path, recipe_file: Path, tmp_path: Path):  # noqa: ARG001
    objective = tmp_path / "mine.py"
    objective.write_text("def gentle(rewards_PG, advantages_PG):\n    return 0.5 * advantages_PG\n")
    chosen = f"""compare.objectives=["grpo", {{base = "grpo", name = "mine", shape = "{objective}:gentle"}}]"""
    done = compare(recipe_file, tmp_path / "out", "--set", chosen, "--json")
    assert [outcome["model"]["name"] for outcome in json.loads(done.stdout)["outcomes"]] == ["grpo", "mine"]


def test_a_selection_without_prompts_is_refused(cache: Path, recipe_file: Path, tmp_path: Path):  # noqa: ARG001
    failed = compare(recipe_file, tmp_path / "out", "--set", "select.optimal=[0.999, 1.0]", expect=1)
    assert "admits only 0" in failed.stderr
