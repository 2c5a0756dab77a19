"""Logs of inspect_ai, written by inspect_ai itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlvrscope import InputError
from rlvrscope.problems.answer_files import read_answers
from rlvrscope.readers import ModelCounts, ReadOptions, read_models

pytest.importorskip("inspect_ai")

from inspect_ai.dataset import Sample
from inspect_ai.log import EvalConfig, EvalDataset, EvalError, EvalLog, EvalSample, EvalSpec, write_eval_log
from inspect_ai.model import ModelOutput, ModelUsage
from inspect_ai.scorer import Score


def write_log(path: Path, model: str, right: list[list[Any]], task: str = "sums", status: Any = "success") -> str:
    """A log with epochs right[problem]; a value None is a sample that failed."""
    samples = []
    for number, values in enumerate(right):
        question = Sample(id=f"q{number}", input=f"What is {number}+{number}?", target=str(2 * number))
        for epoch, value in enumerate(values, start=1):
            output = ModelOutput.from_content(
                model, f"attempt {epoch}", stop_reason="max_tokens" if epoch == 2 else "stop"
            )
            output.usage = ModelUsage(input_tokens=9, output_tokens=5, total_tokens=14)
            scores = None if value is None else {"match": Score(value=value, answer=f"a{epoch}")}
            samples.append(
                EvalSample(
                    id=str(question.id),
                    epoch=epoch,
                    input=question.input,
                    target=question.target,
                    output=output,
                    scores=scores,
                    error=None if scores else EvalError(message="lost", traceback="", traceback_ansi=""),
                    metadata={"level": number % 2},
                )
            )
    data_set = EvalDataset(samples=len(right), sample_ids=[f"q{number}" for number in range(len(right))])
    spec = EvalSpec(
        created="2025-01-02T03:04:05+00:00",
        task=task,
        dataset=data_set,
        model=model,
        config=EvalConfig(epochs=len(right[0])),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(EvalLog(eval=spec, samples=samples, status=status), str(path))
    return str(path)


def counts(model: ModelCounts) -> dict[str, tuple[int, int]]:
    return dict(
        zip(model.counts.problem, zip(model.counts.n.tolist(), model.counts.c.tolist(), strict=True), strict=True)
    )


@pytest.mark.parametrize("suffix", ["eval", "json"])
def test_a_log(tmp_path: Path, suffix: str):
    path = write_log(tmp_path / f"2025_sums_x.{suffix}", "mock/base", [["C", "I", "C"], ["N", "I", "I"]])
    (model,) = read_models(path, ReadOptions(by="metadata.level"))
    assert (model.name, counts(model)) == ("mock/base", {"sums/q0": (3, 2), "sums/q1": (3, 0)})
    assert model.groups == {"sums/q0": "0", "sums/q1": "1"}
    assert [(text.text, text.answer) for text in model.texts("sums/q0")] == [
        (f"attempt {i}", f"a{i}") for i in (1, 2, 3)
    ]
    assert model.accounts[0].line == (
        "mock/base (inspect): 2 problems, 3 samples each, 6 of 6 rows used; right by 'scores.match.value'"
    )
    assert read_models(f"base={path}")[0].name == "base"


def test_a_folder_of_logs_holds_models_and_tasks(tmp_path: Path):
    write_log(tmp_path / "logs" / "1_sums.eval", "base", [["C", "I"]])
    write_log(tmp_path / "logs" / "2_sums.eval", "rl", [["C", "C"]])
    write_log(tmp_path / "logs" / "3_other.eval", "rl", [["I", "I"]], task="other")
    base, rl = read_models(str(tmp_path / "logs"))
    assert (base.name, counts(base)) == ("base", {"sums/q0": (2, 1)})
    assert (rl.name, counts(rl)) == ("rl", {"sums/q0": (2, 2), "other/q0": (2, 0)})
    write_log(tmp_path / "logs" / "4_sums.eval", "rl", [["C", "C"]])
    with pytest.raises(
        InputError, match=r"2 files hold sums of rl, each from a run of its own: 2_sums\.eval, 4_sums\.eval"
    ):
        read_models(str(tmp_path / "logs"))


def test_samples_that_failed_are_told(tmp_path: Path):
    path = write_log(tmp_path / "x.eval", "m", [["C", None, "I"]], status="error")
    (model,) = read_models(path)
    assert counts(model) == {"sums/q0": (2, 1)}
    assert model.accounts[0].left_out == {"no scores.match.value": 1}
    assert model.accounts[0].warnings == ["m: x.eval: the evaluation ended as 'error'"]


def test_samples_that_failed_are_no_answers(tmp_path: Path):
    path = write_log(tmp_path / "x.eval", "m", [["C", None, "I"]], status="error")
    answers = read_answers(Path(path))
    assert answers.texts == ["attempt 1", "attempt 3"]
    assert {"x.eval: the evaluation ended as 'error'", "x.eval: left out: error: 1"} <= set(answers.notes)


def test_numbers_need_a_threshold_and_partial_a_word(tmp_path: Path):
    graded = write_log(tmp_path / "x.eval", "m", [[0.25, 0.75]])
    with pytest.raises(InputError, match=r"sample 1: 'scores\.match\.value' must be true, false, 0 or 1; got 0\.25"):
        read_models(graded)
    assert counts(read_models(graded, ReadOptions(threshold=0.5))[0]) == {"sums/q0": (2, 1)}
    partial = write_log(tmp_path / "y.eval", "m", [["C", "P"]])
    with pytest.raises(InputError, match="must be a verdict; say which values mean right"):
        read_models(partial)
    assert counts(read_models(partial, ReadOptions(right=("C", "P")))[0]) == {"sums/q0": (2, 2)}


def test_what_is_no_log_is_refused(tmp_path: Path):
    (tmp_path / "x.eval").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match=r"x\.eval: inspect_ai can't read it as a log: "):
        read_models(str(tmp_path / "x.eval"))
