"""Shapes that could be taken for something else: read as what they are, or refused with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    write("run/b.jsonl", VERDICTS)
    (account,) = only(tmp_path / "run").accounts
    assert "4 of 4 rows used, 2 files: a.jsonl, b.jsonl; right by 'correct'" in account.line


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
    deep = "[" * 900 + "]" * 900
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
