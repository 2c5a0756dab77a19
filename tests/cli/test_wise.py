"""`rlvrscope wise`, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from rlvrscope.cli.main import app
from rlvrscope.lab.pretrain import base_path
from rlvrscope.lab.recipe import Recipe

RUN = Path("runs") / "grpo-base0-seed0"


def wise(*words: str | Path) -> str:
    command = [sys.executable, "-m", "rlvrscope", "wise", *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TTY_COMPATIBLE": "1", "TERM": "dumb"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def base(experiment: Path, recipe: Recipe) -> Path:  # noqa: ARG001  the experiment has made it
    return base_path(recipe, torch.device("cpu"))


def test_end_to_end(base: Path, experiment: Path, recipe_file: Path, tmp_path: Path):
    """A mixture is written, and as TRAINED of a second command, without a run folder, scores as it did in the first."""
    half = tmp_path / "half.safetensors"
    done = json.loads(wise(base, experiment / RUN, "--alpha", "0.5", "--out", half, "--json"))
    assert [row["alpha"] for row in done["rows"]] == [0.0, 0.5, 1.0]
    assert (done["prompts"], done["checkpoint"]) == (24, str(half))
    lines = wise(base, half, "--recipe", recipe_file).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["alpha", "pass@1", "pass@8", "pass@256", "distinct", "entropy"]
    assert [line.split()[0] for line in lines[1:]] == ["0", "0.25", "0.5", "0.75", "1"]
    for line, row in ((lines[1], done["rows"][0]), (lines[-1], done["rows"][1])):
        assert line.split()[1:4] == [f"{row['pass_at_k'][str(k)]:.3f}" for k in (1, 8, 256)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{base}", "{base}"], "give --recipe RECIPE"),
        (["{base}", "none"], "cannot read none: there is no such checkpoint or run folder"),
        (
            ["{base}", "{run}", "--alpha", "1.5"],
            "alpha must be between 0 (the base) and 1 (the trained model); got 1.5",
        ),
        (["{base}", "{run}", "--out", "x.safetensors"], "--out writes one mixture, so it needs one --alpha; got 0"),
        (["{base}", "{run}", "--out", "{base}", "--alpha", "0.5"], "is one of the two models: choose another file"),
        (["{base}", "{run}", "--device", "cuda:9"], "--device cuda:9 is not available"),
    ],
)
def test_mistakes_are_one_line(base: Path, experiment: Path, words: list[str], message: str):
    done = CliRunner().invoke(app, ["wise", *(word.format(base=base, run=experiment / RUN) for word in words)])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
