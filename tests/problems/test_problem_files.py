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
from rlvrscope.problems.problem_files import load_problems

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
        ([{"prompt": "a", "answer": "1"}, {"prompt": "b", "answer": None}], [], "line 2, .*: there is no gold answer"),
        ([{"prompt": p, "answer": "1", "id": "x"} for p in "ab"], [], "line 2: another problem has the id 'x', at"),
        ([{"prompt": "a", "answer": "1", "verifier": "mth"}], [], "line 1: unknown verifier 'mth'"),
        ([{"prompt": "a", "answer": "1", "verifier": "evil.py:run"}], [], "line 1: unknown verifier"),
        ([{"prompt": "a", "answer": "C", "verifier": "choice", "choices": ["x", "y"]}], [], "must be one of AB"),
        ([{"prompt": "a", "answer": "C", "verifier": "choice", "choices": "x"}], [], "choices must be a list, as JSON"),
        ([{"prompt": "a", "answer": "5", "verifier": "countdown"}], [], "needs metadata numbers"),
        ([{"prompt": "a", "answer": "x", "evaluated": True}], [], "a number is needed; the gold answer is .x."),
        ([{"prompt": "", "answer": "1"}], [], "line 1, column 'prompt': there is no prompt"),
        ([{"prompt": ["a", "b"], "answer": "1"}], [], r"column 'prompt': a prompt is a text, .*got \['a', 'b'\]"),
        ([{"prompt": [{"content": "a"}], "answer": "1"}], [], "column 'prompt': a prompt is a text, or chat messages"),
        ([{"q": {"a": 1}, "answer": "1"}], ["prompt=q"], "column 'q': a prompt is a text, or chat messages"),
        ([{"prompt": "a", "gold": ["1", "2"]}], ["answer=gold"], "column 'gold': the gold answer is a list of 2"),
        ([{"prompt": "a", "answer": "1", "id": ["x"]}], [], "column 'id': id must be a text or a number"),
    ],
)  # fmt: skip
def test_refused_input_is_named_with_its_row(tmp_path: Path, rows: list[dict], fields: list[str], message: str):
    with pytest.raises(InputError, match=message):
        read_problems(jsonl(tmp_path / "p.jsonl", rows), fields)


def test_a_file_may_have_any_suffix(tmp_path: Path):
    path = jsonl(tmp_path / "p.txt", [{"prompt": "1?", "answer": "1"}])
    assert [problem.answer for problem in load(path)] == ["1"]
    (tmp_path / "p.json").write_text(json.dumps([{"prompt": "1?", "answer": "1"}]))
    assert load(tmp_path / "p.json") == load(path)


def test_unknown_tasks():
    with pytest.raises(InputError, match=r"unknown task 'gsm8'\. Nearest: gsm8k"):
        load("gsm8")
    with pytest.raises(InputError, match=r"cannot read nothing\.jsonl"):
        load("nothing.jsonl")
    with pytest.raises(InputError, match="a generated task has no split"):
        load("countdown", "test")


def test_repeated_rows_are_one_problem(tmp_path: Path):
    rows = [{"prompt": f"{n}+1?", "answer": str(n + 1), "id": f"aime-{n}"} for n in range(3)]
    for columns in (("prompt", "answer", "id"), ("prompt", "answer")):
        path = jsonl(tmp_path / "p.jsonl", [{name: row[name] for name in columns} for row in rows * 8])
        loaded = load_problems(path)
        assert [problem.prompt for problem in loaded.problems] == ["0+1?", "1+1?", "2+1?"]
        assert loaded.notes == ["24 rows hold 3 problems, each 8 times"]
        with pytest.warns(UserWarning, match="24 rows hold 3 problems, each 8 times"):
            assert load(path) == loaded.problems
    (note,) = load_problems(jsonl(tmp_path / "p.jsonl", [*rows, rows[0]])).notes
    assert note == "4 rows hold 3 problems, 1 to 2 times each"


def test_one_problem_under_several_ids_is_named(tmp_path: Path):
    rows = [{"prompt": f"{n % 3}+1?", "answer": str(n % 3 + 1), "id": n} for n in range(24)]
    loaded = load_problems(jsonl(tmp_path / "p.jsonl", rows))
    assert len(loaded.problems) == 24
    assert loaded.notes[0].startswith("24 ids name 3 different problems")
    rows = [
        {"prompt": "Which?", "answer": "A", "id": n, "verifier": "choice", "choices": ["x", str(n)]} for n in (1, 2)
    ]
    assert load_problems(jsonl(tmp_path / "p.jsonl", rows)).notes == []


def test_worked_solutions_and_lists_are_read_with_a_note(tmp_path: Path):
    path = jsonl(
        tmp_path / "p.jsonl", [{"prompt": "2*3?", "answer": "2*3 = 6\n#### 6"}, {"prompt": "1?", "answer": "1"}]
    )
    loaded = load_problems(path)
    assert [problem.answer for problem in loaded.problems] == ["6", "1"]
    assert loaded.notes == ["1 of 2 gold answers are worked solutions: the part after #### is used"]
    plain = read_problems(jsonl(tmp_path / "plain.jsonl", [{"prompt": "2*3?", "answer": "6"}]))
    assert loaded.problems[0] == plain[0]
    with pytest.warns(UserWarning, match=r"p\.jsonl: 1 of 2 gold answers"):
        read_problems(path)


def test_verl_data_sets_need_no_field_names(tmp_path: Path):
    rows = [
        {
            "data_source": "sums",
            "prompt": [{"role": "user", "content": f"What is {n}+{n}?"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": str(2 * n)},
            "extra_info": {"split": "test", "index": n},
        }
        for n in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    loaded = load_problems(tmp_path / "p.parquet")
    assert [(problem.prompt, problem.answer) for problem in loaded.problems] == [
        ("What is 0+0?", "0"), ("What is 1+1?", "2"), ("What is 2+2?", "4"),
    ]  # fmt: skip
    assert loaded.problems[0].metadata == {"data_source": "sums"}
    assert loaded.notes == ["read like verl's data sets: answer from 'reward_model.ground_truth'"]
    assert load_problems(jsonl(tmp_path / "p.jsonl", rows)) == loaded
    (named,) = load_problems(tmp_path / "p.jsonl", ["answer=extra_info.index"]).problems[2:]
    assert named.answer == "2"
    path = jsonl(tmp_path / "p.jsonl", [{**row, "answer": "7"} for row in rows])
    assert [problem.answer for problem in load_problems(path).problems] == ["0", "2", "4"]
    assert {problem.answer for problem in read_problems(path, ["answer=answer"])} == {"7"}


def test_facts_of_a_problem_are_kept(tmp_path: Path):
    row = {"prompt": "1?", "answer": "1", "level": 3, "subject": "Algebra", "type": ["x"], "source": "s" * 500}
    (problem,) = read_problems(jsonl(tmp_path / "p.jsonl", [row]))
    assert problem.metadata == {"level": "3", "subject": "Algebra"}
