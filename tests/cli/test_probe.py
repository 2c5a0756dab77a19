"""`rlvrscope probe` as a user runs it, on the lab, where every mass is known exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from rlvrscope.cli.main import app
from rlvrscope.lab.pretrain import base_path
from rlvrscope.lab.recipe import Recipe
from rlvrscope.monitor import Bank

pytest.importorskip("zstandard")


def run(*words: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


@pytest.fixture
def base(experiment: Path, recipe: Recipe) -> str:  # noqa: ARG001  the experiment makes it
    return str(base_path(recipe, torch.device("cpu")))


@pytest.fixture
def bank(base: str, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bank of the base's samples on the held-out prompts."""
    monkeypatch.chdir(tmp_path)
    run("sample", recipe_file, "--engine", "lab", "--model", base, "--samples", "64", "--out", "drawn")
    run("probe", "build", base, "drawn", "--out", "bank.jsonl")
    return "bank.jsonl"


def test_a_bank_followed_through_training(base: str, bank: str, experiment: Path):
    trained = next((experiment / "runs").iterdir())
    output = run("probe", "score", bank, base, trained, "--out", "rows.jsonl", "--png", "masses.png").stdout
    assert "Written: rows.jsonl" in output
    assert Path("masses.png").read_bytes().startswith(b"\x89PNG")
    before, after = (json.loads(line) for line in Path("rows.jsonl").read_text().splitlines())
    assert (before["step"], after["step"]) == (0, 1)
    for kind, mass in before["classes"].items():
        stored = [one for one in Bank.load(Path(bank)).completions if one.kind == kind]
        by_problem: dict[str, float] = {}
        for one in stored:
            name = one.request.problem.id
            by_problem[name] = by_problem.get(name, 0.0) + float(np.exp(one.base_logp))
        assert mass["log_mass"] == pytest.approx(np.log(list(by_problem.values())).mean(), abs=1e-5)
        assert mass["left"] == pytest.approx(1.0, abs=1e-4)
        assert mass["prompts"] == len(by_problem)
    assert after["classes"]["dominant"]["left"] != pytest.approx(1.0, abs=1e-4)
    rows = json.loads(run("probe", "score", bank, base, trained, "--json").stdout)["rows"]
    assert rows == [before, after]


def test_answers_of_a_later_model_are_discoveries(
    base: str, recipe_file: Path, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    trained = str(next((experiment / "runs").iterdir()))
    run("sample", recipe_file, "--engine", "lab", "--model", base, "--samples", "4", "--out", "few")
    run("sample", recipe_file, "--engine", "lab", "--model", trained, "--samples", "64", "--out", "later")
    run("probe", "build", base, "few", "--out", "a.jsonl")
    counts = json.loads(run("probe", "build", base, "few", "--later", "later", "--out", "b.jsonl", "--json").stdout)
    assert counts["completions"]["discovered"] > 0
    kinds = [one.kind for one in Bank.load(Path("a.jsonl")).completions]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        kind: count for kind, count in counts["completions"].items() if count and kind != "discovered"
    }


def test_cooled_samples_have_no_importance_weights(
    base: str, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    run(
        "sample",
        recipe_file,
        "--engine",
        "lab",
        "--model",
        base,
        "--samples",
        "16",
        "--temperature",
        "0.5",
        "--out",
        "s",
    )
    run("probe", "build", base, "s", "--out", "bank.jsonl")
    assert {one.drawn for one in Bank.load(Path("bank.jsonl")).completions} == {0}


def test_mistakes(base: str, bank: str, experiment: Path, recipe_file: Path):
    trained = str(next((experiment / "runs").iterdir()))
    message = run("probe", "build", trained, "drawn", "--out", "x.jsonl", code=2).stderr
    assert "was drawn from another model" in message
    assert not Path("x.jsonl").exists()
    assert "is no bank of stored completions" in run("probe", "score", recipe_file, base, code=2).stderr
    assert "no-such-folder" in run("probe", "score", bank, "no-such-folder", code=2).stderr
    assert "no-store" in run("probe", "build", base, "no-store", "--out", "x.jsonl", code=2).stderr


def test_steps_come_from_names():
    from rlvrscope.cli.probe import _steps

    assert _steps(["run/checkpoint-50", "run/checkpoint-100/"]) == [
        (50, "run/checkpoint-50"),
        (100, "run/checkpoint-100/"),
    ]
    assert [step for step, _ in _steps(["base", "run/checkpoint-100"])] == [0, 1]
    assert [step for step, _ in _steps(["a2", "b1"])] == [0, 1]
