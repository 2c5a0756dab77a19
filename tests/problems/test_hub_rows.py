"""Golden pairs: a row in each data set's schema, made by hand, and the problem that it is."""

from __future__ import annotations

import pytest

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems import hub_rows as rows
from rlvrscope.problems.hub import DATA_SETS, read_hub
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


@pytest.mark.parametrize(("name", "row", "wanted", "texts"), GOLDEN, ids=[name for name, *_ in GOLDEN])
def test_golden(name: str, row: dict, wanted: tuple, texts: tuple[str, str]):
    problem = DATA_SETS[name].problem(row)
    assert (problem.answer, problem.verifier, dict(problem.metadata)) == wanted
    assert problem.prompt == row.get("problem", row.get("question"))
    assert problem.verifier == DATA_SETS[name].verifier
    assert problem.id == IDS.get(name, problem.id)
    check_problem(problem)
    assert [verify_answer(text, problem).outcome == "correct" for text in texts] == [True, False]


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, row, *_ in GOLDEN], ids=[name for name, *_ in GOLDEN])
def test_a_row_as_the_library_gives_it_is_the_same_problem(name: str, row: dict):
    """Through Arrow and back: numbers, lists and structs keep what the reader looks at."""
    datasets = pytest.importorskip("datasets")
    (given,) = datasets.Dataset.from_list([row])
    assert DATA_SETS[name].problem(given) == DATA_SETS[name].problem(row)


@pytest.mark.parametrize(
    ("name", "row", "gold"),
    [
        ("aime-2025", {"question": "How many?", "answer": "70"}, "70"),  # opencompass/AIME2025
        ("amc-2023", {"problem": "How far?", "answer": "27.0", "id": 1}, "27.0"),
        ("math", {"problem": "?", "level": "Level ?", "type": "Algebra", "solution": "so $\\fbox{4}$"}, "4"),
    ],
)
def test_other_copies_of_a_set(name: str, row: dict, gold: str):
    """Repositories that hold the same problems under the other of two field names."""
    assert DATA_SETS[name].problem(row).answer == gold


def test_ids_without_one_in_the_data_are_of_the_content():
    first, second = ({"problem": f"What is {n}?", "solution": f"\\boxed{{{n}}}"} for n in (1, 2))
    ids = [rows.math(row).id for row in (first, second)]
    assert [rows.math(row).id for row in (second, first)] == ids[::-1]
    assert ids[0].startswith("What is 1? ")
    assert rows.math(dict(reversed(first.items()))).id == ids[0]


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("$\\boxed{5}$", "5"), ("$\\boxed 5$", "5"), ("$\\fbox{5}$", "5"), ("$\\boxed{\\text{(A)}}$", "\\text{(A)}"),
        ("$\\boxed{\\{1,2\\}}$", "\\{1,2\\}"), ("$\\boxed \\pi$", "\\pi"), ("no box", None),
    ],
)  # fmt: skip
def test_the_box_of_a_solution(solution: str, answer: str | None):
    assert rows.boxed_of(solution) == answer


@pytest.mark.parametrize(
    ("reader", "row", "why"),
    [
        (rows.math, {"problem": "p", "solution": "none"}, "no .boxed answer"),
        (rows.gsm8k, {"question": "q", "answer": "12"}, "no '#### x'"),
        (rows.gsm8k, {"question": "q", "answer": "#### "}, "no gold answer"),
        (
            rows.arc,
            {"question": "q", "answerKey": "E", "choices": {"text": ["a"], "label": ["A"]}},
            "none of the labels A",
        ),
        (
            rows.mmlu_pro,
            {"question": "q", "options": ["a", "b"], "answer": "A", "answer_index": 1},
            "is not at answer_index",
        ),
    ],
)
def test_rows_that_can_not_be(reader, row: dict, why: str):
    with pytest.raises(InputError, match=why):
        reader(row)


def test_a_split_that_is_not_there():
    with pytest.raises(InputError, match=r"gsm8k has no split 'tset'\. Did you mean 'test'\?"):
        list(read_hub("gsm8k", "tset"))


def test_a_problem_needs_an_id_and_an_answer():
    for values in ({"id": ""}, {"answer": ""}, {"answer": " "}, {"answer": 5}, {"id": None}):
        with pytest.raises(InputError):
            Problem(**{"id": "a", "prompt": "", "answer": "1", **values})
