"""Hub data sets: a hand-made row per schema with its problem; loading copies of repositories with `datasets`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem
from rlvrscope.problems import load
from rlvrscope.problems.gold_answers import boxed_answer
from rlvrscope.problems.hub import (
    DATA_SETS,
    arc_problem,
    gsm8k_problem,
    math_problem,
    mmlu_pro_problem,
    read_hub,
)
from rlvrscope.verify import check_problem, verify_answer

GOLDEN = [
    (
        "math",
        {
            "problem": "What is half of three?", "level": "Level 1", "type": "Prealgebra",
            "solution": "Not $\\boxed{2}$: it is $\\boxed{\\frac{3}{2}}$.",
        },
        ("\\frac{3}{2}", "math", {"level": "Level 1", "type": "Prealgebra"}),
        ("\\boxed{1.5}", "\\boxed{2}"),
    ),
    (
        "math-500",
        {
            "problem": "Give the point.", "solution": "...", "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
            "subject": "Precalculus", "level": 2, "unique_id": "test/precalculus/807.json",
        },
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "math", {"level": "2", "subject": "Precalculus"}),
        ("\\boxed{(3, \\pi/2)}", "\\boxed{(\\pi/2, 3)}"),
    ),
    (
        "aime-2025",
        {"problem": "How many are there?", "answer": "070", "id": "0"},
        ("070", "math", {"evaluated": True}),
        ("\\boxed{70}", "\\boxed{7\\cdot 10}"),
    ),
    (
        "amc-2023",
        {"id": 3, "question": "How far?", "answer": 27.0, "url": "..."},
        ("27", "math", {"evaluated": True}),
        ("\\boxed{27}", "\\boxed{27.5}"),
    ),
    (
        "gsm8k",
        {"question": "How much?", "answer": "First 2 * 600 = <<2*600=1200>>1200.\n#### 1,200"},
        ("1,200", "math", {"evaluated": True, "forms": ["boxed", "hashes"]}),
        ("So\n#### 1200", "So 1200"),
    ),
    (
        "arc-challenge",
        {
            "id": "Mercury_7", "question": "Which is warm?", "answerKey": "2",
            "choices": {"text": ["ice", "fire", "snow"], "label": ["1", "2", "3"]},
        },
        ("B", "choice", {"choices": ["ice", "fire", "snow"]}),
        ("\\boxed{B}", "\\boxed{2}"),
    ),
    (
        "mmlu-pro",
        {
            "question_id": 70, "question": "Which?", "options": [f"option {n}" for n in range(10)], "answer": "J",
            "answer_index": 9, "category": "law",
        },
        ("J", "choice", {"choices": [f"option {n}" for n in range(10)], "category": "law"}),
        ("\\boxed{J}", "\\boxed{I}"),
    ),
]  # fmt: skip
IDS = {
    "math-500": "test/precalculus/807.json",
    "aime-2025": "0",
    "amc-2023": "3",
    "arc-challenge": "Mercury_7",
    "mmlu-pro": "70",
}


def test_every_data_set_has_a_golden_pair():
    assert {name for name, *_ in GOLDEN} == set(DATA_SETS)


@pytest.mark.parametrize(("name", "row", "expected", "texts"), GOLDEN, ids=[name for name, *_ in GOLDEN])
def test_golden(name: str, row: dict, expected: tuple, texts: tuple[str, str]):
    problem = DATA_SETS[name].to_problem(row)
    assert (problem.answer, problem.verifier, dict(problem.metadata)) == expected
    assert problem.prompt == row.get("problem", row.get("question"))
    assert problem.verifier == DATA_SETS[name].verifier
    assert problem.id == IDS.get(name, problem.id)
    check_problem(problem)
    assert [verify_answer(text, problem).outcome == "correct" for text in texts] == [True, False]


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, row, *_ in GOLDEN], ids=[name for name, *_ in GOLDEN])
def test_a_row_read_by_the_library_gives_the_same_problem(name: str, row: dict):
    """Arrow keeps the numbers, lists and structs of a row."""
    datasets = pytest.importorskip("datasets")
    (arrow_row,) = datasets.Dataset.from_list([row])
    assert DATA_SETS[name].to_problem(arrow_row) == DATA_SETS[name].to_problem(row)


@pytest.mark.parametrize(
    ("name", "row", "gold"),
    [
        ("aime-2025", {"question": "How many?", "answer": "70"}, "70"),  # opencompass/AIME2025
        ("amc-2023", {"problem": "How far?", "answer": "27.0", "id": 1}, "27.0"),
        ("math", {"problem": "?", "level": "Level ?", "type": "Algebra", "solution": "so $\\fbox{4}$"}, "4"),
    ],
)
def test_other_copies_of_a_set(name: str, row: dict, gold: str):
    """Repositories with the same problems under other field names."""
    assert DATA_SETS[name].to_problem(row).answer == gold


def test_ids_come_from_the_content_if_the_data_has_none():
    first, second = ({"problem": f"What is {n}?", "solution": f"\\boxed{{{n}}}"} for n in (1, 2))
    ids = [math_problem(row).id for row in (first, second)]
    assert [math_problem(row).id for row in (second, first)] == ids[::-1]
    assert ids[0].startswith("What is 1? ")
    assert math_problem(dict(reversed(first.items()))).id == ids[0]


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("$\\boxed{5}$", "5"), ("$\\boxed 5$", "5"), ("$\\fbox{5}$", "5"), ("$\\boxed{\\text{(A)}}$", "\\text{(A)}"),
        ("$\\boxed{\\{1,2\\}}$", "\\{1,2\\}"), ("$\\boxed \\pi$", "\\pi"), ("no box", None),
    ],
)  # fmt: skip
def test_the_box_of_a_solution(solution: str, answer: str | None):
    assert boxed_answer(solution) == answer


@pytest.mark.parametrize(
    ("reader", "row", "why"),
    [
        (math_problem, {"problem": "p", "solution": "none"}, "no .boxed answer"),
        (gsm8k_problem, {"question": "q", "answer": "12"}, "no '#### x'"),
        (gsm8k_problem, {"question": "q", "answer": "#### "}, "no gold answer"),
        (
            arc_problem,
            {"question": "q", "answerKey": "E", "choices": {"text": ["a"], "label": ["A"]}},
            "not one of the labels A",
        ),
        (
            mmlu_pro_problem,
            {"question": "q", "options": ["a", "b"], "answer": "A", "answer_index": 1},
            "is not at answer_index",
        ),
    ],
)
def test_unusable_rows_are_refused(reader, row: dict, why: str):
    with pytest.raises(InputError, match=why):
        reader(row)


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match=r"gsm8k has no split 'tset'\. Did you mean 'test'\?"):
        list(read_hub("gsm8k", "tset"))


def test_a_problem_needs_an_id_and_an_answer():
    for values in ({"id": ""}, {"answer": ""}, {"answer": " "}, {"answer": 5}, {"id": None}):
        with pytest.raises(InputError):
            Problem(**{"id": "a", "prompt": "", "answer": "1", **values})


def copy_of_hub(folder: Path, rows: dict[tuple[str, str], list[dict]]) -> Path:
    """Write a folder like a repository of the hub: Parquet files, and a card with their configs and splits."""
    configs: dict[str, str] = {}
    for (config, split), split_rows in rows.items():
        (folder / config).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(split_rows), folder / config / f"{split}.parquet")
        entry = f"  - split: {split}\n    path: {config}/{split}.parquet\n"
        configs[config] = configs.get(config, f"- config_name: {config}\n  data_files:\n") + entry
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(configs.values())}---\n")
    return folder


@pytest.fixture
def _datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The real `datasets` library, with a cache of this test's own."""
    pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("_datasets")
