"""The store: what is committed stays, what is refused is left as it was."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filler
from rlvrscope.engines import Completion
from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem, Verdict
from rlvrscope.readers import read_models
from rlvrscope.readers.store_table import StoreTable
from rlvrscope.sampling import Sample, SampleStore, fill
from rlvrscope.sampling.store.check import check, stats
from rlvrscope.sampling.store.export import export
from rlvrscope.sampling.store.integrity import FACTS, seal
from rlvrscope.sampling.store.store_file import APPLICATION_ID, FORMAT_VERSION, UPGRADES, refuse_network
from rlvrscope.sampling.verdicts import check_plugin_verifiers, verify_missing, verify_texts
from rlvrscope.tables.formats import open_table
from rlvrscope.verify import VerifierPool

PROBLEM_OF = {problem.id: problem for problem in filler.PROBLEMS}
PROBLEMS = [Problem("p", "?", "1"), Problem("q", "?", "2", cluster="c", metadata={"numbers": [1, 2]})]


def sample_of(index: int, text: str = "hello", problem: str = "p") -> Sample:
    return Sample(problem, index, index, Completion(text, 3, "stop", -1.5, "note"))


@pytest.fixture
def store(tmp_path: Path):
    with SampleStore(tmp_path / "s.sqlite") as made:
        made.begin("samples", {"engine": "x"}, PROBLEMS)
        yield made


@given(texts=st.lists(st.text(st.characters(), max_size=200), min_size=1, max_size=30))
@settings(max_examples=15)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]):
    """Also NUL, and half a surrogate pair."""
    texts = [*texts, "\0 \ud800 ü", ""]
    path = tmp_path_factory.mktemp("texts") / "s.sqlite"
    with SampleStore(path) as store:
        store.begin("samples", {}, PROBLEMS)
        for start in (0, len(texts)):
            store.add("samples", [sample_of(start + index, text) for index, text in enumerate(texts)])
    with SampleStore(path, write=False) as store:
        assert [sample.completion.text for sample in store.samples("samples", "p")] == texts * 2
        assert store.problems() == {problem.id: problem for problem in PROBLEMS}


@given(texts=st.lists(st.tuples(*[st.sampled_from(["", "a", "two and two " * 50])] * 2), min_size=1, max_size=9))
@settings(max_examples=15)
def test_reasoning_comes_back_beside_its_text(tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]):
    samples = [
        Sample("p", index, 0, Completion(text, finish="length", reasoning=reasoning))
        for index, (text, reasoning) in enumerate(texts)
    ]
    path = tmp_path_factory.mktemp("texts") / "s.sqlite"
    with SampleStore(path) as store:
        store.begin("samples", {}, PROBLEMS)
        store.add("samples", samples[:1])
        store.add("samples", samples)
    with SampleStore(path, write=False) as store:
        assert list(store.samples("samples")) == samples
        assert check(store) == len(samples)


FIRST_SCHEMA = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, identity TEXT NOT NULL);
CREATE TABLE problems (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, verifier TEXT NOT NULL, content TEXT NOT NULL
);
CREATE TABLE dictionaries (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE samples (
    run INTEGER NOT NULL, problem INTEGER NOT NULL, number INTEGER NOT NULL,
    text BLOB NOT NULL, dictionary INTEGER, tokens INTEGER, logp REAL,
    finish TEXT NOT NULL, seed INTEGER NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (run, problem, number)
);
CREATE TABLE verifiers (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, used INTEGER NOT NULL, UNIQUE (name, version)
);
CREATE TABLE verdicts (
    verifier INTEGER NOT NULL, run INTEGER NOT NULL, problem INTEGER NOT NULL, number INTEGER NOT NULL,
    outcome TEXT NOT NULL, score REAL NOT NULL, extracted TEXT, path TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (verifier, run, problem, number)
) WITHOUT ROWID;
CREATE INDEX outcomes ON verdicts (verifier, run, problem, outcome);
"""
"""The first format, which kept no reasoning."""


