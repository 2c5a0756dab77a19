"""`rlvrscope store import`: files of completions become a store whose verdicts are made anew."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chat_server import chat_server
from rlvrscope.cli.main import app
from rlvrscope.sampling import SampleStore
from rlvrscope.sampling.store.check import check

pytest.importorskip("zstandard")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def jsonl(path: str, *rows: dict[str, Any]) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(problem: int, text: str, **more: Any) -> dict[str, Any]:
    gold = str(problem + 1)
    return {"id": f"p{problem}", "prompt": f"What is {problem}+1?", "answer": gold, "text": text, **more}


def samples(path: str, run: str = "samples") -> list[Any]:
    with SampleStore(path, write=False) as store:
        return [(s.problem, s.index, s.completion) for s in store.samples(run)]


def outcomes(path: str) -> dict[str, Any]:
    runs = json.loads(run("store", "stats", path, "--json").stdout)["runs"]
    return {name: {outcome: n for outcome, n in facts["outcomes"].items() if n} for name, facts in runs.items()}


def test_completions_are_verified_in_the_store():
    jsonl(
        "a.jsonl",
        row(1, "\\boxed{2}", finish="stop", tokens=3, reasoning="one and"),
        row(1, "so", finish="MAX_TOKENS"),
        row(2, "\\boxed{2}"),
    )
    output = run("store", "import", "a.jsonl", "--out", "s").stdout
    assert "3 samples of 2 problems, 3 of them new. Store: s/samples.sqlite" in output
    written = [(c.text, c.finish, c.tokens, c.reasoning) for *_, c in samples("s")]
    assert written == [
        ("\\boxed{2}", "stop", 3, "one and"), ("so", "length", None, ""), ("\\boxed{2}", "", None, ""),
    ]  # fmt: skip
    assert "run `rlvrscope verify" in run("boundary", "s", "s", code=2).stderr
    report = run("store", "stats", "s").stdout
    assert "without a verdict 3 (100.0%)" in report
    assert "truncated at the token limit: 1 (33.3%); 2 finished; not known for 1" in report
    assert json.loads(run("store", "stats", "s", "--json").stdout)["runs"]["samples"]["rate"] is None
    run("verify", "s")
    assert outcomes("s") == {"samples": {"correct": 1, "wrong": 1, "no_answer": 1}}


def test_a_sampled_run_exported_and_imported_gives_the_same_boundary():
    """Texts, ends, reasoning, and what verifiers read; the extracted answer is not taken for the gold one."""

    def choice(number: int) -> dict[str, Any]:
        text = [None, "\\boxed{2}", "\\boxed{3}"][number % 3]
        message = {"role": "assistant", "content": text, "reasoning": f"thought {number}"}
        return {"message": message, "finish_reason": "stop" if text else "length"}

    problems = [{**row(n, ""), "level": str(n)} for n in range(1, 3)]
    jsonl("problems.jsonl", *[{name: row[name] for name in row if name != "text"} for row in problems])
    command = [
        "sample", "problems.jsonl", "--engine", "openai", "--model", "m", "--samples", "9", "--max-tokens", "8",
        "--chat", "--template", "none",
    ]  # fmt: skip
    with chat_server(choice) as url:
        run(*command, "--url", url, "--out", "run")
    expected = json.loads(run("boundary", "run", "run", "--k", "1,4", "--json").stdout)
    for name in ("x.parquet", "x.jsonl"):
        store = f"from {name}/run"
        run("store", "export", "run", "--out", name)
        assert "answer from 'gold'" in run("store", "import", name, "--out", store).stdout
        with SampleStore(store, write=False) as imported, SampleStore("run", write=False) as first:
            assert imported.problems() == first.problems()
        assert samples(store) == samples("run")
        run("verify", store)
        result = json.loads(run("boundary", store, store, "--k", "1,4", "--json").stdout)
        assert result["models"][0]["rows"] == expected["models"][0]["rows"]
        assert outcomes(store) == outcomes("run")
    assert outcomes("run")["samples"] == {"correct": 6, "wrong": 6, "no_answer": 6}


def test_a_list_of_completions_is_one_sample_each_and_columns_are_named():
    lists = {"idx": 7, "question": "What is 1+1?", "gt": "2", "code": ["\\boxed{2}", "\\boxed{3}"]}
    jsonl("a.jsonl", lists, {**lists, "code": ["\\boxed{2}"]})
    output = run("store", "import", "a.jsonl", "--out", "a").stdout
    assert "3 completions, in lists in 2 rows" in output
    jsonl("b.jsonl", {"q": "What is 1+1?", "right": "2", "out": "the answer is 2"})
    run(
        "store", "import", "b.jsonl", "--out", "b", "--field", "prompt=q", "--field", "answer=right", "--field",
        "text=out", "--form", "phrase",
    )  # fmt: skip
    for name in "ab":
        run("verify", name)
    assert outcomes("a") == {"samples": {"correct": 2, "wrong": 1}}
    assert outcomes("b") == {"samples": {"correct": 1}}


def test_models_and_steps_are_runs():
    rows = [row(1, f"\\boxed{{{n}}}", model=model, step=n) for n in (1, 2) for model in ("base", "trained")]
    others = [row(2, "\\boxed{3}", model=model, step=2) for model in ("base", "trained")]
    jsonl("x/a.jsonl", *rows[:3])
    jsonl("x/b.jsonl", *rows[3:], row(1, "\\boxed{2}", model="base", step=2), *others)
    assert "7 samples of 2 problems in 4 runs" in run("store", "import", "x", "--out", "s").stdout
    run("verify", "s")
    assert outcomes("s") == {
        "base, step 1": {"wrong": 1}, "trained, step 1": {"wrong": 1}, "base, step 2": {"correct": 3},
        "trained, step 2": {"correct": 2},
    }  # fmt: skip
    assert "trained@2" in run("boundary", "s@2#base", "s@2#trained", "--k", "1").stdout


def test_labels_mean_in_a_store_what_they_mean_in_its_files():
    """Training seeds are runs, and the last step is read, as from the file itself."""
    rows = [
        row(n, f"\\boxed{{{value}}} and {k} words", step=step, seed=seed)
        for n in (1, 2, 3)
        for step in (0, 10)
        for seed in (0, 1)
        for k, value in enumerate((n + 1, n + seed, step))
    ]
    jsonl("a.jsonl", *rows)
    run("store", "import", "a.jsonl", "--out", "s")
    run("verify", "s")
    run("verify", "a.jsonl", "--out", "v.jsonl")
    file, store = (
        json.loads(run("boundary", f"base={path}@0", f"t={path}", "--json").stdout) for path in ("v.jsonl", "s")
    )
    assert [model["rows"] for model in store["models"]] == [model["rows"] for model in file["models"]]


def test_copies_are_told_and_dropped_as_in_files():
    texts = [f"\\boxed{{2}} {number}" for number in range(4)]
    jsonl("a.jsonl", *[row(n, text) for _ in range(2) for n in range(1, 5) for text in texts])
    run("store", "import", "a.jsonl", "--out", "s")
    run("verify", "s")
    lines = " ".join(run("boundary", "s", "s", "--k", "1").stdout.split())
    assert "n is 4, not 8: --drop-copies counts each text of a problem once" in lines
    lines = " ".join(run("boundary", "s", "s", "--k", "1", "--drop-copies").stdout.split())
    assert "4 problems, 4 samples each, 16 of 32 rows used, left out: copies: 16" in lines


def test_the_same_files_add_nothing_wherever_they_are():
    """Neither place nor order of the files matters; a problem's samples may be in both."""
    jsonl("x/a.jsonl", *[row(n % 3, f"a{n}") for n in range(20)])
    jsonl("x/b.jsonl", *[row(n % 3, f"b{n}") for n in range(20)])
    run("store", "import", "x", "--out", "s")
    before = samples("s")
    assert len(before) == 40
    shutil.move("x", "y")
    for files in (["y"], ["y/b.jsonl", "y/a.jsonl"]):
        assert json.loads(run("store", "import", *files, "--out", "s", "--json").stdout)["new"] == 0
    assert samples("s") == before


