"""Answers to verify: files and folders of them, whose they are, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvrscope.errors import InputError
from rlvrscope.problems.answer_files import read_answers

ROW = {"id": "q", "text": "\\boxed{1}", "answer": "1"}


def jsonl(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_folder_is_its_files_in_order(tmp_path: Path):
    jsonl(tmp_path / "b.jsonl", {**ROW, "id": "b"})
    pq.write_table(pa.Table.from_pylist([{**ROW, "id": "c"}]), tmp_path / "c.parquet")
    (tmp_path / "d.csv").write_text("id,text,answer\nd,\\boxed{1},1\n")
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({**ROW, "id": "a"}) + "\n")
    jsonl(tmp_path / ".hidden.jsonl", ROW)
    (tmp_path / "notes.txt").write_text("no table")
    found = read_answers(tmp_path)
    assert [problem.id for problem in found.problems] == ["a", "b", "c", "d"]
    assert [labels["problem"] for labels in found.labels] == ["a", "b", "c", "d"]
    assert [problem.id for problem in read_answers(tmp_path, only=3).problems] == ["c"]
    with pytest.raises(InputError, match="there is no row 5"):
        read_answers(tmp_path, only=5)


@pytest.mark.parametrize(
    ("row", "labels"),
    [
        (ROW, {"problem": "q"}),
        ({**ROW, "problem": "p", "model": "m", "step": 3}, {"problem": "p", "model": "m", "step": 3}),
        ({**ROW, "problem": None, "cluster": "", "seed": 0}, {"problem": "q", "seed": 0}),
        ({"text": "", "answer": "1"}, {}),
    ],
)
def test_whose_answer_it_is(tmp_path: Path, row: dict, labels: dict):
    found = read_answers(jsonl(tmp_path / "a.jsonl", row))
    assert found.labels == [labels]
    assert found.problems[0].id == labels.get("problem", found.problems[0].id)


def test_a_prompt_tells_problems_apart(tmp_path: Path):
    rows = [{"prompt": prompt, "text": "", "answer": "1"} for prompt in ("a?", "b?", "a?")]
    found = read_answers(jsonl(tmp_path / "a.jsonl", *rows))
    a, b, again = (labels["problem"] for labels in found.labels)
    assert a == again != b
    assert found.problems[0] is found.problems[2]


def test_of_a_chat_only_what_the_model_said_last_counts(tmp_path: Path):
    asked = {"role": "user", "content": "Is it \\boxed{1}?"}
    said = {"role": "assistant", "content": "I can't say."}
    chats = [[said], [asked, said], [asked, said, asked, {**said, "content": "Yes."}, {**said, "content": "It is."}]]
    found = read_answers(jsonl(tmp_path / "a.jsonl", *({**ROW, "text": chat} for chat in chats)))
    assert found.texts == ["I can't say.", "I can't say.", "Yes.\nIt is."]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**ROW, "text": None}], "line 1: there is no text"),
        ([ROW, {"id": "q", "answer": "1"}], "line 2: there is no text"),
        ([{**ROW, "text": float("nan")}], "line 1: there is no text"),
        ([{**ROW, "text": {"a": 1}}], "line 1: text must be a text, or chat messages in a list"),
        ([{**ROW, "answer": ["1", "2"]}], "line 1: the gold answer must be a text or a number"),
        ([ROW, {**ROW, "answer": "2"}], r"line 2: problem 'q' has the gold answer '2' here, but '1' at .*line 1"),
        ([ROW, {**ROW, "id": "r", "answer": float("nan")}], "line 2: there is no gold answer; it is nan"),
        ([{**ROW, "answer": "NaN"}], "line 1: there is no gold answer; it is NaN"),
        ([{**ROW, "answer": float("inf")}], "line 1: the gold answer must be finite"),
        ([{**ROW, "forms": ["bogus"]}], "line 1: problem 'q': unknown answer form 'bogus'"),
        ([{**ROW, "forms": ["boxd"]}], r"Did you mean 'boxed'\?"),
        ([{**ROW, "forms": []}], "line 1: problem 'q': forms must be a list of one or more of boxed, hashes"),
        ([{**ROW, "forms": "bogus"}], "line 1: forms must be a list, as JSON; got 'bogus'"),
        ([{**ROW, "evaluated": "maybe"}], "line 1: evaluated must be true or false; got 'maybe'"),
        (
            [{**ROW, "verifier": "countdown", "numbers": [1], "use": "al"}],
            "line 1: problem 'q': use must be .all. or left out; got 'al'",
        ),
    ],
)
def test_what_is_refused_is_named_with_its_place(tmp_path: Path, rows: list[dict], message: str):
    with pytest.raises(InputError, match=message):
        read_answers(jsonl(tmp_path / "a.jsonl", *rows))


@pytest.mark.parametrize(
    "extra", [{}, {"verifier": "countdown", "numbers": [1]}, {"verifier": "choice"}, {"verifier": "arithmetic"}]
)
def test_a_gold_answer_of_any_length_is_cut_in_the_message(tmp_path: Path, extra: dict):
    with pytest.raises(InputError, match=r"line 1: problem 'q': .*77777\.\.\.") as raised:
        read_answers(jsonl(tmp_path / "a.jsonl", {**ROW, "answer": "7" * 5_000, **extra}))
    assert len(str(raised.value)) < 400 + len(str(tmp_path))


def test_an_empty_folder(tmp_path: Path):
    with pytest.raises(InputError, match=r"there is no \.csv, .* file in this folder"):
        read_answers(tmp_path)
