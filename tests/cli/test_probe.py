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

    def steps(*names: str) -> list[int]:
        return [step for step, _ in _steps(names)]

    verl = [f"out/global_step_{step}/actor/huggingface" for step in (10, 20)]
    assert steps("base/model", *verl) == [0, 10, 20]
    assert _steps(["run/checkpoint-50", "run/checkpoint-100/"]) == [
        (50, "run/checkpoint-50"), (100, "run/checkpoint-100/")
    ]  # fmt: skip
    assert steps("SmolLM2-135M", "run/checkpoint-100", "run/checkpoint-200") == [0, 100, 200], "the base comes first"
    assert steps("base", "global_step_20") == [0, 20]
    assert steps("a2", "b1", "c7") == [0, 1, 2]
    assert steps("step-20", "step-10") == [0, 1], "out of order"
    assert steps("line-torch2.13.7+cpu.safetensors", "run") == [0, 1], "a version is no step"


@pytest.fixture(scope="module")
def exact(experiment: Path) -> list[dict[str, list[float]]]:
    """Mass of each class on every held-out prompt: of the base, and of the trained model of a run."""
    lines = (experiment / "runs" / "grpo-base0-seed0" / "evaluation.jsonl").read_text().splitlines()
    return [
        next(score["mass"] for score in json.loads(lines[row])["held_out"] if score["temperature"] == 1.0)
        for row in (0, -1)
    ]


def test_a_task_of_the_lab_is_enumerated_and_exact(
    base: str, recipe_file: Path, experiment: Path, exact: list[dict[str, list[float]]], tmp_path: Path
):
    """In one command, without sampling: every class has the mass that the lab's evaluation has."""
    out, trained = tmp_path / "bank.jsonl", experiment / "runs" / "grpo-base0-seed0"
    output = run("probe", "build", base, recipe_file, "--out", out).stdout
    assert "24 prompts: dominant 24" in output
    assert list(tmp_path.iterdir()) == [out], "nothing was drawn"
    rows = json.loads(run("probe", "score", out, base, trained, "--json").stdout)["rows"]
    for row, mass in zip(rows, exact, strict=True):
        assert set(row["classes"]) == set(mass)
        for kind, known in row["classes"].items():
            mass_P = np.array(mass[kind])[np.array(exact[0][kind]) > 0.0]
            assert known["prompts"] == len(mass_P)
            assert known["mass"] == pytest.approx(mass_P.mean(), rel=1e-6)
            assert known["log_mass"] == pytest.approx(np.log(mass_P).mean(), abs=1e-6)
    message = run("probe", "build", base, recipe_file, "--out", out, "--samples", "8", code=2).stderr
    assert "lists every right answer: leave --samples and --later out" in message


def test_a_sampled_bank_agrees_with_the_exact_masses(
    base: str, bank: str, recipe_file: Path, experiment: Path, exact: list[dict[str, list[float]]]
):
    """The share left that importance weights estimate, on the prompts that have the class, to three standard errors."""
    run("probe", "build", base, recipe_file, "--out", "all.jsonl")
    order = list(dict.fromkeys(one.request.problem.id for one in Bank.load(Path("all.jsonl")).completions))
    trained = experiment / "runs" / "grpo-base0-seed0"
    _, row = json.loads(run("probe", "score", bank, base, trained, "--json").stdout)["rows"]
    moved = 0
    for kind in ("dominant", "other"):  # rare ones were drawn of a single prompt, which has no standard error
        sampled = {one.request.problem.id for one in Bank.load(Path(bank)).completions if one.kind == kind}
        before_P, after_P = (np.array(masses[kind])[[name in sampled for name in order]] for masses in exact)
        known, estimate = (after_P[before_P > 0.0] / before_P[before_P > 0.0]).mean(), row["classes"][kind]
        assert estimate["left"] == pytest.approx(known, abs=3.0 * estimate["left_error"])
        moved += abs(known - 1.0) > 3.0 * estimate["left_error"]
    assert moved, "training changed a mass by more than its error"


def test_a_task_is_sampled_in_one_command(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Drawn into a store beside the bank, verified, scored; the same command draws nothing twice."""
    monkeypatch.chdir(tmp_path)
    problems = [
        {"id": f"p{n}", "prompt": f"{n} 1", "answer": str(n), "verifier": "exact", "forms": ["whole"]}
        for n in range(5)
    ]  # fmt: skip
    Path("five.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    words = ("probe", "build", tiny_model, "five.jsonl", "--out", "bank.jsonl", "--max-tokens", "3")
    assert "1,280 samples, 1,280 of them new, in bank.sqlite" in run(*words, "--samples", "256").stdout
    drawn = sum(one.drawn for one in Bank.load(Path("bank.jsonl")).completions if one.kind != "wrong")
    counts = json.loads(run("store", "stats", "bank.sqlite", "--json").stdout)["runs"]["samples"]
    assert 0 < drawn <= counts["outcomes"]["correct"], "right ones that the token limit cut off are left out"
    first = Path("bank.jsonl").read_bytes()
    assert "1,280 samples, 0 of them new" in run(*words, "--samples", "256").stdout
    assert Path("bank.jsonl").read_bytes() == first
    short = run(*words[:-1], "1", "--out", "short.jsonl", code=2).stderr
    assert "right completions of short.sqlite were cut off by the token limit" in short
    assert "seed was 0, is now 1" in run(*words, "--samples", "256", "--seed", "1", code=2).stderr
    assert "can't score given completions" in run(*words, "--engine", "openai", code=2).stderr
    store = ("probe", "build", tiny_model, "bank.sqlite", "--out", "again.jsonl")
    assert "leave the options of sampling out" in run(*store, "--samples", "64", code=2).stderr
    run(*store)
    assert Path("again.jsonl").read_bytes() == first
