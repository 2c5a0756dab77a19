"""Stores that are damaged, removed, linked to, made by others, or read while they are written."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import zstandard

import filler
from rlvrscope.engines import Completion
from rlvrscope.errors import InputError, RlvrscopeError, WorkError
from rlvrscope.problem import Problem, Verdict
from rlvrscope.readers import read_models
from rlvrscope.readers.store_table import StoreTable
from rlvrscope.sampling import Sample, SampleStore, fill
from rlvrscope.sampling.store.check import check, stats
from rlvrscope.sampling.store.export import export
from rlvrscope.sampling.store.texts import MAX_TEXT_BYTES
from rlvrscope.seeding import generator

PROBLEM = Problem("p", "?", "1")
RIGHT = Verdict("correct", 1.0, "1", "math", "1", "exact", "")


def small_store(folder: Path, samples: int = 20) -> Path:
    with SampleStore(folder) as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), samples)
    return store.path


def everything(path: Path, out: Path):
    """All that the readers say of a store: counts, statistics, rows, and texts."""
    with SampleStore(path, write=False) as store:
        facts, rows = stats(store), [*store.samples("samples")]
        assert check(store) == len(rows)
        export(store, out)
    (model,) = read_models(str(path))
    counts = list(zip(model.counts.problem, model.counts.n, model.counts.c, strict=True))
    return facts, rows, counts, out.read_bytes()


def test_flipped_bits_are_found_or_change_nothing(tmp_path: Path):
    """One at a time, anywhere in the file: whatever a reader says of a changed store is what it said before."""
    whole, folder = small_store(tmp_path / "whole"), tmp_path / "flipped"
    folder.mkdir()
    before, content = everything(whole, tmp_path / "whole.jsonl"), whole.read_bytes()
    rng, ends = generator(0, "flips"), Counter()
    for place, bit in zip(rng.integers(len(content), size=250), rng.integers(8, size=250), strict=True):
        changed = bytearray(content)
        changed[place] ^= 1 << int(bit)
        (folder / "samples.sqlite").write_bytes(changed)
        try:
            assert everything(folder, tmp_path / "flipped.jsonl") == before, f"bit {bit} of byte {place}"
            ends["same"] += 1
        except RlvrscopeError:
            ends["refused"] += 1
    assert ends["refused"] > 50
    assert ends["same"] > 10


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE verdicts SET outcome = 'wrong' WHERE number = 3",
        "UPDATE verdicts SET score = 0.5 WHERE number = 3",
        "UPDATE samples SET tokens = 7 WHERE number = 3",
        "UPDATE samples SET number = 100 WHERE number = 3",
        "UPDATE samples SET batch = 2 WHERE number = 3",
        "UPDATE problems SET content = replace(content, '\"4\"', '\"5\"')",
        "UPDATE runs SET identity = replace(identity, '1.0', '2.0')",
        "UPDATE verifiers SET version = 'x'",
        "DELETE FROM batches WHERE id = 1",
        "DELETE FROM seals",
        "INSERT INTO samples SELECT run, 1, 100, text, dictionary, tokens, logp, finish, seed, note, reasoning, batch "
        "FROM samples WHERE number = 3 AND problem = 1",
    ],
)
def test_changed_rows_are_found(tmp_path: Path, change: str):
    path = small_store(tmp_path)
    with sqlite3.connect(path) as connection:
        assert connection.execute(change).rowcount > 0
    connection.close()
    with pytest.raises(InputError, match=r"is damaged .* differ"):
        SampleStore(path, write=False)
    with pytest.raises(InputError, match=r"is damaged .* differ"):
        SampleStore(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE samples SET text = 5 WHERE number = 3", "6 rows of samples hold values of another type"),
        ("UPDATE samples SET tokens = -1 WHERE number = 3", "out of range"),
        ("UPDATE verdicts SET score = 5.0 WHERE number = 3", "out of range"),
        ("UPDATE verdicts SET outcome = 'splendid' WHERE number = 3", "out of range"),
        ("CREATE VIEW more AS SELECT * FROM samples", "a view that no store has"),
        ("CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM runs; END", "a trigger that no store has"),
        ("CREATE TABLE more (x)", "a table that no store has"),
        (
            "DROP TABLE verifiers; CREATE VIEW verifiers AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
            "FROM c) SELECT x AS id, 'a' AS name, 'b' AS version, 1 AS used FROM c",
            "a view that no store has",
        ),
        ("DROP TABLE batches", "batches"),
        ("PRAGMA user_version = 2", "its header says format 2"),
        ("PRAGMA user_version = 0", "its header says format 0"),
    ],
)
def test_what_no_store_holds_is_refused_in_one_line(tmp_path: Path, change: str, message: str):
    path = small_store(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.executescript(change)
    connection.close()
    with pytest.raises(RlvrscopeError, match=message) as refused:
        SampleStore(path, write=False)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("declared", [True, False])
def test_a_text_that_expands_beyond_bounds_is_refused(tmp_path: Path, declared: bool):
    """Whether or not its header says how long it is."""
    with SampleStore(tmp_path) as store:
        store.begin("samples", {}, [PROBLEM])
        store.add("samples", [Sample("p", 0, 0, Completion("hello"))])
        packed = zstandard.ZstdCompressor(write_content_size=declared).compress(bytes(4 * MAX_TEXT_BYTES))
        assert len(packed) < 100_000
        store.connection.execute("UPDATE samples SET text = ?, dictionary = NULL", (packed,))
        with pytest.raises(InputError, match="a text"):
            next(store.samples("samples"))
        with pytest.raises(InputError, match="a text may have 16,777,216 bytes; one has 16,777,217"):
            store.add("samples", [Sample("p", 1, 0, Completion("x" * (MAX_TEXT_BYTES + 1)))])


@pytest.mark.parametrize("removed", ["folder", "file", "log", "replaced"])
def test_a_store_that_is_removed_while_it_is_filled_is_noticed(tmp_path: Path, removed: str):
    folder = tmp_path / "run"

    def remove(progress) -> None:
        if progress.new == 256:
            if removed == "folder":
                shutil.rmtree(folder)
            elif removed == "log":
                (folder / "samples.sqlite-wal").unlink()
            else:
                (folder / "samples.sqlite").unlink()
            if removed == "replaced":
                (folder / "samples.sqlite").write_bytes(b"")

    with SampleStore(folder) as store, pytest.raises(WorkError, match="was removed or replaced while it was written"):
        fill(store, filler.PROBLEMS, filler.Guesser(), 200, on_progress=remove)


def test_a_store_that_is_removed_at_the_very_end_is_noticed(tmp_path: Path):
    with SampleStore(tmp_path) as store, pytest.raises(WorkError, match="was removed or replaced"):
        fill(
            store, filler.PROBLEMS, filler.Guesser(), 20,
            on_progress=lambda progress: store.path.unlink() if progress.done == 120 else None,
        )  # fmt: skip


def test_a_link_shows_what_is_still_in_the_log(tmp_path: Path):
    """SQLite keeps the log beside the file that the link names."""
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "run" / "samples.sqlite")
    with SampleStore(tmp_path / "run") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 20)
        with SampleStore(tmp_path / "link.sqlite", write=False) as linked:
            assert check(linked) == 120
        with pytest.raises(WorkError, match="another process is writing"):
            SampleStore(tmp_path / "link.sqlite")
    assert [name.name for name in tmp_path.iterdir() if "link" in name.name] == ["link.sqlite"]


def test_readers_beside_a_writer_see_a_whole_store(tmp_path: Path):
    """Each reading is of one moment: as many verdicts as samples, and never called damaged. Writers come and go."""
    small_store(tmp_path, 2)
    words = [sys.executable, filler.__file__, str(tmp_path), "1000", "0.01"]
    seen: set[int] = set()
    for life in range(1, 4):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None:
            with SampleStore(tmp_path, write=False) as store:
                count = check(store)
                facts = stats(store)["samples"]
                assert (facts.samples, facts.without_verdict) == (count, 0)
                assert len(list(store.samples("samples"))) == count
            seen.add(count)
            if len(seen) >= 3 * life:
                process.kill()
        process.communicate(timeout=60)
    assert len(seen) >= 4


def test_a_reader_keeps_its_moment_while_the_store_grows(tmp_path: Path):
    path = small_store(tmp_path, 10)
    table = StoreTable.open(path)
    with SampleStore(tmp_path, write=False) as reader:
        with SampleStore(tmp_path) as writer:
            writer.begin("samples", writer.runs()["samples"], [*filler.PROBLEMS, PROBLEM])
            writer.add("samples", [Sample("p", index, 0, Completion("x")) for index in range(300)], [RIGHT] * 300)
        assert check(reader) == 60
        assert sum(len(batch.row_B) for batch in table.batches(["problem", "text"])) == 60
    with SampleStore(tmp_path, write=False) as reader:
        assert check(reader) == 360


def test_a_file_that_cannot_be_written_to_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As on a read-only disk: no helper files are made."""
    path = small_store(tmp_path)
    monkeypatch.setattr("rlvrscope.sampling.store.store_file.os.access", lambda path, mode: False)
    with SampleStore(path, write=False) as store:
        assert check(store) == 120
        assert sorted(file.name for file in tmp_path.iterdir()) == ["samples.sqlite", "samples.sqlite.lock"]


def test_a_clock_set_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Progress and commits go by a clock that only runs forward; nothing in the store depends on the time."""
    small_store(tmp_path / "whole", 60)
    start, calls = time.time(), iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: start - 3600.0 * next(calls))
    small_store(tmp_path / "back", 60)
    assert filler.verified_samples(tmp_path / "back") == filler.verified_samples(tmp_path / "whole")
