"""Kills, loss of power and a full disk: nothing that was committed is lost, nothing is drawn or counted twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import filler
from rlvrscope.errors import WorkError
from rlvrscope.sampling import SampleStore, fill
from rlvrscope.sampling.store.check import check
from rlvrscope.seeding import generator

resource = pytest.importorskip("resource")
KILLS = int(os.environ.get("RLVRSCOPE_KILLS", "10"))
"""More with `make soak`."""
SAMPLES = 100 * KILLS
FRAME = 24 + 4096
"""Bytes of a frame of the log: its header, and a page."""
FILLER = filler.__file__


def start(folder: Path, samples: int, pause: float = 0.0, **more) -> subprocess.Popen[str]:
    words = [sys.executable, str(FILLER), str(folder), str(samples), str(pause)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_kills_lose_and_repeat_nothing(tmp_path: Path):
    """Each life begins, and ends by SIGKILL at a random moment: most within the filling, some while it starts."""
    rng, ends = generator(0, "kills"), []
    for _ in range(KILLS):
        process = start(tmp_path / "killed", SAMPLES, pause=0.02)
        assert process.stdout is not None
        if rng.random() < 0.8:
            process.stdout.readline()
        time.sleep(float(rng.uniform(0.0, 0.15)))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        ends.append(process.returncode)
    assert set(ends) == {-signal.SIGKILL}
    for folder in ("killed", "whole"):
        with SampleStore(tmp_path / folder) as store:
            fill(store, filler.PROBLEMS, filler.Guesser(), SAMPLES)
            assert check(store) == 6 * SAMPLES
    assert filler.verified_samples(tmp_path / "killed") == filler.verified_samples(tmp_path / "whole")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory):
    """(a folder with a store whose commits are all in the log, [(bytes of the log, cells) after each commit])."""
    folder = tmp_path_factory.mktemp("logged")
    commits = []
    with SampleStore(folder) as store:
        store.connection.execute("PRAGMA wal_autocheckpoint = 0")
        log = folder / "samples.sqlite-wal"
        fill(
            store, filler.PROBLEMS, filler.Guesser(), 150,
            on_progress=lambda filled: commits.append((log.stat().st_size, filled.done)),
        )  # fmt: skip
        shutil.copytree(folder, folder / "copy", ignore=shutil.ignore_patterns("*-shm", "*.lock", "copy"))
    return folder / "copy", commits


def cut_at(source: Path, folder: Path, size: int) -> None:
    folder.mkdir(exist_ok=True)
    shutil.copy(source / "samples.sqlite", folder)
    (folder / "samples.sqlite-wal").write_bytes((source / "samples.sqlite-wal").read_bytes()[:size])


def test_loss_of_power_leaves_every_commit_that_was_whole(logged, tmp_path: Path):
    """The log is cut at every frame's end, and at 200 random bytes: what a commit had finished is there, no more."""
    source, commits = logged
    whole = (source / "samples.sqlite-wal").stat().st_size
    cuts = {*range(32, whole + 1, FRAME), *generator(0, "cuts").integers(0, whole, size=200).tolist()}
    assert len(commits) > 3
    assert whole % FRAME == 32
    for cut in sorted(cuts):
        cut_at(source, tmp_path, cut)
        expected = max((done for size, done in commits if size <= cut), default=0)
        with SampleStore(tmp_path, write=False) as store:
            assert store.connection.execute("SELECT count(*) FROM samples").fetchone()[0] == expected
            assert store.connection.execute("SELECT count(*) FROM verdicts").fetchone()[0] == expected
        for left in tmp_path.iterdir():
            left.unlink()


def test_after_a_power_cut_the_same_command_resumes(logged, tmp_path: Path):
    source, commits = logged
    with SampleStore(tmp_path / "whole") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 150)
    for number, (size, done) in enumerate(commits[1:]):
        folder = tmp_path / str(number)
        cut_at(source, folder, size + 100)
        with SampleStore(folder) as store:
            assert fill(store, filler.PROBLEMS, filler.Guesser(), 150).existing == done
            assert check(store) == 900
        assert filler.verified_samples(folder) == filler.verified_samples(tmp_path / "whole")


def test_a_full_database_is_reported_and_usable(tmp_path: Path):
    with SampleStore(tmp_path / "a") as store:
        store.connection.execute("PRAGMA max_page_count = 40")
        with pytest.raises(WorkError, match=r"disk is full or failing.*run the same command again"):
            fill(store, filler.PROBLEMS, filler.Guesser(), 200)
        stored = check(store)
        assert 0 < stored < 1200
        store.connection.execute("PRAGMA max_page_count = 100000")
        assert fill(store, filler.PROBLEMS, filler.Guesser(), 200).existing == stored
    with SampleStore(tmp_path / "b") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 200)
    assert filler.verified_samples(tmp_path / "a") == filler.verified_samples(tmp_path / "b")


@pytest.mark.skipif(os.name != "posix", reason="limits of processes")
def test_a_full_disk_is_reported_in_one_line(tmp_path: Path):
    """The system refuses writes past a file size: the log, in the middle of a batch."""
    limit = 300_000
    process = start(tmp_path, 400, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("error: cannot write")
    assert "disk is full or failing" in errors
    assert errors.count("\n") == 1
    with SampleStore(tmp_path) as store:
        stored = check(store)
        assert 0 < stored < 2400
        assert fill(store, filler.PROBLEMS, filler.Guesser(), 400).existing == stored
        assert check(store) == 2400