@pytest.fixture
def first_store(tmp_path: Path) -> Path:
    """A store of the first format with 120 samples, in the folder `first`; the same in today's, in `today`."""
    with SampleStore(tmp_path / "today") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 20)
    path = tmp_path / "first" / "samples.sqlite"
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.executescript(f"BEGIN; {FIRST_SCHEMA} COMMIT;")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("ATTACH ? AS today", (str(store.path),))
    for table in ("runs", "problems", "dictionaries", "verifiers"):
        connection.execute(f"INSERT INTO {table} SELECT * FROM today.{table}")
    connection.execute(f"INSERT INTO verdicts SELECT {FACTS['verdicts']} FROM today.verdicts")
    columns = "run, problem, number, text, dictionary, tokens, logp, finish, seed, note"
    connection.execute(f"INSERT INTO samples SELECT {columns} FROM today.samples")
    connection.close()
    return path


def test_a_store_of_the_first_format_is_read_unchanged(first_store: Path, tmp_path: Path):
    before = first_store.read_bytes()
    assert filler.verified_samples(first_store) == filler.verified_samples(tmp_path / "today")
    with SampleStore(first_store, write=False) as store:
        assert check(store) == 120
        assert stats(store) == stats(SampleStore(tmp_path / "today", write=False))
        assert export(store, tmp_path / "first.parquet") == 120
    (model,) = read_models(str(first_store.parent))
    assert model.counts.n.sum() == 120
    assert first_store.read_bytes() == before


def test_a_store_of_the_first_format_is_continued(first_store: Path, tmp_path: Path):
    """As if it had always been of today's; its reasoning is read from the log too, before that is in the file."""
    for path in (first_store.parent, tmp_path / "today"):
        with SampleStore(path) as store:
            progress = fill(store, filler.PROBLEMS, filler.Guesser(), 30)
            assert (progress.existing, progress.new) == (120, 60)
    assert filler.verified_samples(first_store) == filler.verified_samples(tmp_path / "today")
    thought = Sample("p1", 30, 1, Completion("so", reasoning="two and two"))
    with SampleStore(first_store) as store:
        store.add("samples", [thought])
        assert check(store) == 181


def test_a_kill_after_the_upgrade_loses_nothing(first_store: Path, tmp_path: Path):
    """The file's header is of the first format, its log of today's."""
    thought = Sample("p1", 30, 1, Completion("so", reasoning="two and two"))
    (tmp_path / "killed").mkdir()
    with SampleStore(first_store) as store:
        store.add("samples", [thought])
        for path in first_store.parent.iterdir():
            shutil.copy(path, tmp_path / "killed")
    assert (tmp_path / "killed" / "samples.sqlite").read_bytes()[60:64] == bytes([0, 0, 0, 1])
    for write in (False, True):
        with SampleStore(tmp_path / "killed", write=write) as store:
            assert list(store.samples("samples", "p1"))[-1] == thought
            assert check(store) == 121


