"""The run folder: written whole or not at all, read back after a kill."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from rlvrscope import InputError, WorkError
from rlvrscope.runs import RunFolder, write_atomic

FULL_DISK = """
import resource, sys
from pathlib import Path
from rlvrscope.runs import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
write_atomic(Path(sys.argv[1]), b"x" * 10_000)
"""


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path):
    """A real refusal of the system: no file of this process may pass 100 bytes."""
    path = tmp_path / "kept"
    write_atomic(path, "old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True)
    assert f"WorkError: cannot write {path}: File too large" in done.stderr
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["kept"], "a temporary file was left behind"


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkError, match=r"cannot (read|write) .*: Not a directory"):
        RunFolder(tmp_path / "file" / "run").claim("x = 1\n")


def test_rows_survive_a_kill_in_the_middle_of_a_line(tmp_path: Path):
    folder = RunFolder(tmp_path)
    for step in range(4):
        folder.append("telemetry", {"step": step, "value": step / 3})
    with (tmp_path / "telemetry.jsonl").open("a") as file:
        file.write('{"step": 4, "va')
    assert [row["step"] for row in folder.rows("telemetry")] == [0, 1, 2, 3]
    folder.keep_until("telemetry", 1)
    assert folder.rows("telemetry") == [{"step": 0, "value": 0.0}, {"step": 1, "value": 1 / 3}]


def test_numbers_that_are_not_finite_are_null(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.append("telemetry", {"step": 1, "values": [math.nan, math.inf, 1.0]})
    assert folder.rows("telemetry") == [{"step": 1, "values": [None, None, 1.0]}]


def test_damage_is_told_with_the_file(tmp_path: Path):
    (tmp_path / "telemetry.jsonl").write_text('{"step": 1}\nrubbish\n')
    with pytest.raises(InputError, match=r"telemetry.jsonl is damaged"):
        RunFolder(tmp_path).rows("telemetry")


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"holds other files \(thesis.tex\) and no run"):
        RunFolder(tmp_path).claim("x = 1\n")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_only_our_own_unfinished_writes_are_tidied_away(tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    folder.claim("x = 1\n")
    ours = [folder.path / ".telemetry.jsonl.123.tmp", folder.path / "checkpoints" / ".resume.safetensors.9.tmp"]
    others = [folder.path / ".draft.tmp", folder.path / ".notes.12.tmp", folder.path / "deep" / ".recipe.toml.1.tmp"]
    for path in (*ours, *others):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    with pytest.raises(InputError):
        folder.claim("x = 2\n")
    assert all(path.exists() for path in (*ours, *others)), "a refused folder was touched"
    folder.claim("x = 1\n")
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)


def test_a_folder_belongs_to_one_recipe(tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    folder.claim("steps = 1\nseed = 0\n")
    folder.claim("steps = 1\nseed = 0\n")
    with pytest.raises(InputError, match=r"another recipe \(steps is 1 there, 2 here\)"):
        folder.claim("steps = 2\nseed = 0\n")
    assert (folder.path / "recipe.toml").read_text() == "steps = 1\nseed = 0\n"
