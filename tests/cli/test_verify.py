"""`rlvrscope verify` and `rlvrscope tasks` as a user runs them."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rlvrscope.cli.main import app
from rlvrscope.readers import read_models

ROWS = [
    {"problem": "a", "prompt": "What is 17*23?", "text": "so \\boxed{391}", "answer": "391"},
    {"problem": "a", "prompt": "What is 17*23?", "text": "so \\boxed{390}", "answer": "391"},
    {"problem": "a", "prompt": "What is 17*23?", "text": "so 391", "answer": "391"},
    {"problem": "b", "prompt": "?", "text": "\\boxed{\\frac{1}{\\sqrt{2}}}", "answer": "\\frac{\\sqrt{2}}{2}"},
    {"problem": "b", "prompt": "?", "text": "\\boxed{\u202e5}", "answer": "\\frac{\\sqrt{2}}{2}"},
    {"problem": "b", "prompt": "?", "text": "\\boxed{9^{9^{9^9}}}", "answer": "\\frac{\\sqrt{2}}{2}"},
]
QUICK = [*ROWS[:3], *ROWS[4:]]
"""The rows that need no worker."""


@pytest.fixture(autouse=True)
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("s.jsonl", ROWS), ("quick.jsonl", QUICK)):
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(*words: str, code: int = 0, terminal: bool = False) -> Result:
    """A command in this process, in a pipe or in a terminal of 80 columns."""
    environment = {"TTY_COMPATIBLE": "1" if terminal else "0", "COLUMNS": "80", "TERM": "dumb"}
    done = CliRunner().invoke(app, words, env=environment)
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def refused(*words: str, code: int = 2) -> str:
    done = run(*words, code=code)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_outcomes_and_rate():
    output = run("verify", "s.jsonl").stdout
    assert [line.split() for line in output.splitlines()[1:7]] == [
        ["correct", "2", "33.3%"], ["wrong", "1", "16.7%"], ["no_answer", "1", "16.7%"], ["rejected", "2", "33.3%"],
        ["timeout", "0", "0.0%"], ["error", "0", "0.0%"],
    ]  # fmt: skip
    assert "6 items in " in output
    assert "correct: 0.3333" in output
    facts = json.loads(run("verify", "s.jsonl", "--json", "--workers", "1").stdout)
    assert facts["outcomes"] == {"correct": 2, "wrong": 1, "no_answer": 1, "rejected": 2, "timeout": 0, "error": 0}
    assert facts["decided_by"] == {"rules": 2, "string": 1, "exact": 1, "extract": 1, "algebra": 1}


def test_verdicts_can_be_read_by_boundary(at: Path):
    run("verify", "s.jsonl", "--out", "v.jsonl")
    rows = [json.loads(line) for line in (at / "v.jsonl").read_text().splitlines()]
    assert [row["outcome"] for row in rows] == ["correct", "wrong", "no_answer", "correct", "rejected", "rejected"]
    assert [row["problem"] for row in rows] == list("aaabbb")
    (model,) = read_models("v.jsonl")
    assert (model.counts.n.tolist(), model.counts.c.tolist()) == ([3, 3], [1, 1])


def test_verdicts_keep_the_id_of_their_problem(at: Path):
    rows = [{"id": name, "text": f"\\boxed{{{n}}}", "answer": "1"} for n, name in enumerate(("a", "b", "b"))]
    (at / "i.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run("verify", "i.jsonl", "--out", "new/folder/v.jsonl")
    assert "Written: new/folder/v.jsonl" in done.stdout
    (model,) = read_models("new/folder/v.jsonl")
    assert (list(model.counts.problem), model.counts.c.tolist()) == (["a", "b"], [0, 1])
    (at / "n.jsonl").write_text('{"text": "1", "answer": "1"}\n')
    assert "can't distinguish their problems" in run("verify", "n.jsonl", "--out", "n/v.jsonl").stderr


def test_a_folder_of_samples(at: Path):
    (at / "more").mkdir()
    for name in ("a", "b"):
        (at / "more" / f"{name}.jsonl").write_text((at / "quick.jsonl").read_text())
    assert json.loads(run("verify", "more", "--json").stdout)["outcomes"]["correct"] == 2
    assert "problem      b" in run("verify", "more", "--explain", "9").stdout
    assert "is part of the input" in refused("verify", "more", "--out", "more/v.jsonl")


def test_the_first_error_of_a_plugin_is_shown(at: Path):
    (at / "mine.py").write_text("def fails(text, problem):\n    return 1 / text.count('391')\n")
    output = run("verify", "s.jsonl", "--verifier", "mine.py:fails").stdout
    assert "The first error, in item 2: ZeroDivisionError: division by zero (mine.py, line 2)" in output


def test_a_missing_extra_is_reported_before_the_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rlvrscope.verify.math.math_verifier.importlib.util.find_spec", lambda name: None)
    message = refused("verify", "s.jsonl", "--out", "v.jsonl")
    assert "problem 'b'" in message
    assert "pip install '.[math]'" in message
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install '.[hf]'" in refused("tasks", "export", "gsm8k", "--out", "g.jsonl")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    Path("s.parquet").write_bytes(b"PAR1")
    assert "pip install '.[parquet]'" in refused("verify", "s.parquet")
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    assert "pip install '.[gym]'" in refused("tasks", "export", "gym:gcd", "--out", "g.jsonl")


def test_one_item_explained():
    output = run("verify", "s.jsonl", "--explain", "6").stdout
    assert "extracted    9^{9^{9^9}}" in output
    assert "outcome      rejected (score 0)" in output
    assert "read as      power(number 9, power(number 9, power(number 9, number 9)))" in output
    assert "why          not evaluated: it has arithmetic left over" in output
    assert "ms" in output
    facts = json.loads(run("verify", "s.jsonl", "--explain", "4", "--json").stdout)
    assert (facts["outcome"], facts["path"], facts["gold"]) == ("correct", "algebra", "\\frac{\\sqrt{2}}{2}")
    assert "\u202e" not in run("verify", "s.jsonl", "--explain", "5").stdout
    assert "there is no item 7" in refused("verify", "s.jsonl", "--explain", "7")


def test_other_file_formats_and_column_names(at: Path):
    with gzip.open(at / "quick.jsonl.gz", "wt") as file:
        file.write((at / "quick.jsonl").read_text())
    with (at / "s.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["response", "gold"])
        writer.writerows([row["text"], row["answer"]] for row in QUICK)
    first = json.loads(run("verify", "quick.jsonl.gz", "--json").stdout)["outcomes"]
    words = ["--field", "text=response", "--field", "answer=gold"]
    assert json.loads(run("verify", "s.csv", "--json", *words).stdout)["outcomes"] == first


def test_forms_and_verifiers(at: Path):
    row = {"text": "<answer>2+3</answer>", "answer": "5", "verifier": "countdown", "numbers": [2, 3]}
    (at / "c.jsonl").write_text(json.dumps(row))
    assert json.loads(run("verify", "c.jsonl", "--form", "tag", "--json").stdout)["outcomes"]["correct"] == 1
    assert json.loads(run("verify", "c.jsonl", "--json").stdout)["outcomes"]["no_answer"] == 1
    (at / "mine.py").write_text("def long(text, problem):\n    return len(text) > 10\n")
    facts = json.loads(run("verify", "s.jsonl", "--verifier", "mine.py:long", "--json").stdout)
    assert facts["outcomes"]["correct"] == 4


def test_the_form_that_would_find_an_answer_is_named(at: Path):
    texts = ["We add.\n\nAnswer: 20", "**Answer:** $20$", "#### 20", "\\boxed{20}"]
    (at / "f.jsonl").write_text("".join(json.dumps({"text": text, "answer": "20"}) + "\n" for text in texts))
    output = " ".join(run("verify", "f.jsonl").stdout.split())
    assert "3 of 4 items have no answer in the form asked for. Other forms find one: --form answer in 2" in output
    assert "--form hashes in 1" in output
    facts = json.loads(run("verify", "f.jsonl", "--json").stdout)
    assert facts["forms_with_answers"] == {"boxed": 0, "answer": 2, "hashes": 1, "phrase": 0, "tag": 0}
    facts = json.loads(run("verify", "f.jsonl", "--form", "answer", "--form", "boxed", "--json").stdout)
    assert (facts["outcomes"]["correct"], facts["forms_with_answers"]) == (3, None)
    (at / "f.jsonl").write_text('{"text": "20", "answer": "20"}')
    assert "nor in any other form" in run("verify", "f.jsonl").stdout


def test_what_was_done_to_gold_answers_is_shown(at: Path):
    rows = [{"prompt": f"{n}?", "text": f"\\boxed{{{n}}}", "answer": f"work\n#### {n}"} for n in range(5)]
    (at / "g.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    note = "5 of 5 gold answers are worked solutions: the part after #### is used"
    assert f"Note: {note}" in run("verify", "g.jsonl").stdout
    facts = json.loads(run("verify", "g.jsonl", "--json").stdout)
    assert (facts["outcomes"]["correct"], facts["notes"]) == (5, [note])
    shown = run("tasks", "show", "g.jsonl").stdout.splitlines()
    assert {"gold answer  0", f"note         {note}"} <= set(shown)
    assert json.loads(run("tasks", "show", "g.jsonl", "--json").stdout)["notes"] == [note]
    assert f"Note: {note}" in run("tasks", "export", "g.jsonl", "--out", "e.jsonl").stdout
    assert json.loads(run("tasks", "export", "g.jsonl", "--out", "e.jsonl", "--json").stdout)["notes"] == [note]
    assert json.loads((at / "e.jsonl").read_text().splitlines()[3])["answer"] == "3"
    for row in rows:
        row["answer"] = "it is about so many, more or less"
    (at / "g.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "Note: 5 of 5 gold answers are compared as text" in run("verify", "g.jsonl").stdout
    assert "it is about so many, more or less" in run("verify", "g.jsonl", "--list-golds").stdout
    facts = json.loads(run("verify", "g.jsonl", "--list-golds", "--json").stdout)
    assert set(facts["compared_as_text"].values()) == {"it is about so many, more or less"}


def test_a_tolerance_is_relative(at: Path):
    (at / "t.jsonl").write_text(json.dumps({"text": "\\boxed{3.1416}", "answer": "3.14"}))
    for words, correct in (((), 0), (("--tolerance", "0.01"), 1), (("--tolerance", "1e-4"), 0)):
        assert json.loads(run("verify", "t.jsonl", "--json", *words).stdout)["outcomes"]["correct"] == correct
    assert "tolerance must be a number from 0 to 1" in refused("verify", "t.jsonl", "--tolerance", "2")


def test_texts_and_facts_reach_the_boundary(at: Path):
    rows = [
        {
            "problem": f"p{n}",
            "code": [f"So \\boxed{{{n}}}.", "\u202eNo \ud800."],
            "answer": str(n),
            "level": n,
            "seed": 7,
        }
        for n in range(3)
    ]
    (at / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run("verify", "l.jsonl", "--field", "text=code", "--out", "v.jsonl")
    assert "Note: 6 completions, in lists in 3 rows" in done.stdout
    written = [json.loads(line) for line in (at / "v.jsonl").read_text().splitlines()]
    assert [row["level"] for row in written] == ["0", "0", "1", "1", "2", "2"]
    assert written[3]["text"] == "\u202eNo \\ud800."
    (model,) = read_models("v.jsonl")
    assert (model.counts.n.tolist(), model.counts.c.tolist()) == ([2, 2, 2], [1, 1, 1])
    output = run("boundary", "v.jsonl", "v.jsonl", "--problem", "p1").stdout
    assert "1 of 2 right" in output
    assert "So \\boxed{1}." in output


def test_verl_data_sets_are_shown_and_verified(at: Path):
    row = {"data_source": "sums", "prompt": [{"role": "user", "content": "What is 1+1?"}]}
    row |= {"reward_model": {"style": "rule", "ground_truth": "2"}, "responses": ["\\boxed{2}", "\\boxed{3}"]}
    (at / "verl.jsonl").write_text(json.dumps(row))
    shown = run("tasks", "show", "verl.jsonl").stdout
    for line in (
        "gold answer  2",
        "data_source  sums",
        "note         read like verl's data sets: answer from 'reward_model.ground_truth'",
    ):
        assert line in shown.splitlines()
    facts = json.loads(run("verify", "verl.jsonl", "--json").stdout)
    assert (facts["outcomes"]["correct"], facts["outcomes"]["wrong"]) == (1, 1)


def test_mistakes(at: Path):
    assert "cannot read nothing.jsonl" in refused("verify", "nothing.jsonl")
    assert "Did you mean 'math'?" in refused("verify", "s.jsonl", "--verifier", "mth")
    assert "has no column 'txt' (text). Did you mean 'text'?" in refused("verify", "s.jsonl", "--field", "text=txt")
    assert "unknown answer form" in refused("verify", "s.jsonl", "--form", "box")
    assert "timeout must be" in refused("verify", "s.jsonl", "--timeout", "0")
    assert "mine.py can't be read" in refused("verify", "s.jsonl", "--verifier", "mine.py:f")
    assert "is part of the input" in refused("verify", "s.jsonl", "--out", "s.jsonl")
    assert "written as .jsonl" in refused("verify", "s.jsonl", "--out", "v.csv")
    assert "s.jsonl is a file" in refused("verify", "quick.jsonl", "--out", "s.jsonl/v.jsonl")
    assert "leave out --out" in refused("verify", "s.jsonl", "--explain", "1", "--out", "v.jsonl")
    (at / "v.jsonl").mkdir()
    assert "is a folder" in refused("verify", "s.jsonl", "--out", "v.jsonl")
    (at / "bad.jsonl").write_text('{"text": "x", "answer": ""}')
    assert "bad.jsonl: line 1, column 'answer': there is no gold answer" in refused("verify", "bad.jsonl")
    (at / "empty.jsonl").write_text("")
    assert "no rows" in refused("verify", "empty.jsonl")


def test_tasks():
    output = run("tasks", "list", terminal=True).stdout
    for name in ("math-500", "aime-2025", "countdown", "gym:NAME", "qwen-boxed", "choice"):
        assert name in output
    assert max(map(len, output.splitlines())) <= 80
    assert "gsm8k" in json.loads(run("tasks", "list", "--json").stdout)["data_sets"]
    output = run("tasks", "show", "mmlu-pro").stdout
    for words in ("TIGER-Lab/MMLU-Pro", "revision", "test 12,032", "{options}"):
        assert words in output
    assert "What is " in run("tasks", "show", "chain-sum").stdout
    assert "<|im_start|>system" in run("tasks", "show", "math", "--template", "qwen-boxed").stdout
    assert "Nearest: gsm8k" in refused("tasks", "show", "gsm8")
    assert "Did you mean 'plain'?" in refused("tasks", "show", "math", "--template", "plane")


def test_a_file_is_shown_like_a_task(at: Path):
    rows = [{"question": "Which?", "gold": "B", "verifier": "choice", "choices": ["no", "yes"]}] * 2
    lines = [json.dumps({**row, "id": f"q{n}"}) for n, row in enumerate(rows)]
    (at / "mine.jsonl").write_text("\n".join(lines))
    words = ("--field", "prompt=question", "--field", "answer=gold")
    output = run("tasks", "show", "mine.jsonl", *words).stdout
    for line in ("problems     2", "verifier     choice 2", "template     choice", "first id     q0", "gold answer  B"):
        assert line in output.splitlines()
    assert "Which?\n\nA. no\nB. yes\n" in output
    facts = json.loads(run("tasks", "show", "mine.jsonl", *words, "--template", "qwen-boxed", "--json").stdout)
    assert (facts["problems"], facts["choices"], facts["verifier"]) == (2, ["no", "yes"], {"choice": 2})
    assert facts["prompt"].startswith("<|im_start|>system")
    run("tasks", "export", "mine.jsonl", *words, "--out", "again.jsonl")
    assert [json.loads(line)["prompt"] for line in (at / "again.jsonl").read_text().splitlines()] == ["Which?"] * 2
    assert "Did you mean 'question'?" in refused("tasks", "show", "mine.jsonl", "--field", "prompt=qestion")
    assert "--field is for files" in refused("tasks", "show", "gsm8k", *words)
    assert "--field is for files" in refused("tasks", "export", "gsm8k", *words, "--out", "x.jsonl")


def test_an_export_can_be_used_as_a_task(at: Path):
    run("tasks", "export", "countdown", "--count", "4", "--seed", "3", "--out", "c.jsonl")
    run("tasks", "export", "c.jsonl", "--out", "again.jsonl")
    assert (at / "again.jsonl").read_bytes() == (at / "c.jsonl").read_bytes()
    run("tasks", "export", "c.jsonl", "--template", "qwen-boxed", "--out", "asked.jsonl")
    rows = [json.loads(line) for line in (at / "asked.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert all(row["prompt"].startswith("<|im_start|>system\nPlease reason") for row in rows)
    assert "written as .jsonl" in refused("tasks", "export", "countdown", "--out", "c.csv")
    assert "not a folder" in refused("tasks", "export", "gsm8k", "--source", "none", "--out", "g.jsonl")
    assert refused("tasks", "export", "gsm8", "--out", "g.jsonl").startswith("error: unknown task 'gsm8'")
