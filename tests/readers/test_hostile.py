"""Files of any content: read, or refused in one line, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlvrscope import RlvrscopeError
from rlvrscope.readers import ReadOptions, read_models
from rlvrscope.readers.layouts import LAYOUTS

Rows = list[dict[str, Any]]


def error_of(action: Callable[[], object]) -> str:
    """The error users would see; none if all went well. Any other kind of exception fails the test."""
    try:
        action()
    except RlvrscopeError as error:
        return str(error)
    return ""


def read_all(source: str) -> None:
    for model in read_models(source, ReadOptions(threshold=0.5)):
        for problem in model.counts.problems:
            model.texts(problem)
        model.answers()
        model.samples_by_problem()
        assert all("\n" not in line for account in model.accounts for line in [account.line, *account.warnings])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200) | st.text(alphabet='problem,nc\n"{}[]:01.\x00', max_size=200).map(str.encode),
    st.sampled_from(["csv", "jsonl", "parquet", "csv.gz", "jsonl.gz", "txt"]),
)
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path: Path, content: bytes, suffix: str):
    path = tmp_path / f"fuzz.{suffix}"
    path.write_bytes(content)
    assert "\n" not in error_of(lambda: read_models(str(path)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
TOOL_COLUMNS = list(dict.fromkeys(column for layout in LAYOUTS for column in sorted(layout.file.columns)))
NAMES = st.sampled_from(
    [
        "problem",
        "n",
        "c",
        "correct",
        "score",
        "seed",
        "base",
        "model",
        "cluster",
        "step",
        "answer",
        "text",
        "input",
        "output",
        "gts",
        "acc",
        "uid",
        "prompt",
        "finish",
        "tokens",
        *TOOL_COLUMNS,
    ]
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=3), min_size=1, max_size=4))
def test_any_values_are_read_or_refused_in_one_line(tmp_path: Path, rows: Rows):
    path = tmp_path / "fuzz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "\n" not in error_of(lambda: read_all(str(path)))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_values_in_any_tools_columns(tmp_path: Path, data: st.DataObject):
    layout = data.draw(st.sampled_from(LAYOUTS))
    columns = sorted(layout.file.columns | set(layout.file.names.values()))
    row = st.fixed_dictionaries({column: VALUES for column in columns if "." not in column})
    path = tmp_path / "fuzz.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in data.draw(st.lists(row, min_size=1, max_size=3))))
    assert "\n" not in error_of(lambda: read_all(str(path)))