KILLED = """
import os, sys
from pathlib import Path
from rlvrscope.sampling import SampleStore
from rlvrscope.sampling.imported import ImportedFiles, import_samples
imported = ImportedFiles.open([Path(sys.argv[1])])
with SampleStore(sys.argv[2]) as store:
    import_samples(store, imported, lambda done: done >= 768 and os._exit(9))
"""


def test_an_import_that_is_killed_is_continued():
    jsonl("a.jsonl", *[row(n % 7, f"text {n}", model="xy"[n % 2]) for n in range(2000)])
    done = subprocess.run([sys.executable, "-c", KILLED, "a.jsonl", "s"], env=dict(os.environ), timeout=60)
    assert done.returncode == 9
    report = run("store", "stats", "s").stdout
    assert "warning: the import is not complete" in report
    assert "is not complete" in run("verify", "s").stdout
    output = run("boundary", "s#x", "s#y", "--k", "1").output
    assert "run x: its import is not complete, 488 samples are missing" in output
    output = run("store", "import", "a.jsonl", "--out", "s").stdout
    assert "2,000 samples of 7 problems in 2 runs, 1,232 of them new" in output
    run("store", "import", "a.jsonl", "--out", "whole")
    for name in "xy":
        assert samples("s", name) == samples("whole", name)
    assert "not complete" not in run("store", "stats", "s").stdout
    with SampleStore("s", write=False) as store:
        assert check(store) == 2000


