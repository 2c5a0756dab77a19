"""`rlvrscope sample` with models that have no lab: a folder of transformers', and a real server of OpenAI's API."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from rlvrscope.cli.main import app
from rlvrscope.sampling import Sample, SampleStore

pytest.importorskip("transformers")

PROBLEMS = [
    {
        "id": f"p{number}",
        "prompt": f"{number} 1",
        "answer": str(number),
        "verifier": "exact",
        "forms": ["whole"],
    }
    for number in range(5)
]


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS))
    return "problems.jsonl"


def run(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def rows(path: str) -> list[Any]:
    """Return every sample and verdict, in order."""
    with SampleStore(path, write=False) as store:
        columns = "verifier, run, problem, number, outcome, score, extracted, path, reason"
        verdicts = store.connection.execute(f"SELECT {columns} FROM verdicts ORDER BY 1, 2, 3, 4").fetchall()
        return [*sorted(store.samples("samples"), key=lambda sample: (sample.problem, sample.index)), *verdicts]


def without_logp(row: Any) -> Any:
    return replace(row, completion=replace(row.completion, logp=None)) if isinstance(row, Sample) else row


def test_a_folder_sampled_twice_gives_the_same_cells(tiny_model: Path, problems: str):
    """Once in a piece; once in two, with another order of problems; then the boundary between two temperatures."""
    words = ["sample", problems, "--engine", "transformers", "--model", str(tiny_model), "--max-tokens", "1",
             "--batch", "64"]  # fmt: skip
    output = run(*words, "--samples", "12", "--out", "a").stdout
    assert "60 of 60 samples are in the store, 60 of them new" in output
    run(*words, "--samples", "5", "--count", "3", "--out", "b")
    run(*words, "--samples", "12", "--out", "b")
    once, twice = rows("a"), rows("b")
    logp, again = (np.array([sample.completion.logp for sample in each[:60]]) for each in (once, twice))
    np.testing.assert_allclose(logp, again, atol=1e-5)  # sums round differently in trees of other samples
    assert list(map(without_logp, once)) == list(map(without_logp, twice))
    assert len({sample.completion.text for sample in once[:60]}) > 5
    run(*words, "--samples", "12", "--temperature", "0.5", "--out", "cool")
    result = json.loads(run("boundary", "a", "cool", "--k", "1,4", "--json").stdout)
    assert all(0 < row["base"] < 1 for row in result["models"][0]["rows"])
    facts = json.loads(run("store", "stats", "a", "--json").stdout)["runs"]["samples"]["identity"]
    output = (facts["engine"], facts["dtype"], facts["max_tokens"], facts["chat"])
    assert output == ("transformers", "float32", 1, False)
    refused = run(*words, "--samples", "12", "--chat", "--out", "a", code=2).stderr
    assert "chat was False, is now True" in refused


def test_stop_strings_belong_to_a_run(tiny_model: Path, problems: str):
    words = ["sample", problems, "--engine", "transformers", "--model", str(tiny_model), "--max-tokens", "12",
             "--samples", "4"]  # fmt: skip
    run(*words, "--out", "a", "--stop", "3", "--stop", r"5\\n")
    with SampleStore("a", write=False) as store:
        samples = list(store.samples("samples"))
        assert store.runs()["samples"]["stop"] == '["3", "5\\\\n"]'
    assert not any("3" in sample.completion.text for sample in samples)
    assert {sample.completion.finish for sample in samples} == {"stop", "length"}
    assert "20 of 20" in run(*words, "--out", "a", "--stop", r"5\\n", "--stop", "3").stdout
    for other, change in (([], "is now None"), (["--stop", r"\n\t"], f"is now {json.dumps([chr(10) + chr(9)])!r}")):
        message = run(*words, "--out", "a", *other, code=2).stderr
        assert "sampled with another model or settings: stop was" in message
        assert change in message
    assert "must not be empty" in run(*words, "--out", "b", "--stop", "", code=2).stderr


def test_progress_is_printed_before_the_first_batch_is_done(
    tiny_model: Path, problems: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("rlvrscope.cli.shared.progress.FIRST_LINE_SECONDS", 0.0)
    monkeypatch.setattr("rlvrscope.cli.shared.sampling_progress.LINE_SECONDS", 0.0)
    lines = run("sample", problems, "--engine", "transformers", "--model", str(tiny_model), "--max-tokens", "12",
                "--samples", "2", "--out", "a").stderr.splitlines()  # fmt: skip
    drawn = [line for line in lines if line.startswith("sampling: 0 of 10, ") and " tokens drawn, " in line]
    assert len(drawn) > 5
    assert drawn[0].startswith("sampling: 0 of 10, 10 tokens drawn")


@pytest.mark.parametrize(
    ("forms", "template"),
    [
        ([["whole"], ["whole"]], "none"),
        ([["answer", "hashes"], ["whole"]], "none"),
        ([None, None], "plain"),
        ([["boxed", "hashes"], None], "plain"),
        ([["whole"], None], None),
    ],
)
def test_a_file_that_names_another_form_gets_no_instruction(
    forms: list[list[str] | None], template: str | None, tiny_model: Path, tmp_path: Path
):
    """`tasks show` shows the prompt that `sample` uses."""
    path = tmp_path / "mine.jsonl"
    rows = [{"id": f"p{n}", "prompt": f"{n} + 1 =", "answer": "1", "forms": form} for n, form in enumerate(forms)]
    path.write_text("".join(json.dumps({name: row[name] for name in row if row[name]}) + "\n" for row in rows))
    sample = ["sample", str(path), "--engine", "transformers", "--model", str(tiny_model), "--max-tokens", "1",
              "--samples", "1", "--out", str(tmp_path / "a"), "--dry-run", "--json"]  # fmt: skip
    show = ["tasks", "show", str(path), "--json"]
    if template is None:
        for words in (sample, show):
            assert "1 of 2 problems name a form of answer without \\boxed{}" in run(*words, code=2).stderr
        assert json.loads(run(*sample, "--template", "none").stdout)["identity"]["template"] is None
        return
    shown = json.loads(run(*show).stdout)
    assert (json.loads(run(*sample).stdout)["identity"]["template"] or "none") == shown["template"] == template
    assert (shown["prompt"] == "0 + 1 =") is (template == "none")
    notes = run(*sample).stderr.replace("\n", " ")
    assert ("Note: the template 'plain' asks for steps and an answer in" in notes) is (template == "plain")
    assert "Note: the template" not in run(*sample, "--template", "none").stderr


def test_samples_without_an_answer_are_explained(tiny_model: Path, tmp_path: Path):
    (tmp_path / "mine.jsonl").write_text(json.dumps({"id": "p", "prompt": "1 + 1 =", "answer": "2"}))
    words = ["sample", str(tmp_path / "mine.jsonl"), "--engine", "transformers", "--model", str(tiny_model),
             "--max-tokens", "4", "--samples", "8", "--out", str(tmp_path / "a")]  # fmt: skip
    output = run(*words).stdout.replace("\n", " ")
    assert r"Warning: 8 of 8 samples have no answer in the form that the problems ask for (\boxed{}, unless" in output
    assert 'For few-shot prompts: --template none, and "forms": ["whole"] in the file.' in output


def test_repeated_rows_of_a_verl_data_set_are_one_problem(tiny_model: Path, tmp_path: Path):
    row = {"prompt": [{"role": "user", "content": "1 1"}], "reward_model": {"ground_truth": ["2"]}}
    (tmp_path / "verl.jsonl").write_text(f"{json.dumps(row)}\n" * 8)
    words = ["--engine", "transformers", "--model", str(tiny_model), "--samples", "4", "--out", str(tmp_path / "a")]
    words += ["--max-tokens", "1"]
    done = run("sample", str(tmp_path / "verl.jsonl"), *words, "--dry-run")
    assert "1 problems x 4 samples: 4 requested" in done.stdout
    for note in (
        "read like verl's data sets: answer from 'reward_model.ground_truth'", "8 rows hold 1 problem, each 8 times",
        "1 of 1 gold answers are lists of one answer",
    ):  # fmt: skip
        assert f"Note: {note}" in done.stderr


@pytest.fixture
def server(tiny_model: Path, tmp_path: Path) -> Iterator[str]:
    """`transformers serve` with the tiny model, on loopback; stopped behind the test."""
    for library in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(library)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(tiny_model), "--device", "cpu",
               "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    log = tmp_path / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(log.read_text())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait(30)


def test_a_real_server_fills_a_store(server: str, tiny_model: Path, problems: str):
    """Texts and chats, of `transformers serve`; the same command draws nothing again, more samples the rest."""
    words = ["sample", problems, "--engine", "openai", "--model", str(tiny_model), "--max-tokens", "8",
             "--template", "none", "--url", server]  # fmt: skip
    output = run(*words, "--samples", "3", "--out", "a").stdout
    assert "15 of 15 samples are in the store, 15 of them new" in output
    assert "0 of them new" in run(*words, "--samples", "3", "--out", "a").stdout
    assert "20 of 20 samples are in the store, 5 of them new" in run(*words, "--samples", "4", "--out", "a").stdout
    with SampleStore("a", write=False) as store:
        samples = list(store.samples("samples"))
    assert sorted((sample.problem, sample.index) for sample in samples) == [
        (f"p{p}", i) for p in range(5) for i in range(4)
    ]
    assert all(1 <= (sample.completion.tokens or 0) <= 8 for sample in samples)
    assert {word for sample in samples for word in sample.completion.text.split()} <= {
        *"0123456789",
        "boxed",
        "<s>",
        "<unk>",
    }
    assert len({sample.completion.text for sample in samples}) > 10
    assert "10 of 10" in run(*words, "--samples", "2", "--chat", "--out", "chat").stdout
