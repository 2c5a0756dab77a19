"""SampleStore: samples and verdicts in one SQLite file that survives kills, loss of power and a full disk."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rlvrscope.engines.engine import Completion, Fact
from rlvrscope.errors import InputError, WorkError, file_errors
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem, Verdict
from rlvrscope.sampling.store.store_file import (
    connect_to_read,
    connect_to_write,
    create,
    examine,
    refuse_network,
    sqlite_errors,
    store_path,
)
from rlvrscope.sampling.store.texts import Texts
from rlvrscope.tables.values import shorten, to_text

RUN = "samples"
"""The name of a store's run unless another is given."""
BATCH = 256
"""Samples a commit."""
IN_USE = "(SELECT w.id FROM verifiers w WHERE w.name = p.verifier ORDER BY w.used DESC LIMIT 1)"
"""SQL: the version of its verifier whose verdicts on problem p are read."""


@dataclass(frozen=True)
class Sample:
    """A filled cell of a run: which sample of which problem, the seed it was drawn with, and what was said."""

    problem: str
    index: int
    seed: int
    completion: Completion


class SampleStore:
    """One file of samples; a context manager. One process writes at a time, any number read.

    Of one process' threads, one may add while another asks what is `done`.

    path: the file, or a folder with samples.sqlite in it; made if it is not there. write: False opens it to read only,
    and `examined` without looking for damage again.
    Raises InputError for a damaged, foreign or newer file and on a network file system, which are left as they are;
    WorkError where another process writes to it, and for what the disk refuses; MissingExtraError without zstandard.
    """

    def __init__(self, path: Path | str, *, write: bool = True, examined: bool = False) -> None:
        self.path = store_path(path)
        self._locked = contextlib.ExitStack()
        self._turn = threading.RLock()
        if write:
            refuse_network(self.path)
            self._lock()
        try:
            if write and not self.path.exists():
                create(self.path)
            if not examined:
                examine(self.path)
            self.connection = (connect_to_write if write else connect_to_read)(self.path)
            self._texts = Texts(self.connection, self.path)
        except BaseException:
            self._locked.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        with self._turn, contextlib.suppress(sqlite3.Error):  # what was committed is safe, whatever closing meets
            self.connection.close()
        self._locked.close()

    # --- runs and problems

    def runs(self) -> dict[str, dict[str, Fact]]:
        """The identity of every run, by name, in the order they were begun."""
        with sqlite_errors(self.path):
            rows = self.connection.execute("SELECT name, identity FROM runs ORDER BY id").fetchall()
        return {name: json.loads(identity) for name, identity in rows}

    def begin(self, run: str, identity: Mapping[str, Fact], problems: Sequence[Problem]) -> None:
        """Add a run and its problems, or find them there. Raises InputError where it would mix two populations."""
        self.check_identity(run, identity, problems)
        known, held = self.runs(), self._contents()
        told = _plain(identity)
        new = [(problem.id, problem.verifier, _content(problem)) for problem in problems if problem.id not in held]
        with self._transaction() as connection:
            if run not in known:
                connection.execute("INSERT INTO runs (name, identity) VALUES (?, ?)", (run, told))
            elif self._is_empty(run):
                connection.execute("UPDATE runs SET identity = ? WHERE name = ?", (told, run))
            connection.executemany("INSERT INTO problems (name, verifier, content) VALUES (?, ?, ?)", new)

    def check_identity(self, run: str, identity: Mapping[str, Fact], problems: Sequence[Problem]) -> None:
        """Raises InputError, with the differences, for a run of another population and for another problem's id."""
        known = self.runs().get(run)
        if known is not None and _told_by(known) != _told_by(identity) and not self._is_empty(run):
            gap = _gap(_told_by(known), _told_by(identity))
            raise InputError(f"{self.path}: run {run!r} holds samples of another population: {gap}")
        held = self._contents()
        for problem in problems:
            there, here = held.get(problem.id), _content(problem)
            if there is not None and there != here:
                gap = _gap(json.loads(there), json.loads(here))
                raise InputError(f"{self.path}: problem {shorten(problem.id)} is another one there: {gap}")

    def _is_empty(self, run: str) -> bool:
        """Of a run that has no sample yet the population may still change: nothing is mixed."""
        query = "SELECT 1 FROM samples WHERE run = (SELECT id FROM runs WHERE name = ?) LIMIT 1"
        with sqlite_errors(self.path):
            return self.connection.execute(query, (run,)).fetchone() is None

    def problems(self) -> dict[str, Problem]:
        """Every problem, by id, in the order they came."""
        return {name: Problem(id=name, **json.loads(content)) for name, content in self._contents().items()}

    def _contents(self) -> dict[str, str]:
        with sqlite_errors(self.path):
            return dict(self.connection.execute("SELECT name, content FROM problems ORDER BY id"))

    # --- samples

    def existing(self, run: str, problem: str, indices: range = range(1 << 62)) -> set[int]:
        """Which of these indices are filled."""
        query = (
            "SELECT number FROM samples WHERE run = (SELECT id FROM runs WHERE name = ?) "
            "AND problem = (SELECT id FROM problems WHERE name = ?) AND number >= ? AND number < ?"
        )
        with self._turn, sqlite_errors(self.path):
            rows = self.connection.execute(query, (run, problem, indices.start, indices.stop))
            return {number for (number,) in rows}

    def add(self, run: str, samples: Sequence[Sample], verdicts: Sequence[Verdict] = ()) -> int:
        """Add samples, and a verdict on each if they are given, in one commit; how many were new.

        A cell that is filled already stays as it is.
        """
        with self._transaction() as connection:
            run_id = self._id("runs", run)
            ids = {name: self._id("problems", name) for name in {sample.problem for sample in samples}}
            places = self._new(run, samples)
            new = [samples[place] for place in places]
            packed = self._texts.pack([sample.completion.text for sample in new]) if new else []
            connection.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (run_id, ids[sample.problem], sample.index, *text, *_facts(sample))
                    for sample, text in zip(new, packed, strict=True)
                ],
            )
            if verdicts:
                self._insert_verdicts(
                    run_id, [(ids[samples[at].problem], samples[at].index, verdicts[at]) for at in places]
                )
        return len(new)

    def _new(self, run: str, samples: Sequence[Sample]) -> list[int]:
        """The places of samples whose cell is not filled, the first of each cell."""
        place_of = {(sample.problem, sample.index): place for place, sample in reversed(list(enumerate(samples)))}
        spans: dict[str, list[int]] = {}
        for problem, index in place_of:
            spans.setdefault(problem, []).append(index)
        for problem, span in spans.items():
            for index in self.existing(run, problem, range(min(span), max(span) + 1)):
                place_of.pop((problem, index), None)
        return sorted(place_of.values())

    def samples(self, run: str, problem: str | None = None, indices: range = range(1 << 62)) -> Iterator[Sample]:
        """The samples of a run (of one problem), problem by problem, read as they are asked for."""
        query = (
            "SELECT p.name, s.number, s.seed, s.text, s.dictionary, s.tokens, s.finish, s.logp, s.note "
            "FROM samples s JOIN problems p ON p.id = s.problem "
            "WHERE s.run = (SELECT id FROM runs WHERE name = ?1) AND (?2 IS NULL OR p.name = ?2) "
            "AND s.number >= ?3 AND s.number < ?4 ORDER BY s.problem, s.number"
        )
        with sqlite_errors(self.path):
            for name, index, seed, text, dictionary, *facts in self.connection.execute(
                query, (run, problem, indices.start, indices.stop)
            ):
                yield Sample(name, index, seed, Completion(self._texts.unpack(text, dictionary), *facts))

    # --- verdicts

    def use_verifier(self, name: str, version: str) -> None:
        """From now on this version's verdicts are those that are read; other versions' stay."""
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

    def unverified(self, run: str, problem: str) -> list[int]:
        """The indices of samples without a verdict by the version in use."""
        query = (
            f"SELECT s.number FROM runs r, problems p JOIN samples s ON s.run = r.id AND s.problem = p.id "
            f"LEFT JOIN verdicts v ON v.verifier = {IN_USE} AND v.run = r.id AND v.problem = p.id "
            "AND v.number = s.number WHERE r.name = ? AND p.name = ? AND v.number IS NULL ORDER BY s.number"
        )
        with sqlite_errors(self.path):
            return [number for (number,) in self.connection.execute(query, (run, problem))]

    def counts(self, run: str) -> dict[str, Counter[str]]:
        """By problem, how many samples had each outcome by the version in use; "" where there is no verdict."""
        query = (
            f"SELECT p.name, v.outcome, count(*) FROM runs r, problems p "
            f"JOIN verdicts v ON v.verifier = {IN_USE} AND v.run = r.id AND v.problem = p.id "
            "WHERE r.name = ? GROUP BY p.id, v.outcome ORDER BY p.id"
        )
        totals = (
            "SELECT p.name, count(*) FROM runs r JOIN samples s ON s.run = r.id JOIN problems p ON p.id = s.problem "
            "WHERE r.name = ? GROUP BY p.id ORDER BY p.id"
        )
        with sqlite_errors(self.path):
            found = {name: Counter({"": count}) for name, count in self.connection.execute(totals, (run,))}
            for name, outcome, count in self.connection.execute(query, (run,)):
                found[name][outcome] += count
                found[name][""] -= count
        return {name: +counter for name, counter in found.items()}

    def add_verdicts(self, run: str, cells: Sequence[tuple[str, int, Verdict]]) -> None:
        """Add verdicts on (problem, index) in one commit; one that is there by the same version stays."""
        with self._transaction():
            ids = {name: self._id("problems", name) for name in {name for name, _, _ in cells}}
            self._insert_verdicts(
                self._id("runs", run), [(ids[name], index, verdict) for name, index, verdict in cells]
            )

    def _insert_verdicts(self, run: int, cells: Sequence[tuple[int, int, Verdict]]) -> None:
        by_version = {(verdict.verifier, verdict.version) for _, _, verdict in cells}
        verifier: dict[tuple[str, str], int] = {}
        for name, version in by_version:
            insert = (
                "INSERT OR IGNORE INTO verifiers (name, version, used) "
                "SELECT ?, ?, coalesce(max(used), 0) + 1 FROM verifiers"
            )
            self.connection.execute(insert, (name, version))
            query = "SELECT id FROM verifiers WHERE name = ? AND version = ?"
            verifier[name, version] = self.connection.execute(query, (name, version)).fetchone()[0]
        self.connection.executemany(
            "INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (verifier[v.verifier, v.version], run, problem, index, v.outcome, v.score, _plain_text(v.extracted),
                 v.path, _plain_text(v.reason))
                for problem, index, v in cells
            ],
        )  # fmt: skip

    # --- underneath

    def unpack(self, text: bytes, dictionary: int | None) -> str:
        """A text as it lies in the table. Raises InputError for a damaged one."""
        return self._texts.unpack(text, dictionary)

    def _id(self, table: str, name: str) -> int:
        row = self.connection.execute(f"SELECT id FROM {table} WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise InputError(f"{self.path} has no {table[:-1]} {shorten(name)}: `begin` adds it")
        return row[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. Raises WorkError where the disk refuses; the store is then as it was."""
        with self._turn:
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

    def _lock(self) -> None:
        """Held until the process ends, however it ends."""
        with needs_extra("sample", "a store of samples"):
            from filelock import FileLock, Timeout
        lock = self.path.with_name(f"{self.path.name}.lock")
        with file_errors("write", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._locked.enter_context(FileLock(lock, timeout=0))
            except Timeout as error:
                raise WorkError(
                    f"another process is writing to {self.path}: wait until it ends, or choose another --out"
                ) from error


def _content(problem: Problem) -> str:
    fields = {name: getattr(problem, name) for name in ("prompt", "answer", "verifier", "cluster")}
    return _plain(fields | {"metadata": dict(problem.metadata)})


def _plain(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True)


def _facts(sample: Sample) -> tuple[Any, ...]:
    said = sample.completion
    return said.tokens, said.logp, said.finish, sample.seed, said.note


def _plain_text(text: str | None) -> str | None:
    """What SQLite takes as text: half a surrogate pair becomes a question mark."""
    return text if text is None or text.isascii() else to_text(text)


def _told_by(identity: Mapping[str, Fact]) -> dict[str, Fact]:
    """A model with a hash may be called otherwise: it may have moved."""
    hashed = identity.get("model_hash") is not None
    return {name: value for name, value in identity.items() if name != "model" or not hashed}


def _gap(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Every difference, with both values."""
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return "; ".join(f"{name} is {shorten(there.get(name))} there, {shorten(here.get(name))} here" for name in names)
