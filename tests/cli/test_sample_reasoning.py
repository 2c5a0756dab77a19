"""`rlvrscope sample` with a server that separates the reasoning, and cuts some of it off."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chat_server import Choice, chat_server
from rlvrscope.cli.main import app
from rlvrscope.sampling import SampleStore

pytest.importorskip("httpx")
pytest.importorskip("zstandard")

THOUGHT = "Two and two, let me think."


@pytest.fixture(autouse=True)
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": name, "prompt": "What is 2 + 2?", "answer": "4"} for name in "ab"]
    Path("problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def sample(choice: Choice, *more: str) -> str:
    with chat_server(choice) as url:
        return run(
            "sample", "problems.jsonl", "--engine", "openai", "--model", "m", "--samples", "16", "--max-tokens", "32",
            "--chat", "--template", "none", "--url", url, "--out", "run", *more,
        ).stdout  # fmt: skip


def answered(number: int) -> dict[str, Any]:
    return {
        "message": {"role": "assistant", "content": "\\boxed{4}", "reasoning_content": f"{THOUGHT} {number}"},
        "finish_reason": "stop",
    }


def cut_off(number: int) -> dict[str, Any]:
    """As vLLM and SGLang answer with a reasoning parser."""
    message = {"role": "assistant", "content": None, "reasoning_content": f"{THOUGHT} {number}"}
    return {"message": message, "finish_reason": "length"}


def test_choices_cut_off_inside_their_reasoning_are_samples():
    """Every second choice is: half of the samples are right, not all of those drawn until the answer came."""
    output = sample(lambda number: cut_off(number) if number % 2 else answered(number))
    assert "correct 50.0%, no_answer 50.0%, truncated 50.0%, of the 16 that finished, 100.0% correct" in output
    assert (
        "Warning: 16 of 32 samples (50.0%) hit the limit of 32 tokens, 0 of them with a correct answer: a larger "
        "--max-tokens may change the rates" in output
    )
    assert "identical" not in output
    report = run("store", "stats", "run").stdout
    assert "correct 16 (50.0%), no_answer 16 (50.0%)" in report
    assert "truncated at the token limit: 16 (50.0%); of the 16 that finished, 100.0% correct" in report
    assert "warning: 16 of 32 samples (50.0%) hit the limit of 32 tokens" in report
    assert "tokens: 0 (not reported for 32 samples); ended by: length 16, stop 16" in report
    with SampleStore("run", write=False) as store:
        written = [sample.completion for sample in store.samples("samples")]
    assert sorted(completion.reasoning for completion in written) == sorted(f"{THOUGHT} {n}" for n in range(32))
    assert {(completion.text, completion.finish) for completion in written} == {("\\boxed{4}", "stop"), ("", "length")}


def test_the_boundary_of_an_export_is_that_of_its_store():
    """Counts, answers and the share that was cut off."""
    sample(lambda number: cut_off(number) if number % 2 else answered(number))
    result = json.loads(run("boundary", "run", "run", "--k", "1,4", "--json").stdout)
    for name in ("run.parquet", "run.jsonl"):
        run("store", "export", "run", "--out", name)
        exported = json.loads(run("boundary", name, name, "--k", "1,4", "--json").stdout)
        assert exported["models"] == result["models"]
    assert result["models"][0]["rows"][0]["base"] == 0.5
    assert re.search(r"cut off \(share\) +0\.500", run("boundary", "run.jsonl", "run.jsonl", "--k", "1").stdout)


def test_rates_of_all_and_of_the_finished_are_named_in_json():
    rates = {"rate": 0.5, "truncated": 16, "truncated_share": 0.5, "rate_of_finished": 1.0}
    sampled = json.loads(sample(lambda number: cut_off(number) if number % 2 else answered(number), "--json"))
    stats = json.loads(run("store", "stats", "run", "--json").stdout)["runs"]["samples"]
    verified = json.loads(run("verify", "run", "--json").stdout)["runs"]["samples"]
    for facts in (sampled["run"], stats, verified):
        assert {name: facts[name] for name in rates} == rates
        assert facts["samples"] == 32
    assert stats["truncated_outcomes"] == {"no_answer": 16}
    output = run("verify", "run").stdout
    assert "correct: 0.5000 of all\n  truncated at the token limit: 16 (50.0%)" in output
    assert "a larger --max-tokens may change the rates" in output


def test_a_resumed_command_warns_of_all_samples_of_the_run():
    """All new samples finished; half of the run did not."""
    sample(cut_off)
    with chat_server(answered) as url:
        output = run(
            "sample", "problems.jsonl", "--engine", "openai", "--model", "m", "--samples", "32", "--max-tokens", "32",
            "--chat", "--template", "none", "--url", url, "--out", "run",
        ).stdout  # fmt: skip
    assert "correct 100.0%\n" in output
    assert "32 of 64 samples (50.0%) hit the limit" in output


def test_where_all_are_cut_off_nothing_is_drawn_again():
    drawn: list[int] = []

    def choice(number: int) -> dict[str, Any]:
        drawn.append(number)
        return {"message": {"role": "assistant", "content": None}, "finish_reason": "length"}

    output = sample(choice)
    assert len(drawn) == 32
    assert "no_answer 100.0%, truncated 100.0%, none finished" in output
    assert "identical" not in output
    assert json.loads(run("store", "stats", "run", "--json").stdout)["runs"]["samples"]["rate_of_finished"] is None


def test_answers_that_a_parser_took_for_reasoning_are_told():
    """A model that skips its thinking stops without its end mark; the whole text is then in the reasoning."""

    def choice(number: int) -> dict[str, Any]:
        message = {"role": "assistant", "content": "", "reasoning": f"{number} so \\boxed{{4}}"}
        return {"message": message, "finish_reason": "stop"}

    output = sample(choice)
    assert "Warning: 32 new samples stopped with reasoning and no text" in output
    report = run("store", "stats", "run").stdout
    assert "truncated: none" in report
    assert "notes: reasoning without a text 32" in report


def test_few_truncated_samples_are_counted_without_a_warning():
    output = sample(lambda number: cut_off(number) if number == 7 else answered(number))
    assert "truncated 3.1%, of the 31 that finished, 100.0% correct" in output
    assert "Warning" not in output
