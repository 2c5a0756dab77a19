"""`rlvrscope sample` and `rlvrscope store` as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rlvrscope.cli.main import app
from rlvrscope.lab import checkpoint
from rlvrscope.lab.model import Transformer
from rlvrscope.sampling import SampleStore


@pytest.fixture
def words(model: Transformer, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    checkpoint.save(Path("m.safetensors"), model, kind="base", recipe="x")
    return ["sample", str(recipe_file), "--engine", "lab", "--model", "m.safetensors", "--out", "out/a"]


def run(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def test_from_a_sample_to_the_boundary(words: list[str], tmp_path: Path):
    plan = json.loads(run(*words, "--samples", "8", "--dry-run", "--json").stdout)
    assert (plan["total"], plan["missing"]) == (192, 192)
    assert not Path("out").exists()
    assert "192 of 192 samples are in the store, 192 of them new" in run(*words, "--samples", "8").stdout
    assert "0 of them new" in run(*words, "--samples", "8").stdout
    more = json.loads(run(*words, "--samples", "12", "--json").stdout)
    assert (more["done"], more["new"], sum(more["outcomes"].values())) == (288, 96, 96)
    message = run(*words, "--samples", "20", "--dry-run").stdout
    assert "288 in the store, 192 to draw" in message
    assert "MB more" in message
    run(*words[:-1], "out/b", "--samples", "12", "--temperature", "0.5")
    result = json.loads(run("boundary", "out/a", "out/b", "--k", "1,4", "--json").stdout)
    assert "b" in json.dumps(result)
    assert "is whole: 288 samples" in run("store", "check", "out/a").stdout
    facts = json.loads(run("store", "stats", "out/a/samples.sqlite", "--json").stdout)
    assert facts["runs"]["samples"]["identity"]["temperature"] == 1.0
    assert "288 samples of 24 problems (12 each)" in run("store", "stats", "out/a").stdout
    assert "288 samples" in run("store", "export", "out/a", "--out", "a.parquet").stdout
    run("boundary", "a.parquet", "out/b/samples.sqlite", "--k", "1,4")
    assert not list(tmp_path.glob(".*.tmp"))


def test_another_population_is_refused_with_the_difference(words: list[str]):
    run(*words, "--samples", "2")
    for more in ([], ["--dry-run"]):
        message = run(*words, "--samples", "4", "--temperature", "0.5", "--seed", "3", *more, code=2).stderr
        assert "another model or settings: seed was 0, is now 3; temperature was 1.0, is now 0.5" in message


def test_verify_fills_in_verdicts(words: list[str]):
    run(*words, "--samples", "4")
    with SampleStore("out/a") as store:
        before = store.counts("samples")
        store.connection.execute("DELETE FROM verdicts")  # as if they had been of another version
        store.connection.execute("UPDATE batches SET verdicts = 0, verdicts_sum = 0")
    assert "run `rlvrscope verify" in run("boundary", "out/a", "out/a", code=2).stderr
    result = json.loads(run("verify", "out/a", "--json").stdout)
    assert result["new_verdicts"] == result["runs"]["samples"]["samples"] == 96
    with SampleStore("out/a") as store:
        assert store.counts("samples") == before
    assert "a store keeps its verdicts itself" in run("verify", "out/a", "--form", "boxed", code=2).stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["store", "check", "nothing"], "there is no store of samples at nothing"),
        (["store", "export", "out/a", "--out", "a.csv"], "exported as .parquet or .jsonl; got a.csv"),
        (["sample", "countdown", "--engine", "lab", "--model", "m.safetensors", "--samples", "1", "--out", "o"],
         "name a lab recipe as the task"),
        (["sample", "countdown", "--engine", "bal", "--model", "m", "--samples", "1", "--out", "o"],
         "no engine is called 'bal'"),
        (["sample", "x.toml", "--split", "test", "--engine", "lab", "--model", "m", "--samples", "1", "--out", "o"],
         "has no split"),
    ],
)  # fmt: skip
def test_what_a_user_gets_wrong_is_one_line(words: list[str], command: list[str], message: str):
    if "out/a" in command:
        run(*words, "--samples", "1")
    error = run(*command, code=2).stderr
    assert error.startswith("error:")
    assert message in error


@pytest.mark.skipif(os.name != "posix", reason="SIGINT")
def test_ctrl_c_finishes_the_batch_and_the_command_goes_on(words: list[str]):
    command = [sys.executable, "-m", "rlvrscope", *words, "--samples", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    store = Path("out/a/samples.sqlite-wal")
    for _ in range(1200):
        if store.exists() and store.stat().st_size > 200_000:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    message, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of 2,400,000 samples are in the store" in message
    assert "finishing the current batch" in errors
    assert "run the same command to continue" in errors
    with SampleStore("out/a") as opened:
        done = sum(counts.total() for counts in opened.counts("samples").values())
    assert f"{done:,} of 2,400,000" in message
