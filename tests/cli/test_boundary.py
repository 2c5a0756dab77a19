"""`rlvrscope boundary` and `rlvrscope plan` as a user runs them: numbers, files, mistakes, hostile input."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from rlvrscope.cli.main import app
from rlvrscope.readers import read_models
from rlvrscope.seeding import generator
from rlvrscope.stats import compare, compare_all, pass_at_k_curve, plan

KS = [1, 2, 4, 8]
ROWS = [{"problem": f"p{i:02}", "n": 8, "base": i % 5, "grpo": (i * 3) % 9, "other": (i * 7) % 9} for i in range(40)]


def run(*words: str | Path, code: int = 0, terminal: bool = False) -> Result:
    """A command in this process, in a pipe or in a terminal of 80 columns."""
    environment = {"TTY_COMPATIBLE": "1" if terminal else "0", "COLUMNS": "80", "TERM": "dumb"}
    done = CliRunner().invoke(app, [str(word) for word in words], env=environment)
    assert done.exit_code == code, done.output + repr(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


def refused(*words: str | Path, code: int = 2) -> str:
    """The one line of a refusal."""
    done = run(*words, code=code)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not controls(done.stderr)
    return done.stderr


def test_sources_that_are_rated_differently_are_told(tmp_path: Path):
    for name, reward in (("base", "accuracy"), ("rl", "format")):
        rows = [
            {"prompt": f"{n}?", "completion": f"{n} {k}", "step": 1, "advantage": 0.0, reward: float((n + k) % 2)}
            for n in range(4)
            for k in range(4)
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    lines = " ".join(run("boundary", tmp_path / "base.parquet", tmp_path / "rl.parquet", "--k", "1").stdout.split())
    assert "Sources of one tool are rated by different columns: base by accuracy, rl by format" in lines


def controls(text: str) -> set[str]:
    """Characters that move the cursor, colour the screen or turn text around."""
    return {c for c in text if (not c.isprintable() and c not in "\n\t") or c in "\u202e\u2066"}


def samples(name: str, key: str, rows: Iterable[dict[str, Any]] = ROWS) -> list[dict[str, Any]]:
    """One row a sample, the right ones first."""
    return [
        {
            "model": name,
            "problem": row["problem"],
            "correct": j < row[key],
            "text": f"{name} says {j}",
            "answer": str(j),
        }
        for row in rows
        for j in range(row["n"])
    ]


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_counts(path: Path, key: str, rows: Iterable[dict[str, Any]] = ROWS) -> Path:
    path.write_text("problem,n,c\n" + "".join(f"{row['problem']},{row['n']},{row[key]}\n" for row in rows))
    return path


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: base, grpo and other as counts, and all three as samples of one file."""
    monkeypatch.chdir(tmp_path)
    for key in ("base", "grpo", "other"):
        write_counts(tmp_path / f"{key}.csv", key)
    write_jsonl(tmp_path / "all.jsonl", [row for key in ("base", "grpo", "other") for row in samples(key, key)])
    return tmp_path


