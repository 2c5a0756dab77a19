"""Width of output: whole lines in pipes and files, 80 columns on a terminal of 80 columns."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from rlvrscope.cli.shared.console import PlainConsole
from terminal import COLUMNS, on_terminal

RLVRSCOPE = ["-m", "rlvrscope"]
LONG = "folder with spaces/" * 15
on_posix = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")


def in_pipe(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *RLVRSCOPE, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.parametrize("environment", [{}, {"COLUMNS": "40"}, {"FORCE_COLOR": "1", "TERM": "xterm"}], ids=str)
def test_an_error_in_a_pipe_is_one_line(environment: dict[str, str]):
    done = in_pipe("lab", "train", f"{LONG}none.toml", "--out", "x", **environment)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"cannot read {LONG}none.toml: No such file or directory" in done.stderr


@on_posix
def test_an_error_on_a_terminal_is_wrapped_at_words():
    code, lines = on_terminal([*RLVRSCOPE, "lab", "train", f"{LONG}none.toml", "--out", "x"])
    assert code == 2
    assert len(lines) > 3
    assert max(map(len, lines)) <= COLUMNS
    message = " ".join(map(str.strip, lines))
    assert message == f"error: cannot read {LONG}none.toml: No such file or directory"


@on_posix
def test_a_path_without_spaces_is_folded_on_a_terminal(tmp_path: Path):
    name = "x" * 200
    code, lines = on_terminal([*RLVRSCOPE, "lab", "train", tmp_path / name / "none.toml", "--out", "x"])
    assert code == 2
    assert max(map(len, lines)) <= COLUMNS
    assert str(tmp_path / name / "none.toml").replace(" ", "") in "".join(lines).replace(" ", "")


@on_posix
def test_a_table_fits_a_terminal_and_is_whole_in_a_pipe():
    code, lines = on_terminal([*RLVRSCOPE, "tasks", "list"])
    assert code == 0
    assert max(map(len, lines)) <= COLUMNS
    piped = in_pipe("tasks", "list", COLUMNS="80").stdout
    assert max(map(len, piped.splitlines())) > COLUMNS
    assert "…" not in piped


def test_text_is_printed_verbatim():
    written = io.StringIO()
    console = PlainConsole(file=written)
    text = "runs/[bold]a[/bold]:smile:/[link=x] " + "long " * 50
    table = Table("column", box=None, pad_edge=False, show_header=False)
    table.add_row(text)
    console.print(text)
    console.print(table)
    assert written.getvalue().splitlines() == [text, text]


def test_a_status_in_a_pipe_writes_nothing():
    written = io.StringIO()
    with PlainConsole(file=written).status("reading"):
        pass
    assert written.getvalue() == ""


BAR = """
import time
from rlvrscope.cli.shared.progress import progress_bar
with progress_bar("a label", 1000, {options}) as advance:
    for done in range(0, 1000, 250):
        advance(done, 1000, detail="some detail of the work, " * 6)
        time.sleep(0.15)
"""


@on_posix
def test_a_bar_fits_a_terminal():
    code, lines = on_terminal(["-c", BAR.format(options="")])
    assert code == 0
    assert max(map(len, lines)) <= COLUMNS
    assert any("a label" in line and "250/1000" in line for line in lines)
    assert any("some detail of the work" in line for line in lines)


@on_posix
def test_a_bar_waits_for_its_delay():
    assert on_terminal(["-c", BAR.format(options="delay=60.0")]) == (0, [""])


@pytest.mark.parametrize(("options", "lines"), [("", 0), ("line_every=0.0", 4), ("line_every=60.0", 0)])
def test_a_bar_in_a_pipe_is_lines_or_nothing(options: str, lines: int):
    command = [sys.executable, "-c", BAR.format(options=options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.count("\n") == lines
    assert all(line.startswith("a label: ") and "of 1,000, some" in line for line in done.stderr.splitlines())
