"""Inputs without an end: pipes, devices, lines, numbers, nesting, compressed text. One line each, in bounded memory."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rlvrscope.errors import InputError
from rlvrscope.files import MAX_LINE_BYTES
from rlvrscope.problems.answer_files import AnswerReader
from rlvrscope.readers import read_models
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.tables import stream
from rlvrscope.tables.formats import open_table


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        list(open_table(path).batches(["n"]))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes")
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_only_ordinary_files_are_read(tmp_path: Path, kind: str):
    path = tmp_path / "counts.csv"
    if kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    assert "it is not an ordinary file" in refused(path)
    with pytest.raises(InputError, match="not an ordinary file"):
        read_models(str(path))
    with pytest.raises(InputError, match="not an ordinary file"):
        list(AnswerReader([path]))
    with pytest.raises(InputError, match="holds no training log"):
        MonitoredLog(path).poll(final=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"n": ' + "9" * 5000 + "}\n", "line 1: damaged JSON: Exceeds the limit"),
        ("a.jsonl", '{"n": ' + "[" * 200 + "]" * 200 + "}\n", "nested more than 100 levels deep"),
        ("a.json", '[{"n": ' + "[" * 5000 + "]" * 5000 + "}]", "nested more than 100 levels deep"),
        ("a.json", '[{"n": ' + '{"a": ' * 90_000, "nested more than 100 levels deep"),
    ],
)
def test_long_numbers_and_deep_values_are_one_line(tmp_path: Path, name: str, content: str, message: str):
    (tmp_path / name).write_text(content)
    assert message in refused(tmp_path / name)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("name", "start"), [("a.jsonl", b'{"n": "'), ("a.csv", b'n\n"'), ("a.json", b'[{"n": "')])
def test_a_line_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, start: bytes, suffix: str
):
    for module in ("rlvrscope.files", "rlvrscope.tables.stream"):
        monkeypatch.setattr(f"{module}.MAX_LINE_BYTES", 1000)
    content = start + b"x" * 10_000_000
    (tmp_path / (name + suffix)).write_bytes(gzip.compress(content) if suffix else content)
    message = refused(tmp_path / (name + suffix))
    assert "a line may have 1,000 bytes" in message or "expands to more than 500 times" in message


def test_a_document_and_a_ratio_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "MAX_DOCUMENT_CHARACTERS", 10_000)
    (tmp_path / "a.json").write_text("[\n" + '{"n": 1},\n' * 2000 + '{"n": 1}]')
    assert "a JSON document may have 10,000 characters" in refused(tmp_path / "a.json")
    monkeypatch.setattr(stream, "MAX_LINE_BYTES", 1000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"n\n" + b"1\n" * 1_000_000))
    assert "expands to more than 500 times its" in refused(tmp_path / "a.csv.gz")


BOMB = """
import gzip, sys
from pathlib import Path
from rlvrscope.errors import InputError
from rlvrscope.tables.formats import open_table
for name, head in (("a.jsonl.gz", b'{"n": "'), ("a.csv.gz", b'n\\n"')):
    path = Path(sys.argv[1]) / name
    with gzip.open(path, "wb", 1) as file:
        file.write(head)
        for _ in range(1024):
            file.write(b"x" * (1 << 20))
    try:
        list(open_table(path).batches(["n"]))
        sys.exit("it was read")
    except InputError as error:
        print(error)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory")
def test_a_line_of_a_gigabyte_takes_no_gigabyte(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOMB), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    *messages, peak = done.stdout.splitlines()
    assert len(messages) == 2
    assert all(f"a line may have {MAX_LINE_BYTES:,} bytes" in line for line in messages)
    assert int(peak) < 700
