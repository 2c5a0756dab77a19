"""Data sets through the real `datasets`, from copies of the hub's repositories made here."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvrscope.errors import InputError, WorkError
from rlvrscope.problems import load
from rlvrscope.problems.hub import DATA_SETS

pytest.importorskip("datasets")


def copy_of_hub(folder: Path, rows: dict[tuple[str, str], list[dict]]) -> Path:
    """A folder as the hub has it: Parquet files, and a card that says which config and split they are."""
    configs: dict[str, str] = {}
    for (config, split), held in rows.items():
        (folder / config).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(held), folder / config / f"{split}.parquet")
        entry = f"  - split: {split}\n    path: {config}/{split}.parquet\n"
        configs[config] = configs.get(config, f"- config_name: {config}\n  data_files:\n") + entry
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(configs.values())}---\n")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_gsm8k(tmp_path: Path):
    rows = [{"question": f"What is {n}?", "answer": f"It is.\n#### {n}"} for n in range(5)]
    source = copy_of_hub(tmp_path / "gsm8k", {("main", "test"): rows, ("main", "train"): rows[:2]})
    problems = load("gsm8k", source=source)
    assert [problem.answer for problem in problems] == ["0", "1", "2", "3", "4"]
    assert problems[:2] == load("gsm8k", "train", source=source)
    assert load("gsm8k", source=source, count=3) == problems[:3]


def test_math_joins_its_subjects(tmp_path: Path):
    subjects = list(DATA_SETS["math"].configs)
    rows = {
        (name, "test"): [{"problem": f"{name}?", "level": "Level 1", "type": name, "solution": "\\boxed{1}"}]
        for name in subjects
    }
    problems = load("math", source=copy_of_hub(tmp_path / "math", rows))
    assert [problem.metadata["type"] for problem in problems] == subjects
    assert len({problem.id for problem in problems}) == 7


def test_nested_fields(tmp_path: Path):
    row = {"id": "a", "question": "?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}
    (problem,) = load("arc-challenge", source=copy_of_hub(tmp_path / "arc", {("ARC-Challenge", "test"): [row]}))
    assert (problem.answer, list(problem.metadata["choices"])) == ("B", ["x", "y"])


def test_a_gold_answer_that_can_not_be_read_is_found_when_the_task_loads(tmp_path: Path):
    rows = [{"problem": "a", "answer": "1", "id": "a-1"}, {"problem": "b", "answer": "\\frac{1}{", "id": "b-2"}]
    source = copy_of_hub(tmp_path / "aime", {("default", "test"): rows})
    with pytest.raises(InputError, match=r"aime-2025 test, row 2: problem 'b-2': the gold answer .* can't be read"):
        load("aime-2025", source=source)


def test_copies_that_will_not_do(tmp_path: Path):
    with pytest.raises(InputError, match="is no folder"):
        load("gsm8k", source=tmp_path / "nothing")
    other = copy_of_hub(tmp_path / "other", {("main", "test"): [{"q": "x", "a": "y"}]})
    with pytest.raises(InputError, match=r"gsm8k test, row 1: no field 'answer'; it has q, a"):
        load("gsm8k", source=other)
    with pytest.raises(InputError, match=r"can't be read as openai/gsm8k \(ValueError: Unknown split"):
        load("gsm8k", "train", source=other)
    rows = [{"problem": "x", "answer": "1", "id": "a"}, {"problem": "y", "answer": "1", "id": "a"}]
    with pytest.raises(InputError, match="row 2: another problem has the id 'a'"):
        load("aime-2025", source=copy_of_hub(tmp_path / "twice", {("default", "test"): rows}))


def test_a_problem_that_stands_there_twice_keeps_its_place(tmp_path: Path):
    rows = [{"question": f"{n}?", "answer": f"#### {n}"} for n in (1, 2, 1, 1)]
    problems = load("gsm8k", source=copy_of_hub(tmp_path / "gsm8k", {("main", "test"): rows}))
    first, second = problems[0].id, problems[1].id
    assert [problem.id for problem in problems] == [first, second, f"{first} (2)", f"{first} (3)"]
    assert [problem.answer for problem in problems] == ["1", "2", "1", "1"]


def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch):
    """The real library against an address where nobody listens."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        WorkError,
        match=r"gsm8k can't be read .* run `rlvrscope tasks export gsm8k --split test.* \(the hub does not answer\)$",
    ):
        load("gsm8k")
