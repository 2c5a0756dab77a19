"""SampleStore: samples and verdicts in one SQLite file that survives kills, power cuts and a full disk."""

from __future__ import annotations

import contextlib
import json
import operator
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rlvrscope.engines.engine import Completion
from rlvrscope.errors import InputError, WorkError, file_errors
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem, Verdict
from rlvrscope.sampling.store.contents import problem_content, read_object, read_problem, to_json
from rlvrscope.sampling.store.integrity import FACTS, NUM_FACTS, add_batch, next_batch, seal, verify_rows
from rlvrscope.sampling.store.store_file import (
    REASONING_SINCE,
    check_header,
    connect_to_read,
    connect_to_write,
    create,
    damaged,
    file_identities,
    format_version,
    refuse_network,
    sqlite_errors,
    store_path,
)
from rlvrscope.sampling.store.texts import Texts
from rlvrscope.sampling.store.upgrade import upgrade
from rlvrscope.scoring import Fact
from rlvrscope.tables.values import shorten, to_text

RUN = "samples"
"""Default name of a run."""
BATCH = 256
"""Samples of a commit."""
IMPORTED = "imported"
"""Engine of a run whose samples were imported from files."""
UNKNOWN_SEED = -1
"""Seed of a sample that was drawn elsewhere."""
_key = operator.itemgetter(0, 1, 2, 3)
CURRENT_VERIFIER = "(SELECT w.id FROM verifiers w WHERE w.name = p.verifier ORDER BY w.used DESC LIMIT 1)"
"""SQL: id of the verifier version whose verdicts on problem p are read, the one used last."""


@dataclass(frozen=True)
class Sample:
    """One sample of a problem: its index, the seed it was drawn with, and the completion."""

    problem: str
    index: int
    seed: int
    completion: Completion


