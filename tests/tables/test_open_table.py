"""Files are opened by what they hold, whatever they are called."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from rlvrscope.errors import InputError
from rlvrscope.tables.formats import open_table
from rlvrscope.tables.nested import is_chat, samples_in
from rlvrscope.tables.table import Column

ROWS = [{"problem": "p", "n": 4, "c": 1}, {"problem": "q", "n": 4, "c": 3}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CONTENTS = {
    "lines": LINES,
    "list": json.dumps(ROWS),
    "indented list": json.dumps(ROWS, indent=2),
    "list under a key": json.dumps({"date": "today", "results": ROWS}),
    "comma": "problem,n,c\np,4,1\nq,4,3\n",
    "tab": "problem\tn\tc\np\t4\t1\nq\t4\t3\n",
    "semicolon": "problem;n;c\np;4;1\nq;4;3\n",
}
COMPRESS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "two zstd frames": lambda data: b"".join(zstandard.compress(part) for part in (data[:20], data[20:])),
}


def values(path: Path, *columns: str) -> list[list[Any]]:
    batches = list(open_table(path).batches(columns))
    return [[value for batch in batches for value in batch.columns[name].list()] for name in columns]


@pytest.mark.parametrize("suffix", [".txt", ".dat", ""])
@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("content", CONTENTS)
def test_content_decides(tmp_path: Path, content: str, compression: str, suffix: str):
    path = tmp_path / f"results{suffix}"
    path.write_bytes(COMPRESS[compression](CONTENTS[content].encode()))
    problem, c = values(path, "problem", "c")
    assert problem == ["p", "q"]
    assert [int(value) for value in c] == [1, 3]


def test_parquet_under_another_name(tmp_path: Path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "results.bin")
    assert values(tmp_path / "results.bin", "c") == [[1, 3]]


def test_a_map_of_objects_has_a_row_for_each_key(tmp_path: Path):
    path = tmp_path / "x.json"
    rows = {"sum/0": [{"status": "pass"}, {"status": "fail"}], "s": [{"status": 1}]}
    path.write_text(json.dumps({"eval": rows, "date": "today"}))
    assert values(path, "key", "status") == [["sum/0", "sum/0", "s"], ["pass", "fail", 1]]
    path.write_text(json.dumps({"eval": {**rows, "sum/1": []}, "date": "today"}))
    with pytest.raises(InputError, match="'sum/1' in 'eval' holds no rows: leave it out, or give it some"):
        open_table(path)


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_nested_fields_by_dotted_names(tmp_path: Path, name: str):
    rows = [{"id": 1, "doc": {"level": 3, "more": {"subject": "sums"}}}, {"id": 2, "doc": None}]
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert open_table(path).names == ["id", "doc", "doc.level", "doc.more", "doc.more.subject"]
    assert values(path, "doc.level", "doc.more.subject") == [[3, None], ["sums", None]]


def test_a_key_with_dots_is_a_column(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a.b": 1, "a": {"b": 2, "c": 3}}\n{"a.b": null, "a": {"b": 2, "c": 3}}\n')
    assert values(path, "a.b", "a.c") == [[1, None], [3, 3]]


def test_cut_zstd_is_refused(tmp_path: Path):
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(zstandard.compress(LINES.encode() * 100)[:-5])
    with pytest.raises(InputError, match="damaged compressed data"):
        values(path, "problem")


def test_one_row_of_json_lines_is_a_row(tmp_path: Path):
    (tmp_path / "x.jsonl").write_text('{"problem": "p", "arguments": {"first": {"a": 1}}, "correct": true}\n')
    assert values(tmp_path / "x.jsonl", "problem", "correct") == [["p"], [True]]


def test_lists_and_chats():
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert is_chat(chat)
    assert not any(map(is_chat, ([], ["a"], [chat], [{"content": "a"}])))
    assert samples_in([chat, chat]) == [chat, chat]
    assert samples_in([[True], [False, True]]) == [True, False, True]
    assert samples_in(chat) == [chat]
    assert samples_in(None) == [None]


def test_columns_of_lists_are_coded_by_value():
    column = Column.of([[1, 2], [1, 2], [3], "3", None, {"a": [1]}, [[1]]])
    assert column.list() == [[1, 2], [1, 2], [3], "3", None, {"a": [1]}, [[1]]]
    assert len(column.values) == 6
    assert np.array_equal(column.code_B[:3], [0, 0, 1])
