"""Shapes that could be taken for something else: read as what they are, or refused with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvrscope import InputError
from rlvrscope.readers import Columns, ModelCounts, ReadOptions, read_models

Rows = list[dict[str, Any]]
Write = Callable[[str, Rows], str]
VERDICTS: Rows = [{"problem": "p", "correct": True}, {"problem": "p", "correct": False}]


def only(source: str | Path, *columns: str, **options: Any) -> ModelCounts:
    (model,) = read_models(str(source), ReadOptions(columns=Columns.parse(columns), **options))
    return model


def counts(model: ModelCounts) -> dict[str, tuple[int, int]]:
    return dict(
        zip(model.counts.problem, zip(model.counts.n.tolist(), model.counts.c.tolist(), strict=True), strict=True)
    )


def document(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_a_column_may_begin_late_in_the_file(write: Write):
    rows = [*({"problem": "p", "correct": True} for _ in range(500)), {"problem": "p", "correct": True, "seed": 1}]
    with pytest.raises(InputError, match="no seed here, and other rows of this model have one"):
        only(write("a.jsonl", rows))


def test_files_of_a_folder_are_named(write: Write, tmp_path: Path):
    write("run/a.jsonl", VERDICTS)
    write("run/b.jsonl", VERDICTS[::-1])
    (account,) = only(tmp_path / "run").accounts
    assert "4 of 4 rows used, 2 files: a.jsonl, b.jsonl; right by 'correct'" in account.line


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.jsonl", "b.jsonl"], "a.jsonl and b.jsonl have the same content. Leave one out"),
        (["a.csv", "a.jsonl"], "a.csv and a.jsonl have one name, so they may be the same samples"),
        (["a.jsonl", "a.jsonl.gz"], "a.jsonl and a.jsonl.gz have one name"),
    ],
)
def test_a_copy_of_a_file_is_refused(write: Write, tmp_path: Path, names: list[str], message: str):
    for name in names:
        write(f"run/{name}", VERDICTS)
    with pytest.raises(InputError, match=message):
        only(tmp_path / "run")


def test_what_is_not_read_is_named(write: Write, tmp_path: Path):
    row = {"input": "1+1?", "output": "2", "gts": "2", "score": 1.0}
    for step in (5, 10):
        write(f"val/{step}.jsonl", [{**row, "step": step}])
    write("val/10_part2.jsonl", [{**row, "step": 10}])
    model = only(tmp_path / "val")
    assert (model.name, counts(model)) == ("val@10", {next(iter(model.counts.problem)): (1, 1)})
    assert "files left out: 10_part2.jsonl" in model.accounts[0].line
    write("run/a.jsonl", VERDICTS)
    write("run/more/b.jsonl", VERDICTS)
    assert "files left out: more/" in only(tmp_path / "run").accounts[0].line
    write("val/010.jsonl", [{**row, "step": 10}])
    with pytest.raises(InputError, match=r"010.jsonl and 10.jsonl are both step 10\. Leave one out"):
        only(tmp_path / "val")


def test_documents_above_the_tables(write: Write, tmp_path: Path):
    """A trainer's configuration and a tool's summaries lie in the folder above."""
    row = {"prompt": "1?", "completion": "1", "step": 1, "advantage": 0.0, "reward": 1.0}
    write("run/completions/completions_00001.parquet", [row])
    document(tmp_path / "run/config.json", {"model_type": "llama"})
    assert only(tmp_path / "run").counts.n.tolist() == [1]
    write("eval/aime/output-rs0.jsonl", [{"generation": "2", "expected_answer": "2", "id": "a", "is_correct": True}])
    document(tmp_path / "eval/metrics.json", {"aime": {"pass@1": 1.0}})
    assert counts(only(tmp_path / "eval")) == {"a": (1, 1)}


def test_row_numbers_of_several_data_sets(write: Write, tmp_path: Path):
    row = {"example_id": 0, "completion": "2", "answer": "2", "reward": 1.0}
    rows = [{**row, "prompt": "1+1?", "task": "sums"}, {**row, "prompt": "2*1?", "task": "products"}]
    assert counts(only(write("a.jsonl", rows))) == {"sums/0": (1, 1), "products/0": (1, 1)}
    for number, one in enumerate(rows):
        write(f"run/{number}.results.jsonl", [{name: one[name] for name in one if name != "task"}])
    with pytest.raises(InputError, match=r"problem '0' has another prompt here than at .*0\.results\.jsonl: line 1"):
        only(tmp_path / "run")


def test_several_evaluations_in_a_table_of_inspect(write: Write):
    row = {"sample_id": "s", "id": 1, "epoch": 1, "input": "?", "target": "1", "model": "m", "score_match": "C"}
    rows = [{**row, "task_name": task, "eval_id": task} for task in ("aime", "gpqa")]
    assert counts(only(write("a.csv", rows))) == {"aime/1": (1, 1), "gpqa/1": (1, 1)}
    with pytest.raises(InputError, match="holds 3 evaluations of 2 models and tasks"):
        only(write("b.csv", [*rows, {**rows[0], "eval_id": "again"}]))


def test_tests_of_a_question_are_problems_of_their_own(tmp_path: Path):
    rows = [
        {"question_id": "3", "test_id": n, "output_list": ["a", "b"], "graded_list": [n == 0, False]} for n in (0, 1)
    ]
    assert counts(only(document(tmp_path / "a_eval_all.json", rows))) == {"3/0": (2, 1), "3/1": (2, 0)}


def test_a_model_column_beside_a_tools(write: Write):
    rows = [{"task_id": "H/0", "completion": "x", "passed": n == 0, "model": "ab"[n]} for n in (0, 1)]
    assert [(model.name, counts(model)) for model in read_models(write("a.jsonl", rows))] == [
        ("a", {"H/0": (1, 1)}), ("b", {"H/0": (1, 0)})
    ]  # fmt: skip


def test_a_named_source_has_models(write: Write):
    path = write("two.jsonl", [{**row, "model": name} for name in ("base", "rl") for row in VERDICTS])
    model = only(f"B={path}#base")
    assert (model.name, counts(model)) == ("B", {"p": (2, 1)})
    assert "2 of 4 rows" in model.accounts[0].line or "of all 2 models and steps" in model.accounts[0].line


def test_parts_are_rated_alike(write: Write, tmp_path: Path):
    write("run/a.jsonl", [{"problem": "p", "correct": True}])
    write("run/b.jsonl", [{"problem": "p", "score": 0.7}])
    with pytest.raises(InputError, match=r"b\.jsonl is rated by 'score', a\.jsonl by 'correct'"):
        only(tmp_path / "run", threshold=0.5)


def test_options_that_are_not_used_are_told(write: Write):
    path = write("a.jsonl", [{"problem": "p", "n": 2, "c": 1}])
    (account,) = only(path, threshold=0.5, right=("C",)).accounts
    assert account.warnings == [
        "a: --threshold is not used: 'c' holds no scores", "a: --right is not used: 'c' holds no verdicts"
    ]  # fmt: skip


def test_scores_of_single_precision_reach_their_threshold(tmp_path: Path):
    table = pa.table({"problem": ["p", "p"], "score": pa.array([0.7, 0.69], pa.float32())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert counts(only(tmp_path / "a.parquet", threshold=0.7)) == {"p": (2, 1)}


def test_true_and_one_are_different_labels(write: Write):
    rows = [{"problem": name, "correct": True} for name in (True, 1, "1", 1.0)]
    assert counts(only(write("a.jsonl", rows))) == {"True": (1, 1), "1": (3, 3)}


def test_large_numbers_keep_apart(write: Write):
    rows = [{"problem": "p", "correct": True, "run": 2**53 + number} for number in (0, 1)]
    assert counts(only(write("a.jsonl", rows), where=(("run", str(2**53)),))) == {"p": (1, 1)}


def test_a_chat_in_a_document_of_one_row(tmp_path: Path):
    row = {"problem": "p", "correct": True, "prompt": [{"role": "user", "content": "?"}]}
    assert counts(only(document(tmp_path / "a.json", row))) == {"p": (1, 1)}


def test_a_document_with_several_lists_is_refused(tmp_path: Path):
    path = document(tmp_path / "a.json", {"train": VERDICTS, "meta": {"test": VERDICTS, "n": 2}})
    with pytest.raises(InputError, match=r"holds 2 lists of rows: train, meta.test. Write each to a file of its own"):
        only(path)


def test_a_map_of_lists_is_one_list(tmp_path: Path):
    path = document(tmp_path / "a.json", {"date": "today", "eval": {"x": VERDICTS, "y": VERDICTS}})
    assert counts(only(path)) == {"p": (4, 2)}


def test_documents_are_parts_beside_lines(write: Write, tmp_path: Path):
    write("run/a.jsonl", VERDICTS)
    document(tmp_path / "run/b.json", VERDICTS)
    document(tmp_path / "run/metrics.json", {"pass@1": 0.5})
    document(tmp_path / "run/ids.json", [[1, 2]])
    model = only(tmp_path / "run")
    assert counts(model) == {"p": (4, 2)}
    assert "2 files: a.jsonl, b.json, files left out: ids.json, metrics.json" in model.accounts[0].line


@pytest.mark.parametrize("column", ["problem", "model", "seed", "base", "cluster"])
def test_a_list_is_no_label(write: Write, column: str):
    row = {"problem": "p", "correct": [True, False], column: ["x", "y"]}
    with pytest.raises(InputError, match=f"line 1: '{column}' must be a name or a number: one row for each sample"):
        only(write("a.jsonl", [row]))


def test_large_floats_are_no_ids(write: Write):
    with pytest.raises(InputError, match="floats of this size are not exact"):
        only(write("a.parquet", [{"problem": 1e17, "correct": True}]))


def test_nested_verdicts_are_refused(write: Write):
    rows = [{"problem": "p", "correct": [[True, True, False], [True, True, True]]}]
    with pytest.raises(InputError, match="'correct' must hold one verdict or score for each sample, not a list of sev"):
        only(write("a.jsonl", rows))
    assert counts(only(write("b.jsonl", [{"problem": "p", "correct": [[True], [False]]}]))) == {"p": (2, 1)}


def test_one_verdict_on_several_texts_is_refused(write: Write):
    rows = [{"problem": "p", "correct": True, "text": ["a", "b"]}]
    with pytest.raises(InputError, match="'text' must be one text, or 'correct' a list with an item for each"):
        only(write("a.jsonl", rows))
    one = [{"problem": "p", "correct": True, "text": ["a"]}]
    assert counts(only(write("b.jsonl", one))) == {"p": (1, 1)}


def test_deep_lists_are_refused(tmp_path: Path):
    deep = "[" * 40 + "]" * 40
    for name in ("correct", "problem"):
        row = {"problem": '"p"', "correct": "true"} | {name: deep}
        (tmp_path / "a.jsonl").write_text("{" + ", ".join(f'"{key}": {value}' for key, value in row.items()) + "}\n")
        with pytest.raises(InputError, match=f"line 1: '{name}' must "):
            only(tmp_path / "a.jsonl")


def test_a_threshold_is_for_the_score(write: Write):
    rows = [{"problem": "p", "correct": True, "score": 0.3}, {"problem": "p", "correct": False, "score": 0.7}]
    path = write("a.jsonl", [*rows, {"problem": "p", "correct": True, "score": 0.2}])
    assert counts(only(path)) == {"p": (3, 2)}
    assert counts(only(path, threshold=0.5)) == {"p": (3, 1)}
    assert counts(only(path, "correct=correct", threshold=0.5)) == {"p": (3, 2)}


def test_values_that_mean_right_are_for_verdicts(write: Write):
    path = write("a.jsonl", [{"problem": "p", "score": 1}, {"problem": "p", "score": 2}])
    with pytest.raises(InputError, match="'score' is read as scores: --column correct=score"):
        only(path, right=("2",))
    assert counts(only(path, "correct=score", right=("2.0",))) == {"p": (2, 1)}


@pytest.mark.parametrize("word", ["true", "True", "1"])
def test_true_is_true_in_any_spelling(write: Write, word: str):
    rows = [{"problem": "p", "correct": value, "ok": value} for value in (True, True, False)]
    path = write("a.jsonl", rows)
    assert counts(only(path, right=(word,))) == {"p": (3, 2)}
    assert counts(only(path, where=(("ok", word),))) == {"p": (2, 2)}


def test_numbers_are_equal_in_any_spelling(write: Write):
    rows = [{"problem": "p", "correct": True, "temperature": value} for value in (1.0, 0.6, 1)]
    path = write("a.jsonl", rows)
    assert counts(only(path, where=(("temperature", "1.0"),))) == {"p": (2, 2)}
    assert counts(only(path, where=(("temperature", ".6"),))) == {"p": (1, 1)}


LM_EVAL = {"doc_id": 0, "doc": {"q": "1+1?"}, "target": "2", "arguments": {}, "resps": [["2", "3"]], "filter": "none"}


@pytest.mark.parametrize("metric", ["pass@8", "maj@64", "metric.maj@n:n=64", "g-pass@16_0.5"])
def test_metrics_of_several_completions_rate_none(write: Write, metric: str):
    path = write("samples_aime_2025-01-01.jsonl", [{**LM_EVAL, metric: 1.0, "metrics": [metric]}])
    with pytest.raises(InputError, match="one column must say how good a completion is; none holds numbers"):
        only(path)
    with pytest.raises(InputError, match="is of several completions together, and not of each"):
        only(path, f"score={metric}")


def test_log_likelihoods_are_no_completions(write: Write):
    resps = [[["-1.5", "True"]], [["-2.5", "False"]]]
    row = {**LM_EVAL, "resps": resps, "filtered_resps": resps, "acc": 1.0, "metrics": ["acc"]}
    model = only(write("samples_arc_2025-01-01.jsonl", [row]))
    assert (counts(model), model.has_texts) == ({"arc/0": (1, 1)}, False)
    assert model.accounts[0].warnings == []


def test_an_empty_list_is_no_score(write: Write):
    row = {"input_prompt": "1+1?", "output_response": "2", "stop_reason": "stop", "score": []}
    with pytest.raises(InputError, match=r"'score' must be a number; got \[\]"):
        only(write("a.jsonl", [row]))


def test_a_table_may_begin_with_blank_lines(tmp_path: Path):
    (tmp_path / "a.csv").write_text("\n\nproblem\tcorrect\np\ttrue\n")
    assert counts(only(tmp_path / "a.csv")) == {"p": (1, 1)}


def test_ends_as_servers_spell_them(write: Write):
    rows = [{"problem": "p", "correct": True, "finish_reason": word} for word in ("stop", "length")]
    samples = only(write("a.jsonl", rows)).samples_by_problem()["p"]
    assert (samples.finished, samples.cut_off) == (2, 1)


def test_copies_that_contradict_each_other_are_not_dropped(write: Write):
    rows = [{"problem": "p", "correct": right, "text": "a"} for right in (True, False)]
    message = "line 2: this text of problem 'p' is wrong here and right before, so --drop-copies can't count it once"
    with pytest.raises(InputError, match=message):
        only(write("a.jsonl", rows), drop_copies=True)


@pytest.mark.parametrize("row", [{"problem": "p", "correct": True}, {"problem": "p", "n": 2, "c": 1}])
def test_copies_need_texts(write: Write, row: dict[str, Any]):
    with pytest.raises(InputError, match="--drop-copies compares texts, and there is no column of them"):
        only(write("a.jsonl", [row]), drop_copies=True)