class SampleStore:
    """One file of samples; a context manager. One process writes at a time, any number read.

    Within a process, one thread may add samples while another calls `existing`.

    path: the file, or a folder for samples.sqlite; created if missing. write: False reads the state at the time of
    opening, even if another process writes later. A store of an earlier format is upgraded when it is opened to write,
    and only read otherwise. reasoning: SQL of a sample's packed reasoning, which the first format did not keep.

    All pages, types and checksums are verified, but those of the texts, which follow when a text is read. Raises
    InputError for a damaged, foreign or newer file and on a network file system, and changes nothing; WorkError where
    another process is writing or the disk fails; MissingExtraError without zstandard.
    """

    def __init__(self, path: Path | str, *, write: bool = True) -> None:
        self.path, self._write = store_path(path), write
        self._lock_stack = contextlib.ExitStack()
        self._mutex = threading.RLock()
        if write:
            refuse_network(self.path)
            self._lock()
        try:
            if write and not self.path.exists():
                create(self.path)
            self.connection = self._examined()
            if write:
                self.connection.close()
                self.connection = connect_to_write(self.path)
                upgrade(self.connection, self.path)
            self._texts = Texts(self.connection, self.path)
            version = format_version(self.connection, self.path)
            self.reasoning = "s.reasoning" if version >= REASONING_SINCE else "NULL"
            self._files = file_identities(self.path)
        except BaseException:
            self._lock_stack.close()
            raise

    def _examined(self) -> sqlite3.Connection:
        check_header(self.path)
        connection = connect_to_read(self.path)
        try:
            verify_rows(connection, self.path, format_version(connection, self.path))
        except BaseException:
            connection.close()
            raise
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        with self._mutex, contextlib.suppress(sqlite3.Error):  # every commit is safe already
            if self._write:  # so that the file holds everything, even while somebody reads it
                self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self.connection.close()
        self._lock_stack.close()

    # --- runs and problems

    def runs(self) -> dict[str, dict[str, Fact]]:
        """Return the identity of every run, by name, in the order they were begun."""
        with sqlite_errors(self.path):
            rows = self.connection.execute("SELECT name, identity FROM runs ORDER BY id").fetchall()
        return {name: read_object(self.path, identity, f"run {shorten(name)}") for name, identity in rows}

    def begin(self, run: str, identity: Mapping[str, Fact], problems: Sequence[Problem]) -> None:
        """Add a run and its problems unless they exist. Raises InputError as `check_identity` does."""
        self.check_identity(run, identity, problems)
        runs, stored = self.runs(), self._contents()
        facts = to_json(identity)
        new = [
            (problem.id, problem.verifier, problem_content(problem)) for problem in problems if problem.id not in stored
        ]
        with self._transaction() as connection:
            if run not in runs:
                connection.execute("INSERT INTO runs (name, identity) VALUES (?, ?)", (run, facts))
            elif self._is_empty(run):
                connection.execute("UPDATE runs SET identity = ? WHERE name = ?", (facts, run))
            connection.executemany("INSERT INTO problems (name, verifier, content) VALUES (?, ?, ?)", new)
            seal(connection, "runs", "problems")

    def check_identity(self, run: str, identity: Mapping[str, Fact], problems: Sequence[Problem]) -> None:
        """Raises InputError, with the differences, if the run's samples have another identity or a problem changed.

        A run without samples may still change its identity.
        """
        stored = self.runs().get(run)
        if stored is not None and _compared(stored) != _compared(identity) and not self._is_empty(run):
            if stored.get("engine") == IMPORTED:
                files = shorten(stored.get("files"))
                raise InputError(
                    f"{self.path}: run {run!r} was imported from {files}, and nothing is drawn into it: choose another "
                    "--out"
                )
            changes = _changes(_compared(stored), _compared(identity))
            raise InputError(f"{self.path}: run {run!r} was sampled with another model or settings: {changes}")
        contents = self._contents()
        for problem in problems:
            before, now = contents.get(problem.id), problem_content(problem)
            if before is not None and before != now:
                changes = _changes(json.loads(before), json.loads(now))
                raise InputError(f"{self.path}: problem {shorten(problem.id)} has changed: {changes}")

    def _is_empty(self, run: str) -> bool:
        query = "SELECT 1 FROM samples WHERE run = (SELECT id FROM runs WHERE name = ?) LIMIT 1"
        with sqlite_errors(self.path):
            return self.connection.execute(query, (run,)).fetchone() is None

    def problems(self) -> dict[str, Problem]:
        """Return every problem, by id, in the order they were added."""
        return {name: read_problem(self.path, name, content) for name, content in self._contents().items()}

    def _contents(self) -> dict[str, str]:
        with sqlite_errors(self.path):
            return dict(self.connection.execute("SELECT name, content FROM problems ORDER BY id"))

    # --- samples

    def existing(self, run: str, problem: str, indices: range = range(1 << 62)) -> set[int]:
        """Return those of the indices that have a sample."""
        query = (
            "SELECT number FROM samples WHERE run = (SELECT id FROM runs WHERE name = ?) "
            "AND problem = (SELECT id FROM problems WHERE name = ?) AND number >= ? AND number < ?"
        )
        with self._mutex, sqlite_errors(self.path):
            rows = self.connection.execute(query, (run, problem, indices.start, indices.stop))
            return {number for (number,) in rows}

    def add(self, run: str, samples: Sequence[Sample], verdicts: Sequence[Verdict] = ()) -> int:
        """Add samples, with a verdict on each if given, in one commit; return how many were new.

        An existing sample is never replaced.
        """
        with self._transaction() as connection:
            run_id = self._id("runs", run)
            ids = {name: self._id("problems", name) for name in {sample.problem for sample in samples}}
            places = self._new(run, samples)
            new = [samples[place] for place in places]
            texts, reasonings, dictionary = self._pack([sample.completion for sample in new])
            number = next_batch(connection)
            rows = [  # numbers of the types that SQLite returns, so that the checksum is that of what is read
                (run_id, ids[one.problem], one.index, dictionary, None if said.tokens is None else int(said.tokens),
                 None if said.logp is None else float(said.logp), said.finish, one.seed, said.note, number, text,
                 reasoning)
                for one, text, reasoning in zip(new, texts, reasonings, strict=True)
                for said in (one.completion,)
            ]  # fmt: skip
            judged = [(ids[samples[at].problem], samples[at].index, verdicts[at]) for at in places] if verdicts else []
            self._insert(number, rows, self._verdict_rows(run_id, judged, number))
        return len(new)

    def _new(self, run: str, samples: Sequence[Sample]) -> list[int]:
        """Return the places of samples that the store lacks, the first of each (problem, index)."""
        places_of: dict[str, dict[int, int]] = {}
        for place, sample in enumerate(samples):
            places_of.setdefault(sample.problem, {}).setdefault(sample.index, place)
        for problem, places in places_of.items():
            for index in self.existing(run, problem, range(min(places), max(places) + 1)):
                places.pop(index, None)
        return sorted(place for places in places_of.values() for place in places.values())

    def _pack(self, completions: Sequence[Completion]) -> tuple[list[bytes], list[bytes | None], int | None]:
        """Return the packed texts, the packed reasoning where there is any, and the id of their dictionary."""
        if not completions:
            return [], [], None
        reasonings = [completion.reasoning for completion in completions if completion.reasoning]
        packed, dictionary = self._texts.pack([completion.text for completion in completions] + reasonings)
        if not reasonings:
            return packed, [None] * len(completions), dictionary
        rest = iter(packed[len(completions) :])
        thoughts = [next(rest) if completion.reasoning else None for completion in completions]
        return packed[: len(completions)], thoughts, dictionary

    def samples(self, run: str, problem: str | None = None, indices: range = range(1 << 62)) -> Iterator[Sample]:
        """Yield the samples of a run (of one problem), problem by problem, lazily."""
        query = (
            f"SELECT p.name, s.number, s.seed, s.dictionary, s.text, {self.reasoning}, s.tokens, s.finish, s.logp, "
            "s.note FROM samples s JOIN problems p ON p.id = s.problem "
            "WHERE s.run = (SELECT id FROM runs WHERE name = ?1) AND (?2 IS NULL OR p.name = ?2) "
            "AND s.number >= ?3 AND s.number < ?4 ORDER BY s.problem, s.number"
        )
        with sqlite_errors(self.path):
            rows = self.connection.execute(query, (run, problem, indices.start, indices.stop))
            for name, index, seed, dictionary, text, reasoning, tokens, finish, logp, note in rows:
                written, thought = self.unpack(text, dictionary), self.unpack(reasoning, dictionary)
                yield Sample(name, index, seed, Completion(written, tokens, finish, logp, note, thought))

    # --- verdicts

    def use_verifier(self, name: str, version: str) -> None:
        """Read this version's verdicts from now on; other versions' verdicts are kept."""
        with sqlite_errors(self.path):
            query = "SELECT version FROM verifiers WHERE name = ? ORDER BY used DESC LIMIT 1"
            if self.connection.execute(query, (name,)).fetchone() == (version,):
                return
        with self._transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(used), 0) FROM verifiers").fetchone()
            connection.execute(
                "INSERT INTO verifiers (name, version, used) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET used = ?3",
                (name, version, last + 1),
            )
            seal(connection, "verifiers")

    def unverified(self, run: str, problem: str) -> list[int]:
        """Return the indices of samples without a verdict by the current version."""
        query = (
            f"SELECT s.number FROM runs r, problems p JOIN samples s ON s.run = r.id AND s.problem = p.id "
            f"LEFT JOIN verdicts v ON v.verifier = {CURRENT_VERIFIER} AND v.run = r.id AND v.problem = p.id "
            "AND v.number = s.number WHERE r.name = ? AND p.name = ? AND v.number IS NULL ORDER BY s.number"
        )
        with sqlite_errors(self.path):
            return [number for (number,) in self.connection.execute(query, (run, problem))]

    def counts(self, run: str) -> dict[str, Counter[str]]:
        """Return, by problem, how many samples have each outcome by the current version; "": no verdict."""
        query = (
            f"SELECT p.name, v.outcome, count(*) FROM runs r, problems p "
            f"JOIN verdicts v ON v.verifier = {CURRENT_VERIFIER} AND v.run = r.id AND v.problem = p.id "
            "WHERE r.name = ? GROUP BY p.id, v.outcome ORDER BY p.id"
        )
        totals = (
            "SELECT p.name, count(*) FROM runs r JOIN samples s ON s.run = r.id JOIN problems p ON p.id = s.problem "
            "WHERE r.name = ? GROUP BY p.id ORDER BY p.id"
        )
        with sqlite_errors(self.path):
            counts = {name: Counter({"": count}) for name, count in self.connection.execute(totals, (run,))}
            for name, outcome, count in self.connection.execute(query, (run,)):
                if name not in counts:
                    raise damaged(self.path, f"problem {shorten(name)} has verdicts and no samples")
                counts[name][outcome] += count
                counts[name][""] -= count
        return {name: +counter for name, counter in counts.items()}

    def add_verdicts(self, run: str, verdicts: Sequence[tuple[str, int, Verdict]]) -> None:
        """Add (problem, index, verdict) in one commit; an existing verdict by the same version is kept."""
        with self._transaction() as connection:
            ids = {name: self._id("problems", name) for name in {name for name, _, _ in verdicts}}
            number = next_batch(connection)
            rows = self._verdict_rows(
                self._id("runs", run), [(ids[name], index, verdict) for name, index, verdict in verdicts], number
            )
            query = "SELECT 1 FROM verdicts WHERE verifier = ? AND run = ? AND problem = ? AND number = ?"
            by_key = {row[:4]: row for row in reversed(rows)}
            new = [row for key, row in sorted(by_key.items()) if connection.execute(query, key).fetchone() is None]
            self._insert(number, [], new)

    def _verdict_rows(
        self, run: int, verdicts: Sequence[tuple[int, int, Verdict]], batch: int
    ) -> list[tuple[Any, ...]]:
        """Rows of verdicts in the order of their key. Adds the verifiers that the store lacks."""
        verifier = {
            version: self._verifier(*version) for version in {(one.verifier, one.version) for _, _, one in verdicts}
        }
        rows = [
            (verifier[v.verifier, v.version], run, problem, index, v.outcome, float(v.score), _plain_text(v.extracted),
             v.path, _plain_text(v.reason), batch)
            for problem, index, v in verdicts
        ]  # fmt: skip
        return sorted(rows, key=_key)

    def _verifier(self, name: str, version: str) -> int:
        """Id of a verifier's version, which is added if it is not there."""
        query = "SELECT id FROM verifiers WHERE name = ? AND version = ?"
        row = self.connection.execute(query, (name, version)).fetchone()
        if row is not None:
            return row[0]
        insert = "INSERT INTO verifiers (name, version, used) SELECT ?, ?, coalesce(max(used), 0) + 1 FROM verifiers"
        added = self.connection.execute(insert, (name, version)).lastrowid
        seal(self.connection, "verifiers")
        assert added is not None
        return added

    def _insert(self, batch: int, samples: Sequence[tuple[Any, ...]], verdicts: Sequence[tuple[Any, ...]]) -> None:
        """Insert the rows of a commit with their checksums."""
        marks = ", ".join("?" * (NUM_FACTS + 1))
        self.connection.executemany(
            f"INSERT INTO samples ({FACTS['samples']}, batch, text, reasoning) VALUES ({marks}, ?, ?)", samples
        )
        self.connection.executemany(f"INSERT INTO verdicts VALUES ({marks})", verdicts)
        add_batch(self.connection, batch, samples, verdicts)

    # --- internals

    def unpack(self, text: bytes | None, dictionary: int | None) -> str:
        """Decompress a text or a reasoning of the samples table; null is empty. Raises InputError for a damaged one."""
        return "" if text is None else self._texts.unpack(text, dictionary)

    def _id(self, table: str, name: str) -> int:
        row = self.connection.execute(f"SELECT id FROM {table} WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise InputError(f"{self.path} has no {table[:-1]} {shorten(name)}: `begin` adds it")
        return row[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all of the block or nothing.

        Raises WorkError where the disk fails, and the store is then unchanged; and where somebody has removed the file
        meanwhile, to which the system lets a process write all the same.
        """
        if not self._write:
            raise WorkError(f"{self.path} was opened to be read: it is readonly")
        with self._mutex:
            try:
                with sqlite_errors(self.path):
                    self.connection.execute("BEGIN IMMEDIATE")
                    yield self.connection
                    self.connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                self._texts.forget()
                raise
            self.check_place()

    def check_place(self) -> None:
        """Raises WorkError unless the store that was opened is still at its path, with its log."""
        files = file_identities(self.path)
        if files[0] != self._files[0] or (self._files[1] is not None and files[1] != self._files[1]):
            raise WorkError(
                f"{self.path} was removed or replaced while it was written: what was added to it since is lost. Put it "
                "back and run the same command again"
            )
        self._files = files

    def _lock(self) -> None:
        """Lock the file until it is closed or the process ends, however it ends."""
        with needs_extra("sample", "a store of samples"):
            from filelock import FileLock, Timeout
        lock = self.path.with_name(f"{self.path.name}.lock")
        with file_errors("write", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock_stack.enter_context(FileLock(lock, timeout=0))
            except Timeout as error:
                raise WorkError(
                    f"another process is writing to {self.path}: wait until it ends, or choose another --out"
                ) from error


def _plain_text(text: str | None) -> str | None:
    """Replace half a surrogate pair, which SQLite does not take as text, by its escape."""
    return text if text is None or text.isascii() else to_text(text)


def _compared(identity: Mapping[str, Fact]) -> dict[str, Fact]:
    """Drop the name of a model with a hash: its folder may have moved."""
    hashed = identity.get("model_hash") is not None
    return {name: value for name, value in identity.items() if name != "model" or not hashed}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """List every difference, with both values."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(f"{name} was {shorten(before.get(name))}, is now {shorten(now.get(name))}" for name in names)
