"""Texts and answers: read late, of the model and problem asked for, as they were written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvrscope import InputError
from rlvrscope.readers import ModelCounts, SampleText, read_models

Rows = list[dict[str, Any]]
Write = Callable[[str, Rows], str]
HOSTILE = 'a\x00b\x1b[2J\ud800 "quoted", \n' + "x" * 300_000

ROWS: Rows = [
    {
        "model": model,
        "problem": problem,
        "seed": seed,
        "correct": seed == 1,
        "answer": answer,
        "text": f"{model} {answer}",
    }
    for model in ("base", "rl")
    for seed in (0, 1)
    for problem, answer in (("p", "7"), ("q", None), ("p", "8"))
]


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def rl(write: Write, request: pytest.FixtureRequest) -> ModelCounts:
    return read_models(write(f"x.{request.param}", ROWS))[1]


def test_texts_of_one_problem(rl: ModelCounts):
    assert rl.has_texts
    assert rl.texts("q") == [
        SampleText("rl None", None, False, None, "0"),
        SampleText("rl None", None, True, None, "1"),
    ]
    assert [text.text for text in rl.texts("p", limit=3)] == ["rl 7", "rl 8", "rl 7"]
    assert rl.texts("none such") == []
    assert rl.texts("p", limit=0) == []


def test_answers(rl: ModelCounts):
    assert rl.has_answers
    assert rl.answers() == (["p", "q", "p"] * 2, ["7", None, "8"] * 2, [False] * 3 + [True] * 3)


def test_texts_without_answers_and_answers_without_texts(write: Write):
    (texts,) = read_models(write("a.jsonl", [{"problem": "p", "score": 1, "text": "so"}]))
    assert (texts.has_texts, texts.has_answers, texts.answers()) == (True, False, None)
    (answers,) = read_models(write("b.jsonl", [{"problem": "p", "score": 1, "answer": 7}]))
    assert (answers.has_texts, answers.texts("p"), answers.answers()) == (False, [], (["p"], ["7"], [True]))


def test_a_text_comes_back_whole(write: Write):
    (model,) = read_models(write("x.jsonl", [{"problem": "p", "correct": 1, "text": HOSTILE}]))
    (text,) = model.texts("p")
    assert text.text == HOSTILE.replace("\ud800", "\\ud800")


def test_texts_of_a_folder_come_from_every_file(write: Write):
    write("parts/a.jsonl", [{"problem": "p", "correct": 0, "text": "one"}])
    folder = str(Path(write("parts/b.jsonl", [{"problem": "p", "correct": 1, "text": "two"}])).parent)
    (model,) = read_models(folder)
    assert [text.text for text in model.texts("p")] == ["one", "two"]
    assert [text.text for text in model.texts("p", limit=1)] == ["one"]


def test_row_groups_without_the_problem_are_not_read(tmp_path: Path):
    table = pa.table({"problem": ["p"] * 50 + ["q"] * 50, "correct": [True] * 100, "text": ["x" * 1000] * 100})
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, row_group_size=50, use_dictionary=False, compression="none")
    (model,) = read_models(str(path))
    content = bytearray(path.read_bytes())
    start = content.find(b"x" * 1000)
    content[start : start + 4000] = b"\xff" * 4000  # the first group's texts
    path.write_bytes(content)
    assert len(model.texts("q")) == 20
    with pytest.raises(InputError, match="damaged"):  # counting looks for copies, so it reads every text
        read_models(str(path))
