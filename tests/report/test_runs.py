"""The page of runs: one k for all sampled evaluations, verl's validations, names."""

import json

import pytest

from rlvrscope.errors import InputError
from rlvrscope.readers.evaluations import write_evaluation
from rlvrscope.report.runs.page import write_page
from rlvrscope.report.runs.view import read_runs
from rlvrscope.stats import GroupCounts, pass_at_k


def counted(folder, samples, steps):
    """Counts of three problems, with one more right sample at each evaluation."""
    for right, step in enumerate(steps):
        write_evaluation(folder, step, GroupCounts("abc", [samples] * 3, [right, right, 1]))


def validated(folder, samples):
    """A dump of verl's validation before training: one of the samples of two problems is right."""
    rows = [
        {
            "input": f"q{problem}",
            "output": str(sample),
            "score": float(sample == 0),
            "acc": float(sample == 0),
            "step": 0,
        }
        for problem in range(2)
        for sample in range(samples)
    ]
    (folder / "validation").mkdir(parents=True)
    (folder / "validation" / "0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_points_are_unbiased_pass_at_the_k_that_all_runs_have(tmp_path):
    counted(tmp_path / "a", 16, [0, 10])
    counted(tmp_path / "b", 6, [0])
    validated(tmp_path / "c", 8)
    first, second, third = read_runs([tmp_path / name for name in "abc"])
    assert (first.k, second.k, third.k) == (4, 4, 4)
    assert [point.step for point in first.points] == [0, 10]
    expected = pass_at_k([16] * 3, [1, 1, 1], [1, 4]).mean(axis=0)
    assert [first.points[1].pass_at_1, first.points[1].pass_at_k] == pytest.approx(expected.tolist())
    assert third.points[0].pass_at_k == pytest.approx(0.5)  # 4 of the 8 samples hold the right one half of the time
    page = tmp_path / "page.html"
    write_page([first, second, third], page)
    assert "pass@4 against pass@1" in page.read_text()


def test_runs_of_one_name_are_named_by_their_paths(tmp_path):
    for name in ("a", "b"):
        counted(tmp_path / name / "seed0", 4, [0])
    paths = [tmp_path / name / "seed0" for name in ("a", "b")]
    assert [view.name for view in read_runs(paths)] == [str(path) for path in paths]


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match="is no folder of a run"):
        read_runs([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no training log"):
        read_runs([tmp_path / "empty"])
