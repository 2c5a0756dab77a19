"""Problems from the user's files: column names, ids, refused input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvrscope.errors import InputError
from rlvrscope.problems import Defaults, load, read_problems

ROWS = [
    {"id": "a", "prompt": "1+1?", "answer": "2", "cluster": "sums"},
    {"id": "b", "prompt": "Which?", "answer": "B", "verifier": "choice", "choices": ["x", "y"], "cluster": "others"},
    {"id": "c", "prompt": "Make 5.", "answer": 5, "verifier": "countdown", "numbers": [2, 3], "cluster": "others"},
]


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_three_file_formats_give_the_same_problems(tmp_path: Path):
    first = read_problems(jsonl(tmp_path / "p.jsonl", ROWS))
    assert [problem.answer for problem in first] == ["2", "B", "5"]
    assert [problem.verifier for problem in first] == ["math", "choice", "countdown"]
    assert first[2].metadata == {"numbers": [2, 3]}
    assert first[0].cluster == "sums"
    with (tmp_path / "p.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "prompt", "answer", "cluster", "verifier", "choices", "numbers"])
        writer.writeheader()
        for row in ROWS:
            writer.writerow(
                {name: json.dumps(value) if isinstance(value, list) else value for name, value in row.items()}
            )
    assert read_problems(tmp_path / "p.csv") == first
    pq.write_table(
        pa.Table.from_pylist([{**row, "answer": str(row["answer"])} for row in ROWS]), tmp_path / "p.parquet"
    )
    assert [p.id for p in read_problems(tmp_path / "p.parquet")] == ["a", "b", "c"]
    assert load(tmp_path / "p.jsonl") == first
    assert load(str(tmp_path / "p.jsonl"), count=2) == first[:2]


def test_fields_and_defaults(tmp_path: Path):
    path = jsonl(tmp_path / "p.jsonl", [{"question": "2*3?", "gold": "6"}])
    (problem,) = read_problems(path, ["prompt=question", "answer = gold"], Defaults("arithmetic", ("tag",)))
    assert (problem.prompt, problem.answer, problem.verifier) == ("2*3?", "6", "arithmetic")
    assert problem.metadata == {"forms": ["tag"]}


def test_ids_do_not_depend_on_the_order(tmp_path: Path):
    rows = [{"prompt": f"What is {n}?", "answer": str(n)} for n in range(6)]
    forward, backward = (
        read_problems(jsonl(tmp_path / f"{n}.jsonl", order)) for n, order in enumerate((rows, rows[::-1]))
    )
    assert {p.id: p for p in forward} == {p.id: p for p in backward}
    assert len({p.id for p in forward}) == 6


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        ([{"prompt": "a"}], [], r"has no column 'answer'; it has prompt\. .*--field answer=NAME"),
        ([{"prompt": "a", "answer": "1"}], ["promt=x"], r"unknown field 'promt'\. Did you mean 'prompt'\?"),
        ([{"prompt": "a", "answer": "1"}], ["prompt=promt"], r"no column 'promt' \(prompt\)\. Did you mean 'prompt'\?"),
        ([{"prompt": "a", "answer": "1"}], ["prompt"], "OURS=THEIRS"),
        ([{"prompt": "a", "answer": "1"}], ["id=prompt", "id=answer"], "names 'id' twice"),
        ([{"prompt": "a", "answer": "1"}, {"prompt": "b", "answer": None}], [], "line 2: there is no gold answer"),
        ([{"prompt": "a", "answer": "1"}, {"prompt": "b", "answer": "{", "id": "q"}], [], "line 2: problem .q.: "),
        ([{"prompt": "a", "answer": "1", "id": "x"}] * 2, [], "line 2: another problem has the id 'x'"),
        ([{"prompt": "a", "answer": "1", "verifier": "mth"}], [], "line 1: unknown verifier 'mth'"),
        ([{"prompt": "a", "answer": "1", "verifier": "evil.py:run"}], [], "line 1: unknown verifier"),
        ([{"prompt": "a", "answer": "C", "verifier": "choice", "choices": ["x", "y"]}], [], "must be one of AB"),
        ([{"prompt": "a", "answer": "C", "verifier": "choice", "choices": "x"}], [], "choices must be a list, as JSON"),
        ([{"prompt": "a", "answer": "5", "verifier": "countdown"}], [], "needs metadata numbers"),
        ([{"prompt": "a", "answer": "x", "evaluated": True}], [], "it is not a number"),
    ],
)  # fmt: skip
def test_refused_input_is_named_with_its_row(tmp_path: Path, rows: list[dict], fields: list[str], message: str):
    with pytest.raises(InputError, match=message):
        read_problems(jsonl(tmp_path / "p.jsonl", rows), fields)


def test_unknown_tasks():
    with pytest.raises(InputError, match=r"unknown task 'gsm8'\. Nearest: gsm8k"):
        load("gsm8")
    with pytest.raises(InputError, match=r"cannot read nothing\.jsonl"):
        load("nothing.jsonl")
    with pytest.raises(InputError, match="a generated task has no split"):
        load("countdown", "test")