def test_gsm8k(tmp_path: Path):
    rows = [{"question": f"What is {n}?", "answer": f"It is.\n#### {n}"} for n in range(5)]
    source = copy_of_hub(tmp_path / "gsm8k", {("main", "test"): rows, ("main", "train"): rows[:2]})
    problems = load("gsm8k", source=source)
    assert [problem.answer for problem in problems] == ["0", "1", "2", "3", "4"]
    assert problems[:2] == load("gsm8k", "train", source=source)
    assert load("gsm8k", source=source, count=3) == problems[:3]


@pytest.mark.usefixtures("_datasets")
def test_math_joins_its_subjects(tmp_path: Path):
    subjects = list(DATA_SETS["math"].configs)
    rows = {
        (name, "test"): [{"problem": f"{name}?", "level": "Level 1", "type": name, "solution": "\\boxed{1}"}]
        for name in subjects
    }
    problems = load("math", source=copy_of_hub(tmp_path / "math", rows))
    assert [problem.metadata["type"] for problem in problems] == subjects
    assert len({problem.id for problem in problems}) == 7


@pytest.mark.usefixtures("_datasets")
def test_nested_fields(tmp_path: Path):
    row = {"id": "a", "question": "?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}
    (problem,) = load("arc-challenge", source=copy_of_hub(tmp_path / "arc", {("ARC-Challenge", "test"): [row]}))
    assert (problem.answer, list(problem.metadata["choices"])) == ("B", ["x", "y"])


@pytest.mark.usefixtures("_datasets")
def test_an_unusable_gold_answer_is_reported_when_the_task_loads(tmp_path: Path):
    rows = [{"problem": "a", "answer": "1", "id": "a-1"}, {"problem": "b", "answer": "\\frac{1}{", "id": "b-2"}]
    source = copy_of_hub(tmp_path / "aime", {("default", "test"): rows})
    with pytest.raises(InputError, match=r"aime-2025 test, row 2: problem 'b-2': a number is needed"):
        load("aime-2025", source=source)


@pytest.mark.usefixtures("_datasets")
def test_unusable_copies_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="is not a folder"):
        load("gsm8k", source=tmp_path / "nothing")
    other = copy_of_hub(tmp_path / "other", {("main", "test"): [{"q": "x", "a": "y"}]})
    with pytest.raises(InputError, match=r"gsm8k test, row 1: no field 'answer'; it has q, a"):
        load("gsm8k", source=other)
    with pytest.raises(InputError, match=r"can't be read as openai/gsm8k \(ValueError: Unknown split"):
        load("gsm8k", "train", source=other)
    rows = [{"problem": "x", "answer": "1", "id": "a"}, {"problem": "y", "answer": "1", "id": "a"}]
    with pytest.raises(InputError, match="row 2: another problem has the id 'a'"):
        load("aime-2025", source=copy_of_hub(tmp_path / "twice", {("default", "test"): rows}))


@pytest.mark.usefixtures("_datasets")
def test_a_repeated_problem_keeps_its_position(tmp_path: Path):
    rows = [{"question": f"{n}?", "answer": f"#### {n}"} for n in (1, 2, 1, 1)]
    problems = load("gsm8k", source=copy_of_hub(tmp_path / "gsm8k", {("main", "test"): rows}))
    first, second = problems[0].id, problems[1].id
    assert [problem.id for problem in problems] == [first, second, f"{first} (2)", f"{first} (3)"]
    assert [problem.answer for problem in problems] == ["1", "2", "1", "1"]


@pytest.mark.usefixtures("_datasets")
def test_a_hub_that_does_not_respond(monkeypatch: pytest.MonkeyPatch):
    """The real library with an address where nothing listens."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        WorkError,
        match=r"gsm8k can't be read .* run `rlvrscope tasks export gsm8k --split test.* \(the hub does not respond\)$",
    ):
        load("gsm8k")