def test_an_upgrade_that_fails_changes_nothing(first_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its statements are one transaction."""
    monkeypatch.setitem(UPGRADES, 1, f"{UPGRADES[1]} NOT NULL")
    with pytest.raises(WorkError, match="NOT NULL"):
        SampleStore(first_store)
    monkeypatch.undo()
    with SampleStore(first_store, write=False) as store:
        assert store.reasoning == "NULL"
    assert filler.verified_samples(first_store) == filler.verified_samples(tmp_path / "today")


def test_an_existing_sample_is_never_replaced(store: SampleStore):
    right, wrong = (Verdict(outcome, verifier="math", version="1") for outcome in ("correct", "wrong"))
    assert store.add("samples", [sample_of(0), sample_of(1), sample_of(0, "twice")], [right] * 3) == 2
    assert store.add("samples", [sample_of(index, "late") for index in range(3)], [wrong] * 3) == 1
    assert [sample.completion.text for sample in store.samples("samples")] == ["hello", "hello", "late"]
    assert store.counts("samples") == {"p": {"correct": 2, "wrong": 1}}
    assert next(store.samples("samples")) == sample_of(0)


def test_verdicts_of_another_version_stand_beside_the_first(store: SampleStore):
    """Those in use are read; going back to a version reads its own again."""
    store.add("samples", [sample_of(index) for index in range(4)])
    assert store.counts("samples") == {"p": {"": 4}}
    for version, outcome in (("1", "wrong"), ("2", "correct")):
        store.use_verifier("math", version)
        verdict = Verdict(outcome, verifier="math", version=version)
        store.add_verdicts("samples", [("p", index, verdict) for index in store.unverified("samples", "p")[:3]])
        assert store.counts("samples") == {"p": {outcome: 3, "": 1}}
        assert store.unverified("samples", "p") == [3]
    store.use_verifier("math", "1")
    assert store.counts("samples") == {"p": {"wrong": 3, "": 1}}
    facts = stats(store)["samples"]
    assert (facts.outcomes["wrong"], facts.outcomes["correct"]) == (3, 0)
    assert facts.by_version == {"math 1": {"wrong": 3}, "math 2": {"correct": 3}}


def test_samples_without_a_verdict_are_verified_and_not_changed(tmp_path: Path):
    with SampleStore(tmp_path / "whole") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 20)
        before = filler.verified_samples(tmp_path / "whole")
        samples, identity = list(store.samples("samples")), store.runs()["samples"]
    with SampleStore(tmp_path) as store, VerifierPool(1) as pool:
        store.begin("samples", identity, filler.PROBLEMS)
        for late in (False, True):
            chosen = [sample for sample in samples if (sample.index % 3 == 1) == late]
            verdicts = verify_texts([(one.completion.text, PROBLEM_OF[one.problem]) for one in chosen], pool)
            store.add("samples", chosen, () if late else verdicts)
    with pytest.raises(InputError, match="rlvrscope verify"):
        read_models(str(tmp_path))
    with SampleStore(tmp_path) as store, VerifierPool() as pool:
        assert verify_missing(store, "samples", filler.PROBLEMS, pool) == 6 * 7
        assert verify_missing(store, "samples", filler.PROBLEMS, pool) == 0
    assert filler.verified_samples(tmp_path) == before


def test_a_store_chooses_no_code_to_run():
    own = [Problem("p", "?", "1", verifier="mine.py:judge")]
    with pytest.raises(InputError, match=r"--verifier mine\.py:judge"):
        check_plugin_verifiers(own, {""})
    check_plugin_verifiers(own, {"mine.py:judge"})


def test_a_second_writer_is_refused_and_readers_are_not(store: SampleStore):
    store.add("samples", [sample_of(0)])
    with pytest.raises(WorkError, match="another process is writing"):
        SampleStore(store.path)
    with SampleStore(store.path, write=False) as reader:
        assert len(list(reader.samples("samples"))) == 1
        with pytest.raises(WorkError, match="readonly"):
            reader.begin("other", {}, [])


def test_a_second_process_is_refused(store: SampleStore):
    code = f"from rlvrscope.sampling import SampleStore; SampleStore({str(store.path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "another process is writing" in done.stderr


def damaged(path: Path, how: str) -> None:
    data = path.read_bytes()
    changed = {
        "empty": b"",
        "text": b"problem,n,c\np,1,1\n",
        "another": b"",
        "earlier": data[:68] + b"MFLW" + data[72:],  # before the project took its name
        "newer": data[:60] + (FORMAT_VERSION + 1).to_bytes(4, "big") + data[64:],
        "cut": data[: len(data) // 2 // 4096 * 4096],
        "header": data[:20] + bytes(40) + data[60:],
        "page": data[:4096] + bytes(4096) + data[8192:],
    }[how]
    path.write_bytes(changed)
    if how == "another":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE a (b)")
        connection.close()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty", "not a store"), ("text", "not a store"), ("another", "not a store"),
        ("earlier", "not a store"), ("newer", "Upgrade rlvrscope"),
        ("cut", "damaged"), ("header", "damaged"), ("page", "damaged"),
    ],
)  # fmt: skip
def test_what_is_refused_is_left_as_it_was(tmp_path: Path, how: str, message: str):
    with SampleStore(tmp_path) as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 100)
    damaged(store.path, how)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for write in (True, False):
        with pytest.raises(InputError, match=message):
            SampleStore(tmp_path, write=write)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_damaged_text_is_found(tmp_path: Path):
    with SampleStore(tmp_path) as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 20)
        assert check(store) == 120
        packed = store.connection.execute("SELECT text FROM samples WHERE problem = 2 AND number = 7").fetchone()[0]
        broken = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]
        store.connection.execute("UPDATE samples SET text = ? WHERE problem = 2 AND number = 7", (broken,))
        with pytest.raises(InputError, match="a text can't be unpacked"):
            check(store)


@pytest.mark.parametrize("lost", ["DELETE FROM samples WHERE number = 3", "DELETE FROM problems WHERE name = 'p2'"])
def test_rows_that_are_missing_are_found(tmp_path: Path, lost: str):
    with SampleStore(tmp_path) as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 5)
        store.connection.execute(lost)
        with pytest.raises(InputError, match="differ from their checksum"):
            check(store)
        seal(store.connection, "problems")
        if "problems" in lost:  # as in a store of an earlier format, which has no checksums
            with pytest.raises(InputError, match="damaged: it holds 5 samples of no run or problem"):
                check(store)


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/home /mnt/home nfs4 rw 0 0
tmpfs /mnt/home/fast tmpfs rw 0 0
//box/share /mnt/my\\040share cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/mnt/home/run/s.sqlite", "nfs4"), ("/mnt/home/fast/s.sqlite", None), ("/mnt/homes/s.sqlite", None),
        ("/mnt/my share/s.sqlite", "cifs"), ("/srv/s.sqlite", None),
    ],
)  # fmt: skip
def test_network_file_systems_are_refused(tmp_path: Path, place: str, kind: str | None):
    """The innermost mount counts."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    if kind is None:
        refuse_network(Path(place), mounts)
    else:
        with pytest.raises(InputError, match=f"network file system .{kind}"):
            refuse_network(Path(place), mounts)


def test_the_export_says_what_the_store_says(tmp_path: Path):
    with SampleStore(tmp_path / "run") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 50)
        assert export(store, tmp_path / "run.parquet") == export(store, tmp_path / "run.jsonl") == 300
        facts = stats(store)["samples"]
    inside = filler.verified_samples(tmp_path / "run")
    rows = pq.read_table(tmp_path / "run.parquet").to_pylist()
    assert {(row["problem"], row["index"]): row["text"] for row in rows} == {
        cell: sample.completion.text for cell, (sample, _) in inside.items()
    }
    (direct,) = read_models(str(tmp_path / "run"))
    for name in ("run.parquet", "run.jsonl"):
        (exported,) = read_models(str(tmp_path / name))
        assert direct.counts.problem == exported.counts.problem
        assert (direct.counts.c == exported.counts.c).all()
        assert direct.texts("p1") == exported.texts("p1")
        assert direct.answers() == exported.answers()
        assert direct.name == exported.name == "run"
    assert facts.samples == 300
    assert facts.tokens == 6000
    assert facts.outcomes["correct"] == direct.counts.c.sum()