def facts(*words: str | Path) -> dict[str, Any]:
    """The output of --json. NaN and Infinity are not valid JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(run(*words, "--json").stdout, parse_constant=refuse)


def widths(text: str) -> int:
    return max(map(len, text.splitlines()))


# What is printed.


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], {}),
        (["--pointwise", "--confidence", "0.8"], {"simultaneous": False, "confidence": 0.8}),
        (["--this-set", "--seed", "3"], {"target": "this set"}),
        (["--k", "8,1,1", "--margin", "0.2"], {"margin": 0.2}),
    ],
)
def test_the_numbers_are_those_of_compare(at: Path, words: list[str], settings: dict[str, Any]):
    (base,), (trained,) = read_models("base.csv"), read_models("grpo.csv")
    ks, seed = ([1, 8] if "--k" in words else KS), (3 if "--seed" in words else 0)
    expected = compare(base.counts, trained.counts, ks, rng=generator(seed, "boundary"), **settings)
    result = facts("boundary", "base.csv", "grpo.csv", *words)
    (model,) = result["models"]
    output = run("boundary", "base.csv", "grpo.csv", *words, "--csv", "table.csv", terminal=True).stdout
    table = list(csv.DictReader((at / "table.csv").open()))
    assert [row["k"] for row in model["rows"]] == ks
    for index, row in enumerate(model["rows"]):
        assert row["verdict"] == expected.verdicts[index] == table[index]["verdict"]
        for part, key in (("estimate", "difference"), ("low", "difference_low"), ("high", "difference_high")):
            number = float(getattr(expected.difference, part)[index])
            assert row[key] == (number if np.isfinite(number) else None)
            assert table[index][key] == ("" if row[key] is None else repr(row[key]))
            assert row[key] is None or f"{row[key]:+.3f}" in output
        assert row["base"] == expected.base.estimate[index]
        assert f"{row['base']:.3f}" in output
    assert " ".join(model["conclusion"].split()) in " ".join(output.split())
    assert widths(output) <= 80


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], {}),
        (["--pointwise", "--confidence", "0.8"], {"simultaneous": False, "confidence": 0.8}),
        (["--this-set", "--seed", "3"], {"target": "this set"}),
        (["--k", "8,1,16"], {}),
    ],
)
def test_one_model_has_its_curve_with_its_band(at: Path, words: list[str], settings: dict[str, Any]):
    """k = 16 is undefined: there are 8 samples of each problem."""
    (grpo,) = read_models("grpo.csv")
    ks, seed = ([1, 8, 16] if "--k" in words else KS), (3 if "--seed" in words else 0)
    expected = pass_at_k_curve(grpo.counts, ks, rng=generator(seed, "one model"), **settings)
    result = facts("boundary", "grpo.csv", *words)
    output = run("boundary", "grpo.csv", *words, "--csv", "table.csv", terminal=True).stdout
    assert [row["k"] for row in result["rows"]] == ks
    for index, (row, line) in enumerate(zip(result["rows"], csv.DictReader((at / "table.csv").open()), strict=True)):
        for part, key in (("estimate", "pass"), ("low", "pass_low"), ("high", "pass_high")):
            number = float(getattr(expected, part)[index])
            assert row[key] == (number if np.isfinite(number) else None)
            assert line[key] == ("" if row[key] is None else repr(row[key]))
            assert row[key] is None or f"{row[key]:.3f}" in output
        assert row["reliable"] == expected.reliable[index]
    assert ("pass@16 is undefined for 40 of 40 problems" in output) is ("--k" in words)
    assert ("°" in output) is not all(row["reliable"] or row["pass"] is None for row in result["rows"])
    assert " ".join(result["conclusion"].split()) in " ".join(output.split())
    assert widths(output) <= 80


def test_the_files_of_one_model(at: Path):
    for number in range(2):
        run("boundary", "all.jsonl#grpo", "--html", f"{number}.html", "--png", f"{number}.svg", "--options", "4")
    assert (at / "0.svg").read_bytes() == (at / "1.svg").read_bytes()
    page = (at / "0.html").read_text()
    for words in ("One model: grpo", "pass@8 above guessing", "Guessing among 4 options alone", "answers among 8"):
        assert words in page
    assert facts("boundary", "all.jsonl#grpo")["samples"][0]["fact"] == "answers among 8"
    assert "grpo: 3 of 8 right" in run("boundary", "all.jsonl#grpo", "--problem", "p01", terminal=True).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        *(([option], f"{option} compares models") for option in ("--rank", "--seeds", "--shared", "--at-least-k")),
        (["--by", "level"], "--by compares models"),
        (["--fail-if", "shrunk"], "--fail-if compares models"),
        (["--fail-under", ".5@3"], "an alarm at k = 3 needs that k in the table"),
    ],
)
def test_one_model_is_not_compared(at: Path, words: list[str], message: str):
    assert message in refused("boundary", "base.csv", *words, "--csv", "table.csv")
    assert not (at / "table.csv").exists()


def test_one_of_several_models_must_be_named(at: Path):
    (at / "one.csv").write_text("problem,n,c\na,1,1\nb,1,0\n")
    assert "all.jsonl holds 3 models: name one, all.jsonl#NAME with one of" in refused("boundary", "all.jsonl")
    assert "at least 2 samples of every" in refused("boundary", "one.csv", "--this-set")
    done = CliRunner().invoke(app, ["boundary", "base.csv", "--fail-under", ".9"])
    assert (done.exit_code, done.stderr) == (3, "alarm: base: pass@8 is 0.800, under 0.9\n")


def test_every_kind_of_file_gives_the_same(at: Path):
    expected = facts("boundary", "base.csv", "grpo.csv")["models"][0]["rows"]
    for key in ("base", "grpo"):
        write_jsonl(at / f"{key}.jsonl", samples(key, key))
        pq.write_table(pa.Table.from_pylist(samples(key, key)), at / f"{key}.parquet")
    for suffix in ("jsonl", "parquet"):
        assert facts("boundary", f"base.{suffix}", f"grpo.{suffix}")["models"][0]["rows"] == expected


@pytest.mark.usefixtures("at")
def test_several_models_are_judged_together():
    output = run("boundary", "base.csv", "grpo.csv", "other.csv", terminal=True).stdout
    assert "2 models are compared: the verdicts of all together keep the level." in output
    assert widths(output) <= 80
    counts = {name: read_models(f"{name}.csv")[0].counts for name in ("base", "grpo", "other")}
    base = counts.pop("base")
    expected = compare_all(base, counts, KS, rng=generator(0, "boundary"))
    for model in facts("boundary", "base.csv", "grpo.csv", "other.csv")["models"]:
        assert model["level"] == expected[model["model"]].level
        assert [row["difference_low"] for row in model["rows"]] == expected[model["model"]].difference.low.tolist()


def test_at_least_k_is_for_the_command_line_too(at: Path):
    rows = [dict(row, n=8 - (row["problem"] == "p00"), grpo=min(row["grpo"], 7)) for row in ROWS]
    write_counts(at / "short.csv", "grpo", rows)
    output = run("boundary", "base.csv", "short.csv").stdout
    assert "1 of 40 problems have fewer than 8 samples: --at-least-k compares the others at larger k." in output
    words = ["boundary", "base.csv", "short.csv", "--at-least-k", "--csv", "kept.csv"]
    assert "left out: 1 at k = 8." in " ".join(run(*words, terminal=True).stdout.split())
    assert [row["left_out"] for row in csv.DictReader((at / "kept.csv").open())] == ["0", "0", "0", "1"]


def test_a_source_may_hold_many_models(at: Path):
    every = facts("boundary", "all.jsonl", "all.jsonl")
    assert every["base"] == "base"
    assert [model["model"] for model in every["models"]] == ["grpo", "other"]
    one = facts("boundary", "all.jsonl#grpo", "all.jsonl#other")
    assert (one["base"], [model["model"] for model in one["models"]]) == ("grpo", ["other"])
    other = facts("boundary", "all.jsonl#grpo", "all.jsonl")
    assert [model["model"] for model in other["models"]] == ["base", "other"]
    write_jsonl(at / "two.jsonl", [*samples("a", "base"), *samples("b\x1b[31m", "grpo")])
    assert "two.jsonl#NAME with one of a, b\\x1b[31m" in refused("boundary", "two.jsonl", "grpo.csv")
    assert "there is no model 'c'; there is a, b" in refused("boundary", "two.jsonl#c", "grpo.csv")


def test_other_columns_scores_and_options(at: Path):
    rows = [{"task": row["problem"], "reward": 0.9 if row["correct"] else 0.3} for row in samples("base", "base")]
    write_jsonl(at / "scores.jsonl", rows)
    named = ["--column", "problem=task", "--column", "score=reward"]
    result = facts("boundary", "scores.jsonl", "grpo.csv", *named, "--threshold", "0.5", "--options", "4")
    assert result["models"][0]["rows"] == facts("boundary", "base.csv", "grpo.csv")["models"][0]["rows"]
    metrics = {entry["metric"]: entry["values"] for entry in result["metrics"]}
    assert metrics["pass@1 above guessing (0.250)"][0] == pytest.approx(result["models"][0]["rows"][0]["base"] - 0.25)
    assert "or --threshold X be given" in refused("boundary", "scores.jsonl", "grpo.csv", *named)


def test_shared_problems(at: Path):
    write_counts(at / "few.csv", "grpo", [*ROWS[::-2], {"problem": "new", "n": 8, "grpo": 1}])
    message = refused("boundary", "base.csv", "few.csv")
    assert "20 (such as 'p00') only in the base, 1 (such as 'new') only in few, 20 in both" in message
    assert "--shared" in message
    result = facts("boundary", "base.csv", "few.csv", "--shared")
    assert result["problems"] == 20
    same = write_counts(at / "same.csv", "base", ROWS[1::2])
    rows = facts("boundary", same, write_counts(at / "half.csv", "grpo", ROWS[1::2]))["models"][0]["rows"]
    assert [row["difference"] for row in rows] == [row["difference"] for row in result["models"][0]["rows"]]


@pytest.mark.usefixtures("at")
def test_ks_beyond_the_samples_are_undefined_not_invented():
    output = run("boundary", "base.csv", "grpo.csv", "--k", "8,16").stdout
    assert "16      –      –" in output
    assert "pass@16 is undefined for 40 of 40 problems (n < 16)." in output
    assert "nan" not in output
    assert facts("boundary", "base.csv", "grpo.csv", "--k", "8,16")["models"][0]["rows"][1]["difference"] is None
    assert "no interval" in run("boundary", "base.csv", "grpo.csv", "--this-set").stdout


def test_a_lab_experiment(experiment: Path):
    result = facts("boundary", f"{experiment}#base", experiment, "--samples", "64")
    assert [model["model"] for model in result["models"]] == ["grpo", "grpo-p"]
    assert result["min_samples"] == 64
    assert facts("boundary", experiment, experiment, "--samples", "64") == result
    assert widths(run("boundary", experiment, experiment, terminal=True).stdout) <= 80


# One problem.


@pytest.mark.usefixtures("at")
def test_the_answers_to_one_problem():
    words = ["boundary", "all.jsonl", "all.jsonl", "--problem", "p02"]
    output = run(*words, terminal=True).stdout
    assert "base: 2 of 8 right" in output
    assert "grpo: 6 of 8 right" in output
    assert "base says 1" in output
    assert "base says 2" not in output, "a wrong one"
    assert "grpo says 4" not in output, "beyond the limit"
    assert widths(output) <= 80
    right = facts(*words, "--limit", "1")["right"]
    assert {name: [sample["text"] for sample in result] for name, result in right.items()} == {
        "base": ["base says 0"],
        "grpo": ["grpo says 0"],
        "other": ["other says 0"],
    }


def test_a_problem_that_can_not_be_shown(at: Path):
    assert "base has no problem 'p99'. Nearest: p" in refused("boundary", "all.jsonl", "all.jsonl", "--problem", "p99")
    assert "It has p00, p01, " in refused("boundary", "all.jsonl", "all.jsonl", "--problem", "zebra")
    assert "hold no texts" in refused("boundary", "base.csv", "grpo.csv", "--problem", "p01")
    message = refused("boundary", "all.jsonl", "all.jsonl", "--problem", "p01", "--html", "x.html")
    assert "leave out --html" in message
    assert not (at / "x.html").exists()


# Files.


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_same_command_writes_the_same_bytes(at: Path):
    """In another process too, with another seed of Python's hashes."""
    files = ["--html", "out/page.html", "--png", "out/a.png", "--csv", "out/a.csv"]
    words = ["boundary", "base.csv", "grpo.csv", *files]
    first = run(*words).stdout
    before = digests(at / "out")
    assert set(before) == {"page.html", "a.png", "a.csv"}
    assert (at / "out" / "a.png").read_bytes().startswith(b"\x89PNG")
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-m", "rlvrscope", *words]
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (again.stdout, again.stderr) == (first, "")
    assert digests(at / "out") == before
    assert {path.name for path in at.iterdir()} == {"base.csv", "grpo.csv", "other.csv", "all.jsonl", "out"}


