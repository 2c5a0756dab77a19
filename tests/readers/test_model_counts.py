"""Tables of counts and of samples: what is read from each kind of file, and the error for each kind of damage."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvrscope import InputError
from rlvrscope.readers import Columns, ReadOptions, read_models
from rlvrscope.stats.counts import GroupCounts

Rows = list[dict[str, Any]]
Write = Callable[[str, Rows], str]
EVERY = pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])

COUNTS: Rows = [
    {"problem": "b", "n": 8, "c": 3, "seed": 0, "cluster": "x"},
    {"problem": "a", "n": 8, "c": 0, "seed": 0, "cluster": "y"},
    {"problem": "b", "n": 4, "c": 4, "seed": 1, "cluster": "x"},
    {"problem": "a", "n": 8, "c": 1, "seed": 1, "cluster": "y"},
]
SAMPLES: Rows = [
    {"model": "base", "problem": "p1", "correct": True},
    {"model": "base", "problem": "p2", "correct": False},
    {"model": "rl", "problem": "p2", "correct": True},
    {"model": "base", "problem": "p1", "correct": False},
    {"model": "rl", "problem": "p1", "correct": True},
    {"model": "rl", "problem": "p1", "correct": True},
]


def cells(counts: GroupCounts) -> list[tuple[Any, ...]]:
    return list(zip(counts.problem, np.asarray(counts.n).tolist(), np.asarray(counts.c).tolist(), strict=True))


def refused(source: str, *, columns: Columns = Columns(), threshold: float | None = None) -> str:  # noqa: B008
    with pytest.raises(InputError) as caught:
        read_models(source, ReadOptions(columns, threshold))
    message = str(caught.value)
    assert "\n" not in message
    return message


@EVERY
def test_a_counts_table(write: Write, suffix: str):
    (model,) = read_models(write(f"qwen2.5-7b.{suffix}", COUNTS))
    assert model.name == "qwen2.5-7b"
    assert cells(model.counts) == [("b", 8, 3), ("a", 8, 0), ("b", 4, 4), ("a", 8, 1)]
    assert model.counts.seed == ("0", "0", "1", "1")
    assert model.counts.cluster == ("x", "y", "x", "y")
    assert model.counts.base is None
    assert (model.has_texts, model.has_answers, model.texts("a"), model.answers()) == (False, False, [], None)


@EVERY
def test_one_row_a_sample(write: Write, suffix: str):
    base, rl = read_models(write(f"run.{suffix}", SAMPLES))
    assert (base.name, cells(base.counts)) == ("base", [("p1", 2, 1), ("p2", 1, 0)])
    assert (rl.name, cells(rl.counts)) == ("rl", [("p2", 1, 1), ("p1", 2, 2)])


def test_one_model_of_several(write: Write):
    path = write("run.csv", SAMPLES)
    (rl,) = read_models(f"{path}#rl")
    assert rl.name == "rl"
    assert "there is no model 'sft'; there is base, rl" in refused(f"{path}#sft")


@EVERY
def test_labels_of_any_type_are_text(write: Write, suffix: str):
    rows = [{"problem": i, "correct": i, "seed": 7, "base": "b1", "cluster": 1.0} for i in (0, 1)]
    (model,) = read_models(write(f"x.{suffix}", rows))
    assert cells(model.counts) == [("0", 1, 0), ("1", 1, 1)]
    assert model.counts.runs == [("b1", "7")]


def test_a_model_without_seeds_beside_one_with(write: Write):
    rows = [
        {"model": "base", "seed": "", "problem": "p", "n": 4, "c": 1},
        {"model": "rl", "seed": 0, "problem": "p", "n": 4, "c": 2},
        {"model": "rl", "seed": 1, "problem": "p", "n": 4, "c": 3},
    ]
    base, rl = read_models(write("x.csv", rows))
    assert base.counts.seed is None
    assert rl.counts.seed == ("0", "1")
    rows[2]["seed"] = ""
    assert "x.csv: line 4: no seed here" in refused(write("x.csv", rows))


@pytest.mark.parametrize(
    "words", [("true", "false"), ("True", "False"), ("1", "0"), ("TRUE", " false"), ("1.0", "0.0")]
)
def test_words_for_right_and_wrong(write: Write, words: tuple[str, str]):
    (model,) = read_models(write("x.csv", [{"problem": "p", "correct": word} for word in words]))
    assert cells(model.counts) == [("p", 2, 1)]


@EVERY
def test_scores_of_0_and_1_need_no_threshold_and_others_do(write: Write, suffix: str):
    plain = write(f"plain.{suffix}", [{"problem": "p", "score": score} for score in (1.0, 0.0, 0.0)])
    assert cells(read_models(plain)[0].counts) == [("p", 3, 1)]
    graded = write(f"graded.{suffix}", [{"problem": "p", "score": score} for score in (0.0, 0.5, -1.0, 1.0, 0.75)])
    message = refused(graded)
    assert f"graded.{suffix}: {'row 2' if suffix == 'parquet' else 'line ' + str(2 + ('csv' in suffix))}: " in message
    assert "0.5" in message
    assert "--threshold" in message
    assert cells(read_models(graded, ReadOptions(threshold=0.75))[0].counts) == [("p", 5, 2)]
    assert cells(read_models(graded, ReadOptions(threshold=0.5))[0].counts) == [("p", 5, 3)]


def test_a_threshold_holds_for_scores_of_0_and_1_too(write: Write):
    path = write("x.csv", [{"problem": "p", "score": score} for score in (0, 1)])
    assert cells(read_models(path, ReadOptions(threshold=2.0))[0].counts) == [("p", 2, 0)]


@EVERY
def test_mapped_columns(write: Write, suffix: str):
    rows = [{"task_id": "p", "is_right": True, "correct": "looks fine to me", "extra": 0.5}]
    path = write(f"x.{suffix}", rows)
    columns = Columns.parse(["problem=task_id", "correct=is_right"])
    assert cells(read_models(path, ReadOptions(columns))[0].counts) == [("p", 1, 1)]


def test_a_mapping_may_be_for_another_source_but_not_misspelt(write: Write):
    columns = Columns.parse(["problem=task_id", "seed=rl_seed"])
    assert cells(
        read_models(write("base.csv", [{"problem": "p", "n": 2, "c": 1}]), ReadOptions(columns))[0].counts
    ) == [("p", 2, 1)]
    message = refused(write("x.csv", [{"problem": "p", "n": 2, "c": 1, "rlseed": 3}]), columns=columns)
    assert "--column seed=rl_seed. Did you mean 'rlseed'? It has problem, n, c, rlseed" in message


def test_columns_are_checked():
    with pytest.raises(InputError, match=r"unknown column 'problm'\. Did you mean 'problem'"):
        Columns.parse(["problm=id"])
    with pytest.raises(InputError, match="takes OURS=THEIRS"):
        Columns.parse(["problem"])
    with pytest.raises(InputError, match="names 'n' twice"):
        Columns.parse(["n=a", "n=b"])


def test_counts_win_over_sample_columns(write: Write):
    (model,) = read_models(write("x.csv", [{"problem": "p", "n": 9, "c": 2, "correct": 1, "answer": "7"}]))
    assert cells(model.counts) == [("p", 9, 2)]
    assert not model.has_answers


def test_steps_of_a_table(write: Write):
    rows = [{"problem": "p", "step": step, "correct": step == 20} for step in (0, 10, 20)]
    path = write("run.jsonl", rows)
    assert [(m.name, cells(m.counts)) for m in read_models(path)] == [("run@20", [("p", 1, 1)])]
    assert [(m.name, cells(m.counts)) for m in read_models(f"{path}@0")] == [("run@0", [("p", 1, 0)])]
    assert "there is no step 5; there is 0, 10, 20" in refused(f"{path}@5")
    assert "a step is a whole number, as in" in refused(f"{path}@last")
    assert "a model's name must follow '#'" in refused(f"{path}@10#")
    assert "it has no steps" in refused(write("none.csv", [{"problem": "p", "correct": 1}]) + "@3")


def test_a_step_and_a_model(write: Write):
    rows = [{"problem": "p", "step": step, "model": model, "correct": 1} for step in (1, 2) for model in ("a", "b@3#c")]
    path = write("run.csv", rows)
    assert [m.name for m in read_models(path)] == ["a@2", "b@3#c@2"]
    assert [m.name for m in read_models(f"{path}@1#b@3#c")] == ["b@3#c@1"]
    assert [m.name for m in read_models(f"{path}#a")] == ["a@2"]


def test_a_path_that_exists_wins(write: Write):
    path = write("odd@2#b.csv", [{"problem": "p", "n": 1, "c": 1}])
    write("odd", [])
    assert read_models(path)[0].name == "odd@2#b"
    assert read_models(f"{path}#odd@2#b")[0].name == "odd@2#b"


def test_a_folder_is_one_model(write: Write):
    write("parts/b.jsonl", [{"problem": "p", "correct": True}])
    write("parts/a.csv", [{"problem": "p", "correct": 0}, {"problem": "q", "correct": 1}])
    folder = str(Path(write("parts/c.parquet", [{"problem": "p", "correct": 1.0}])).parent)
    (model,) = read_models(folder)
    assert (model.name, cells(model.counts)) == ("parts", [("p", 3, 2), ("q", 1, 1)])
    assert read_models(f"{folder}/#parts")[0].name == "parts"
    write("parts/d.csv", [{"problem": "p", "n": 1, "c": 1}])
    assert "d.csv holds counts, a.csv holds samples" in refused(folder)


def test_a_folder_of_tables_with_models_is_refused(write: Write):
    folder = str(Path(write("parts/a.csv", SAMPLES)).parent)
    assert "a.csv has a model or step column" in refused(folder)


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfproblem,n,c\r\n\r\np,4,2\r\n")
    assert cells(read_models(str(path))[0].counts) == [("p", 4, 2)]
    (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"problem": "p", "n": 4, "c": 2}\r\n\r\n')
    assert cells(read_models(str(tmp_path / "x.jsonl"))[0].counts) == [("p", 4, 2)]


def test_fields_of_any_length(write: Write):
    before = csv.field_size_limit()
    rows = [{"text": f"{'x' * 3_000_000}\nend", "problem": "p", "correct": i} for i in (0, 1)]
    (model,) = read_models(write("x.csv", rows))
    assert cells(model.counts) == [("p", 2, 1)]
    assert len(model.texts("p")[0].text) == 3_000_004
    assert csv.field_size_limit() == before


def test_problem_ids_are_kept_as_they_are(write: Write):
    ids = ["a\x00b", "ünïcode", 'a,b\n"c"', "\ud800", "x" * 100_000]
    for name in ("x.csv", "x.jsonl"):
        rows = [{"problem": problem, "n": 1, "c": 1} for problem in ids if name == "x.jsonl" or problem != "\ud800"]
        (model,) = read_models(write(name, rows))
        assert [problem.encode() for problem in model.counts.problem] == [
            row["problem"].encode("utf-8", "backslashreplace") for row in rows
        ]


BAD_COUNTS = {
    "c > n": ({"problem": "q", "n": 3, "c": 4}, "'c' must be at most n; got"),
    "negative": ({"problem": "q", "n": -3, "c": 0}, "'n' must be a whole number, 0 or more; got"),
    "not whole": ({"problem": "q", "n": 3.5, "c": 0}, "'n' must be a whole number, 0 or more; got"),
    "no number": ({"problem": "q", "n": 3, "c": None}, "'c' must be a whole number, 0 or more; got"),
    "huge": ({"problem": "q", "n": 1e300, "c": 1}, "'n' must be a whole number, 0 or more; got"),
    "nan": ({"problem": "q", "n": 3, "c": float("nan")}, "'c' must be a whole number, 0 or more; got"),
    "no problem": ({"problem": None, "n": 3, "c": 0}, "'problem' must have an id; got"),
    "blank problem": ({"problem": " ", "n": 3, "c": 0}, "'problem' must have an id; got ' '"),
    "again": ({"problem": "p", "n": 3, "c": 0}, "counts of a problem must appear once, problem 'p': the first are at"),
}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("bad", BAD_COUNTS)
def test_bad_counts_name_file_and_row(write: Write, suffix: str, bad: str):
    row, what = BAD_COUNTS[bad]
    message = refused(write(f"x.{suffix}", [{"problem": "p", "n": 3, "c": 1}, row]))
    where = {"csv": "line 3", "jsonl": "line 2", "parquet": "row 2"}[suffix]
    assert f"x.{suffix}: {where}: {what}" in message


BAD_SAMPLES = {
    "null correct": ({"problem": "q", "correct": None}, "'correct' must be true, false, 0 or 1; got"),
    "half right": ({"problem": "q", "correct": 0.5}, "'correct' must be true, false, 0 or 1; got"),
    "nan score": ({"problem": "q", "score": float("nan")}, "'score' must be a number; got"),
    "null score": ({"problem": "q", "score": None}, "'score' must be a number; got"),
    "no problem": ({"problem": "", "score": 1.0}, "'problem' must have an id; got"),
    "no model": ({"problem": "q", "score": 1.0, "model": ""}, "'model' must be named; got"),
    "odd step": ({"problem": "q", "score": 1.0, "step": 1.5}, "'step' must be a whole number, 0 or more; got"),
    "two clusters": (
        {"problem": "p", "score": 1.0, "cluster": "y"},
        "problem 'p' must be in one cluster; it is in 'x'",
    ),
}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("bad", BAD_SAMPLES)
def test_bad_samples_name_file_and_row(write: Write, suffix: str, bad: str):
    row, what = BAD_SAMPLES[bad]
    good = {name: {"problem": "p", "model": "m", "step": 1.0, "cluster": "x"}.get(name, 1.0) for name in row}
    message = refused(write(f"x.{suffix}", [good, row]))
    where = {"csv": "line 3", "jsonl": "line 2", "parquet": "row 2"}[suffix]
    assert f"x.{suffix}: {where}: {what}" in message


@EVERY
def test_missing_columns_are_listed(write: Write, suffix: str):
    message = refused(write(f"x.{suffix}", [{"task_id": "p", "is_right": 1}]))
    assert f"x.{suffix}: needs the columns problem, n and c" in message
    assert "It has task_id, is_right" in message
    assert "--column problem=NAME" in message


def test_a_run_that_lacks_a_problem(write: Write):
    message = refused(write("x.csv", COUNTS[:3]))
    assert "x.csv, model 'x': every training run needs every problem; base '', seed '1' lacks 'a'" in message


DAMAGED: dict[str, tuple[str, bytes, str]] = {
    "empty csv": ("x.csv", b"", "this one is empty"),
    "header alone": ("x.csv", b"problem,n,c\n", "no rows"),
    "empty jsonl": ("x.jsonl", b"\n\n", "no rows"),
    "empty parquet": ("x.parquet", b"", "damaged, or not a Parquet file"),
    "no parquet": ("x.parquet", b"PAR1" + b"\x00" * 60 + b"PAR1", "damaged, or not a Parquet file"),
    "cut json": ("x.jsonl", b'{"problem": "p", "n": 1, "c": 1}\n{"problem": "p', "line 2: damaged JSON"),
    "no object": ("x.jsonl", b'{"problem": "p", "n": 1, "c": 1}\n[1]\n', "line 2: needs a JSON object"),
    "deep json": ("x.jsonl", b"[" * 100_000, "damaged JSON: nested more than 100 levels deep"),
    "long number": ("x.jsonl", b'{"n": ' + b"1" * 5000 + b"}", "line 1: damaged JSON"),
    "latin-1 csv": ("x.csv", b"problem,n,c\np,1,1\n\xe9,1,1\n", "line 3: not valid UTF-8"),
    "latin-1 jsonl": ("x.jsonl", b'{"problem": "\xe9"}\n', "line 1: not valid UTF-8"),
    "utf-16": ("x.csv", "problem,n,c\n".encode("utf-16"), "line 1: not valid UTF-8"),
    "short line": ("x.csv", b"problem,n,c\np,1,1\nq,1\n", "line 3: the header names 3 columns, this line has 2"),
    "open quote": ("x.csv", b'problem,n,c\n"p,1,1\nq,1,1\n', "line 2: damaged CSV"),
    "same column twice": ("x.csv", b"problem,n,c,n\np,1,1,1\n", "column 'n' appears twice"),
    "no gzip": ("x.csv.gz", b"\x1f\x8bproblem,n,c\n", "Unknown compression method"),
    "cut gzip": ("x.jsonl.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV*(\xcaO\xca", "damaged compressed data"),
    "workbook": ("x.xlsx", b"PK\x03\x04\x00", "read from CSV, JSON and Parquet files; this is another kind of file"),
    "a list of numbers": ("x.json", b"[1, 2]", "item 1: needs a JSON object"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_files(tmp_path: Path, damage: str):
    name, content, what = DAMAGED[damage]
    (tmp_path / name).write_bytes(content)
    message = refused(str(tmp_path / name))
    assert str(tmp_path / name) in message
    assert what in message


def test_a_parquet_file_cut_in_the_middle(write: Write, tmp_path: Path):
    whole = Path(write("x.parquet", [{"problem": f"p{i}", "correct": True} for i in range(1000)])).read_bytes()
    spoilt = tmp_path / "spoilt.parquet"
    spoilt.write_bytes(whole[:40] + b"\xff" * 400 + whole[440:])
    assert "damaged, or not a Parquet file" in refused(str(spoilt))
    none = tmp_path / "none.parquet"
    pq.write_table(pa.table({"problem": pa.array([], pa.string()), "correct": pa.array([], pa.bool_())}), none)
    assert "no rows" in refused(str(none))


def test_missing_files_and_folders_that_hold_nothing(tmp_path: Path):
    assert "there is no such file or folder" in refused(str(tmp_path / "gone.csv"))
    assert "there is no such file or folder" in refused("")
    assert "there is no such file or folder" in refused("a\x00b")
    assert "there is no such file or folder" in refused("x" * 10_000)
    assert "file in this folder" in refused(str(tmp_path))
    (tmp_path / "x.csv").mkdir()
    assert "file in this folder" in refused(str(tmp_path / "x.csv"))
    assert "must be a finite number" in refused("x.csv", threshold=float("nan"))


def test_a_million_rows_of_parquet(tmp_path: Path):
    rows, problems = 1_000_000, 500
    problem_N = np.repeat(np.arange(problems), rows // problems)
    right_N = np.arange(rows) % 7 < problem_N % 5
    ids = pa.array([f"problem-{i}" for i in range(problems)])
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["word " * 200]))
    table = {"problem": pa.DictionaryArray.from_arrays(pa.array(problem_N), ids), "correct": right_N, "text": texts}
    pq.write_table(pa.table(table), tmp_path / "big.parquet", row_group_size=100_000)
    (model,) = read_models(str(tmp_path / "big.parquet"))
    assert model.counts.problems == ids.to_pylist()
    np.testing.assert_array_equal(model.counts.n, np.full(problems, rows // problems))
    np.testing.assert_array_equal(model.counts.c, np.bincount(problem_N, weights=right_N))
    assert [text.text for text in model.texts("problem-499", limit=2)] == ["word " * 200] * 2


def test_ids_that_differ_stay_different(write: Write):
    """Also where no file can hold them as they are: halves of surrogate pairs."""
    ids = ["a\ud800", "a\udbff", "a?", "a\\", "a"]
    (model,) = read_models(write("x.jsonl", [{"problem": name, "n": 2, "c": 1} for name in ids]))
    assert len(set(model.counts.problem)) == len(ids)