@pytest.mark.parametrize("name", ["run.parquet", "run.jsonl"])
def test_the_export_holds_what_is_needed_to_verify_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """Reasoning, prompts and what verifiers read; with row groups of three rows."""
    monkeypatch.setattr(sys.modules[export.__module__], "GROUP_ROWS", 3)
    problems = [
        Problem("p", "1 or 2?", "A", "choice", metadata={"choices": ["1", "2"], "level": "3"}),
        Problem("q", "\ud800?", "2", cluster="c"),
    ]
    with SampleStore(tmp_path) as store:
        store.begin("samples", {}, problems)
        store.add("samples", [sample_of(index, problem=problem.id) for problem in problems for index in range(2)])
        store.add("samples", [Sample("q", 2, 5, Completion("", finish="length", reasoning="two and"))])
        assert export(store, tmp_path / name) == 5
    table = open_table(tmp_path / name)
    assert len(table.parts) == (2 if name == "run.parquet" else 1)
    rows = [
        dict(zip(table.names, row, strict=True))
        for batch in table.batches(table.names)
        for row in zip(*(batch.columns[column].list() for column in table.names), strict=True)
    ]
    assert rows[0] == {
        "run": "samples", "problem": "p", "index": 0, "prompt": "1 or 2?", "text": "hello", "reasoning": "",
        "correct": None, "score": None, "outcome": None, "answer": None, "gold": "A", "verifier": "choice",
        "version": None, "finish": "stop", "tokens": 3, "logp": -1.5, "sample_seed": 0, "note": "note", "cluster": "p",
        "choices": '["1", "2"]', "level": "3",
    }  # fmt: skip
    last = rows[4] | {
        "index": 2,
        "text": "",
        "reasoning": "two and",
        "finish": "length",
        "tokens": None,
        "cluster": "c",
    }
    assert rows[4] == last | {"prompt": "\\ud800?", "choices": None, "level": None}


