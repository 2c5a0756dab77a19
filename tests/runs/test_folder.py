"""The run folder: written whole or not at all, read back after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlvrscope import InputError, WorkError
from rlvrscope.runs import RunFolder, TelemetryRow, write_atomic

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


def telemetry(step: int, reward: float = 0.5) -> TelemetryRow:
    return TelemetryRow(step=step, reward=reward)


def test_rows_survive_a_kill_in_the_middle_of_a_line(tmp_path: Path):
    folder = RunFolder(tmp_path)
    for step in range(4):
        folder.append(telemetry(step, step / 3))
    with folder.file(TelemetryRow).open("a") as file:
        file.write('{"step": 4, "rew')
    assert [row.step for row in folder.rows(TelemetryRow)] == [0, 1, 2, 3]
    folder.keep_until(TelemetryRow, 1)
    assert [(row.step, row.reward) for row in folder.rows(TelemetryRow)] == [(0, 0.0), (1, 1 / 3)]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("rubbish", "line 2: Invalid JSON"),
        ('{"reward": 1.0}', "line 2: step: Field required"),
        ('{"step": 2, "reward": "many"}', "line 2: reward: Input should be a valid number"),
        ('{"step": 2, "reward": 1.0, "rewards": 2.0}', "line 2: rewards: Extra inputs are not permitted"),
        ('{"step": -1, "reward": 1.0}', "line 2: step: Input should be greater than or equal to 0"),
    ],
)
def test_damage_names_file_line_and_key(tmp_path: Path, line: str, what: str):
    (tmp_path / "telemetry.jsonl").write_text(f'{{"step": 1, "reward": 0.5}}\n{line}\n')
    with pytest.raises(InputError, match=r"telemetry.jsonl is damaged") as caught:
        RunFolder(tmp_path).rows(TelemetryRow)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_follower_reads_each_row_once_while_the_run_goes_on(tmp_path: Path):
    folder = RunFolder(tmp_path)
    follower = folder.follow(TelemetryRow)
    assert follower.poll() == []
    folder.append(telemetry(1))
    folder.append(telemetry(2))
    assert [row.step for row in follower.poll()] == [1, 2]
    assert follower.poll() == []
    with folder.file(TelemetryRow).open("a") as file:
        file.write('{"step": 3, "rew')
    assert follower.poll() == [], "the line is not complete"
    with folder.file(TelemetryRow).open("a") as file:
        file.write('ard": 0.25}\n')
    assert [(row.step, row.reward) for row in follower.poll()] == [(3, 0.25)]


def test_a_follower_does_not_read_again_what_it_has_read(tmp_path: Path):
    """Bytes before its position may even be garbage: it never looks at them again."""
    folder = RunFolder(tmp_path)
    folder.append(telemetry(1))
    follower = folder.follow(TelemetryRow)
    assert len(follower.poll()) == 1
    size = folder.file(TelemetryRow).stat().st_size
    with folder.file(TelemetryRow).open("r+b") as file:
        file.write(b"x" * size)
    folder.append(telemetry(2))
    assert [row.step for row in follower.poll()] == [2]


def test_a_follower_returns_every_step_once_when_a_killed_run_resumes(tmp_path: Path):
    folder = RunFolder(tmp_path)
    for step in (1, 2, 3, 4):
        folder.append(telemetry(step))
    follower = folder.follow(TelemetryRow)
    assert [row.step for row in follower.poll()] == [1, 2, 3, 4]
    folder.keep_until(TelemetryRow, 2)  # as a resumed run does
    assert follower.poll() == []
    for step in (3, 4, 5):
        folder.append(telemetry(step))
    assert [row.step for row in follower.poll()] == [5]


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


KILLED = """
import os, signal, sys
from pathlib import Path
from rlvrscope.runs.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_what_a_killed_write_leaves_is_removed_by_the_next(tmp_path: Path):
    path = tmp_path / "out [1].jsonl"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    own = tmp_path / f".{path.name}.{os.getpid()}.tmp"
    others = [tmp_path / f".{path.name}.x.tmp", tmp_path / f".{path.name}.1.tmp", tmp_path / f".other.{2**21}.tmp"]
    for other in others:
        other.touch()
    write_atomic(path, "whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])
    assert not own.exists()