def test_nothing_is_drawn_into_an_imported_run_and_nothing_imported_into_a_sampled_one():
    jsonl("a.jsonl", row(1, "2"))
    jsonl("b.jsonl", row(1, "3"))
    jsonl("problems.jsonl", {name: row(1, "")[name] for name in ("id", "prompt", "answer")})
    run("store", "import", "a.jsonl", "--out", "s")
    with chat_server(lambda number: {"message": {"content": "2"}, "finish_reason": "stop"}) as url:
        words = ["sample", "problems.jsonl", "--engine", "openai", "--model", "m", "--samples", "1", "--max-tokens",
                 "8", "--chat", "--template", "none", "--url", url]  # fmt: skip
        message = run(*words, "--out", "s", code=2).stderr
        assert (
            "run 'samples' was imported from 'a.jsonl', and nothing is drawn into it: choose another --out" in message
        )
        run(*words, "--out", "drawn")
    before = samples("s"), samples("drawn")
    message = run("store", "import", "b.jsonl", "--out", "s", code=2).stderr
    assert "was imported from other files or with other options (files, sha256): choose another --out" in message
    message = run("store", "import", "a.jsonl", "--out", "s", "--field", "text=answer", code=2).stderr
    assert "other options (fields)" in message
    message = run("store", "import", "a.jsonl", "--out", "drawn", code=2).stderr
    assert "run 'samples' was sampled, so nothing can be imported into it" in message
    assert (samples("s"), samples("drawn")) == before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(1, "2"), {**row(1, ""), "text": None}], "a.jsonl: line 2, column 'text': there is no text"),
        ([row(1, "2"), {**row(1, "2"), "answer": "7"}], "line 2: problem 'p1' has the gold answer '7' here"),
        ([row(1, "2"), {**row(1, "2"), "prompt": "Another?"}],
         "problem 'p1' has the prompt 'Another?' here, but 'What is 1+1?' at a.jsonl: line 1"),
        ([row(1, "2", level="1"), row(1, "2", level="2")], "metadata {'level': '1'} and {'level': '2'}"),
        ([row(1, "2"), {"text": "2", "answer": "2"}], "completion 2 has no problem, id or prompt"),
        ([{"id": "p", "answer": "2"}], "a.jsonl has no column 'text'"),
    ],
)  # fmt: skip
def test_files_with_a_bad_row_leave_no_store(rows: list[dict[str, Any]], message: str):
    assert message in run("store", "import", jsonl("a.jsonl", *rows), "--out", "s", code=2).stderr
    assert not Path("s").exists()


def test_a_file_given_twice_would_count_twice():
    jsonl("a.jsonl", row(1, "2"))
    shutil.copy("a.jsonl", "copy.jsonl")
    message = run("store", "import", "a.jsonl", "copy.jsonl", "--out", "s", code=2).stderr
    assert "copy.jsonl and a.jsonl have the same content: its samples would count twice" in message
    Path("empty").mkdir()
    assert "there is no" in run("store", "import", "empty", "--out", "s", code=2).stderr


def test_verdicts_are_verified_against_the_gold_answer_not_the_extracted_one():
    jsonl("a.jsonl", row(1, "\\boxed{2}"), row(1, "\\boxed{3}"))
    first = json.loads(run("verify", "a.jsonl", "--out", "v.jsonl", "--json").stdout)
    again = json.loads(run("verify", "v.jsonl", "--json").stdout)
    assert again["outcomes"] == first["outcomes"] == {**first["outcomes"], "correct": 1, "wrong": 1}