def test_datasets_reads_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    with SampleStore(tmp_path / "run") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 4)
        for kind, suffix in (("parquet", "parquet"), ("json", "jsonl")):
            export(store, tmp_path / f"run.{suffix}")
            rows = datasets.load_dataset(
                kind, data_files=str(tmp_path / f"run.{suffix}"), cache_dir=str(tmp_path / "cache"), split="train"
            )
            assert rows.num_rows == 24
            assert set(rows["outcome"]) <= {"correct", "wrong", "no_answer"}


def test_a_store_is_a_table_with_ends_lengths_and_reasoning(tmp_path: Path):
    problems = [Problem("p", "?", "1", metadata={"level": "3"}), Problem("q", "?", "2", cluster="c")]
    ends = [("length", "", "two and"), ("stop", "1", "two and two"), ("stop", "1", "")]
    with SampleStore(tmp_path) as store:
        store.begin("samples", {}, problems)
        samples = [
            Sample(problem.id, index, 0, Completion(text, index, finish, reasoning=reasoning))
            for problem in problems
            for index, (finish, text, reasoning) in enumerate(ends)
        ]
        store.add("samples", samples, [Verdict("correct", verifier="math", version="1")] * 6)
    table = StoreTable.open(store.path)
    assert set(table.names) >= {"finish", "tokens", "text", "reasoning", "level", "cluster"}
    for columns in (["finish", "problem"], ["reasoning"], ["tokens", "text"], ["level", "cluster"]):
        (batch,) = table.batches(columns)
        expected = {
            "finish": ["length", "stop", "stop"] * 2, "problem": ["p"] * 3 + ["q"] * 3, "tokens": [0, 1, 2] * 2,
            "reasoning": ["two and", "two and two", ""] * 2, "text": ["", "1", "1"] * 2,
            "level": ["3"] * 3 + [None] * 3, "cluster": ["p"] * 3 + ["c"] * 3,
        }  # fmt: skip
        assert {name: column.list() for name, column in batch.columns.items()} == {
            name: expected[name] for name in columns
        }


def test_two_runs_in_one_store_are_two_models(tmp_path: Path):
    with SampleStore(tmp_path) as store:
        for run, temperature in (("cold", 0.5), ("warm", 1.0)):
            engine = filler.Guesser({"engine": "guesser", "temperature": temperature})
            fill(store, filler.PROBLEMS, engine, 3, run=run)
    assert [model.name for model in read_models(str(tmp_path))] == ["cold", "warm"]
    assert [model.name for model in read_models(f"{tmp_path}#warm")] == ["warm"]


def test_a_copy_is_a_store(tmp_path: Path):
    """Closed, it is one file."""
    with SampleStore(tmp_path / "a") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 3)
    shutil.copy(store.path, tmp_path / "copy.sqlite")
    assert filler.verified_samples(tmp_path / "copy.sqlite") == filler.verified_samples(tmp_path / "a")


def test_logs_of_a_store_that_was_removed_are_not_played_into_a_new_one(tmp_path: Path):
    """After a kill the log is still next to the store; a user who removes the store may leave it."""
    with SampleStore(tmp_path / "old") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 60)
        log = (tmp_path / "old" / "samples.sqlite-wal").read_bytes()
    assert len(log) > 100_000
    (tmp_path / "new").mkdir()
    for name in ("samples.sqlite-wal", ".samples.sqlite.new", ".samples.sqlite.new-journal", ".samples.sqlite.new-wal"):
        (tmp_path / "new" / name).write_bytes(log)
    with SampleStore(tmp_path / "new") as store:
        assert store.runs() == {}
        fill(store, filler.PROBLEMS, filler.Guesser(), 2)
        assert check(store) == 12
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["samples.sqlite", "samples.sqlite.lock"]