def test_a_vector_picture(at: Path):
    assert "Written: x.svg" in run("boundary", "base.csv", "grpo.csv", "--k", "1,8", "--png", "x.svg").stdout
    assert (at / "x.svg").read_text().startswith("<svg")


# Mistakes.

Make = Callable[[Path], object]


def text(name: str, content: str) -> Make:
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("make", "words", "message"),
    [
        (text("bad.csv", "problem,n,c\na,4,5\n"), ["base.csv", "bad.csv"], "bad.csv: line 2: 'c' must be at most n"),
        (text("bad.csv", "problem,n,c\na,4,-1\n"), ["base.csv", "bad.csv"], "'c' must be a whole number, 0 or more"),
        (text("bad.csv", "problem,n,c\na,4,1\na,4,1\n"), ["base.csv", "bad.csv"], "the first are at bad.csv: line 2"),
        (text("bad.csv", "task,tries\na,4\n"), ["base.csv", "bad.csv"], "It has task, tries"),
        (text("bad.csv", "problem,n,c\n"), ["base.csv", "bad.csv"], "no rows: there is nothing to count"),
        (text("bad.csv", ""), ["base.csv", "bad.csv"], "needs a first line that names its columns"),
        (text("bad.jsonl", ""), ["base.csv", "bad.jsonl"], "bad.jsonl: no rows"),
        (text("bad.csv", "problem,n,c\na,0,0\nb,4,1\n"), ["bad.csv", "bad.csv"], "has no samples at all (n = 0)"),
        (text("bad.csv", "problem,n,c\na,4,1\n"), ["bad.csv", "bad.csv"], "needs at least 2 problems"),
        (
            text("bad.csv", "problem,n,c\na,1,1\nb,1,0\n"),
            ["bad.csv", "bad.csv", "--this-set"],
            "at least 2 samples of every",
        ),
        (None, ["base.csv", "none.csv"], "'none.csv': there is no such file or folder"),
        (None, ["base.csv", "grpo.csv", "--k", "0"], "every k must be 1 or more; got 0"),
        (None, ["base.csv", "grpo.csv", "--k", "garbage"], "--k needs whole numbers separated by commas"),
        (None, ["base.csv", "grpo.csv", "--k", ""], "--k needs whole numbers separated by commas"),
        (None, ["base.csv", "grpo.csv", "--k", "9" * 30], "ks must be whole numbers from 1 up"),
        (None, ["base.csv", "grpo.csv", "--margin", "-0.1"], "a margin of at least 0"),
        (None, ["base.csv", "grpo.csv", "--margin", "inf"], "the margin must be at most 1"),
        (None, ["base.csv", "grpo.csv", "--confidence", "1.5"], "confidence must be between 0 and 1; got 1.5"),
        (None, ["base.csv", "grpo.csv", "--column", "problm=x"], "Did you mean 'problem'?"),
        (None, ["base.csv", "grpo.csv", "--png", "a.gif"], "--png must end in .png or .svg; got a.gif"),
        (None, ["base.csv", "grpo.csv", "--html", "folder"], "folder is a folder; give a file name"),
        (None, ["base.csv", "grpo.csv", "--csv", "grpo.csv"], "grpo.csv is already read or written"),
        (None, ["base.csv", "grpo.csv", "--csv", "x", "--html", "./x"], "x is already read or written"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(at: Path, make: Make | None, words: list[str], message: str):
    (at / "folder").mkdir()
    for name in ("old.html", "old.png", "old.csv"):
        (at / name).write_text("before")
    if make is not None:
        make(at)
    before = digests_of_files(at)
    outputs = {"--html": "old.html", "--png": "old.png", "--csv": "old.csv"}
    outputs = [part for flag, name in outputs.items() if flag not in words for part in (flag, name)]
    assert message in refused("boundary", *words, *outputs)
    assert digests_of_files(at) == before


def digests_of_files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_page_that_can_not_be_written_is_failed_work(at: Path):
    before = digests_of_files(at)
    words = ["boundary", "base.csv", "grpo.csv", "--k", "1", "--html", "base.csv/x.html", "--csv", "x.csv"]
    assert "cannot write base.csv/x.html" in refused(*words, code=1)
    assert digests_of_files(at) == before


# Hostile text.

EVIL = "[bold]x[/] [/] <script>alert(1)</script> {{ 7*7 }}\x1b[31m\x1b]0;t\x07 \x00 \u202eback\u2066\n\x9b2J"


def test_hostile_text_can_not_touch_the_terminal(at: Path):
    rows = [{**row, "problem": row["problem"] + EVIL} for row in ROWS[:6]]
    for name, key in ((f"one {EVIL}", "base"), (f"two {EVIL}", "grpo")):
        result = [
            {**row, "text": EVIL + "x" * (row["problem"] == rows[0]["problem"]) * 1_000_000}
            for row in samples(name, key, rows)
        ]
        write_jsonl(at / f"{key}.jsonl", result)
    words = ["boundary", "base.jsonl", "grpo.jsonl"]
    output = run(*words, terminal=True).stdout
    assert not controls(output)
    assert widths(output) <= 80
    problem = rows[1]["problem"]
    answers = run(*words, "--problem", problem, terminal=True).stdout
    assert not controls(answers)
    assert "[bold]x[/] [/]" in answers
    assert widths(answers) <= 80
    for flags in ([], ["--problem", problem]):
        printed = run(*words, *flags, "--json").stdout
        assert not controls(printed)
        assert EVIL in "".join(map(str, json.loads(printed).values())), "JSON keeps what stood there"
    refused(*words, "--problem", "none")
    (at / "short.csv").write_text("problem,n,c\na,1,1\nb,1,1\n")
    refused("boundary", "base.jsonl", "short.csv")
    refused("boundary", "short.csv", "grpo.jsonl")


def test_long_and_wide_names_keep_the_table_in_80_columns(at: Path):
    write_jsonl(at / "base.jsonl", samples("モデル" * 30, "base"))
    write_jsonl(
        at / "grpo.jsonl", [*samples("a-long-name-of-step-100", "grpo"), *samples("a-long-name-of-step-200", "other")]
    )
    output = run("boundary", "base.jsonl", "grpo.jsonl").stdout
    assert all(cell_len(line) <= 80 for line in output.splitlines() if "difference" in line)
    heads = [line for line in output.splitlines() if "difference" in line and "verdict" in line]
    assert len(heads) == 2
    assert "step-100" in heads[0]
    assert "step-200" in heads[1]


# Planning.


@pytest.mark.usefixtures("at")
def test_plan_says_what_plan_computes():
    (base,), (trained,) = read_models("base.csv"), read_models("grpo.csv")
    for words, second in ((["base.csv"], None), (["base.csv", "grpo.csv"], trained.counts)):
        expected = plan(base.counts, 0.05, 4, second)
        result = facts("plan", *words, "--difference", "0.05", "--k", "4")
        output = run("plan", *words, "--difference", "0.05", "--k", "4", terminal=True).stdout
        assert result["spread"] == expected.spread
        assert result["detectable"] == list(expected.detectable)
        assert [(o["samples"], o["problems"]) for o in result["options"]] == [
            (option.samples, option.problems) for option in expected.options
        ]
        for option, detectable in zip(expected.options, expected.detectable, strict=True):
            assert f"{option.problems:,}" in output
            assert f"{option.total:,}" in output
            assert f"{detectable:.3f}" in output
        shown_words = " ".join(output.split())
        assert ("Assumed:" in shown_words) == (second is None)
        assert "detectable with 40 problems" in shown_words
        assert widths(output) <= 80


def test_plan_takes_the_trained_model_of_a_source_with_both(at: Path):
    write_jsonl(at / "two.jsonl", [*samples("base", "base"), *samples("grpo", "grpo")])
    assert facts("plan", "two.jsonl", "two.jsonl", "--k", "4") == facts("plan", "base.csv", "grpo.csv", "--k", "4")
    assert "one is needed" in refused("plan", "all.jsonl", "all.jsonl", "--k", "4")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.csv"], "'none.csv': there is no such file or folder"),
        (["base.csv", "--difference", "0"], "a difference between 0 and 1"),
        (["base.csv", "--power", "1"], "power must be between"),
        (["base.csv", "--correlation", "2"], "a correlation from -1 to 1"),
        (["base.csv", "few.csv"], "must have the same problems"),
        (["few.csv"], "at least 3 problems"),
    ],
)
def test_plans_that_can_not_be_made(at: Path, words: list[str], message: str):
    write_counts(at / "few.csv", "grpo", ROWS[:2])
    assert message in refused("plan", *words, "--k", "4")


def test_help_fits_a_narrow_terminal():
    for command in ("boundary", "plan"):
        assert widths(run(command, "--help", terminal=True).stdout) <= 80


@pytest.mark.usefixtures("at")
def test_training_runs_in_several_files():
    result = facts("boundary", "base.csv", "grpo.csv", "other.csv", "--seeds")
    (model,) = result["models"]
    assert (model["model"], model["scope"]) == ("grpo and 1 more", "this objective")
    means = [sum(row[key] for row in ROWS) / 320 for key in ("grpo", "other")]
    assert model["rows"][0]["trained"] == pytest.approx(sum(means) / 2)
    assert any("2 training runs are too few" in note for note in result["notes"])
