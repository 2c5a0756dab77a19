"""SampleStore: samples and verdicts in one SQLite file that survives kills, power cuts and a full disk."""

from __future__ import annotations

import contextlib
import itertools
import json
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
from rlvrscope.sampling.store.store_file import (
    connect_to_read,
    connect_to_write,
    create,
    examine,
    format_version,
    refuse_network,
    sqlite_errors,
    store_path,
    upgrade,
)
from rlvrscope.sampling.store.texts import Texts
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

    path: the file, or a folder for samples.sqlite; created if missing. write: False opens it read-only; a store of an
    earlier format is upgraded when it is opened to write, and only read otherwise. examined: skip the check for damage.
    reasoning: SQL of a sample's packed reasoning, which the first format did not keep.

    Raises InputError for a damaged, foreign or newer file and on a network file system, and changes nothing; WorkError
    where another process is writing or the disk fails; MissingExtraError without zstandard.
    """

    def __init__(self, path: Path | str, *, write: bool = True, examined: bool = False) -> None:
        self.path = store_path(path)
        self._lock_stack = contextlib.ExitStack()
        self._mutex = threading.RLock()
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
            if write:
                upgrade(self.connection, self.path)
            self.reasoning = "s.reasoning" if format_version(self.connection, self.path) > 1 else "NULL"
        except BaseException:
            self._lock_stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        with self._mutex, contextlib.suppress(sqlite3.Error):  # every commit is safe already
            self.connection.close()
        self._lock_stack.close()

    # --- runs and problems

    def runs(self) -> dict[str, dict[str, Fact]]:
        """Return the identity of every run, by name, in the order they were begun."""
        with sqlite_errors(self.path):
            rows = self.connection.execute("SELECT name, identity FROM runs ORDER BY id").fetchall()
        return {name: json.loads(identity) for name, identity in rows}

    def begin(self, run: str, identity: Mapping[str, Fact], problems: Sequence[Problem]) -> None:
        """Add a run and its problems unless they exist. Raises InputError as `check_identity` does."""
        self.check_identity(run, identity, problems)
        runs, stored = self.runs(), self._contents()
        facts = _json(identity)
        new = [(problem.id, problem.verifier, _content(problem)) for problem in problems if problem.id not in stored]
        with self._transaction() as connection:
            if run not in runs:
                connection.execute("INSERT INTO runs (name, identity) VALUES (?, ?)", (run, facts))
            elif self._is_empty(run):
                connection.execute("UPDATE runs SET identity = ? WHERE name = ?", (facts, run))
            connection.executemany("INSERT INTO problems (name, verifier, content) VALUES (?, ?, ?)", new)

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
            before, now = contents.get(problem.id), _content(problem)
            if before is not None and before != now:
                changes = _changes(json.loads(before), json.loads(now))
                raise InputError(f"{self.path}: problem {shorten(problem.id)} has changed: {changes}")

    def _is_empty(self, run: str) -> bool:
        query = "SELECT 1 FROM samples WHERE run = (SELECT id FROM runs WHERE name = ?) LIMIT 1"
        with sqlite_errors(self.path):
            return self.connection.execute(query, (run,)).fetchone() is None

    def problems(self) -> dict[str, Problem]:
        """Return every problem, by id, in the order they were added."""
        return {name: Problem(id=name, **json.loads(content)) for name, content in self._contents().items()}

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
            texts, reasonings = self._pack([sample.completion for sample in new])
            connection.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (run_id, ids[sample.problem], sample.index, *text, *_facts(sample), reasoning)
                    for sample, text, reasoning in zip(new, texts, reasonings, strict=True)
                ],
            )
            if verdicts:
                self._insert_verdicts(
                    run_id, [(ids[samples[at].problem], samples[at].index, verdicts[at]) for at in places]
                )
        return len(new)

    def _new(self, run: str, samples: Sequence[Sample]) -> list[int]:
        """Return the places of samples that the store lacks, the first of each (problem, index)."""
        place_of = {(sample.problem, sample.index): place for place, sample in reversed(list(enumerate(samples)))}
        spans: dict[str, list[int]] = {}
        for problem, index in place_of:
            spans.setdefault(problem, []).append(index)
        for problem, span in spans.items():
            for index in self.existing(run, problem, range(min(span), max(span) + 1)):
                place_of.pop((problem, index), None)
        return sorted(place_of.values())

    def _pack(self, completions: Sequence[Completion]) -> tuple[list[tuple[bytes, int | None]], list[bytes | None]]:
        """Return the packed texts, and the packed reasoning where there is any, with the same dictionary."""
        if not completions:
            return [], []
        reasonings = [completion.reasoning for completion in completions if completion.reasoning]
        packed = iter(self._texts.pack([completion.text for completion in completions] + reasonings))
        texts = list(itertools.islice(packed, len(completions)))
        return texts, [next(packed)[0] if completion.reasoning else None for completion in completions]

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
                counts[name][outcome] += count
                counts[name][""] -= count
        return {name: +counter for name, counter in counts.items()}

    def add_verdicts(self, run: str, verdicts: Sequence[tuple[str, int, Verdict]]) -> None:
        """Add (problem, index, verdict) in one commit; an existing verdict by the same version is kept."""
        with self._transaction():
            ids = {name: self._id("problems", name) for name in {name for name, _, _ in verdicts}}
            self._insert_verdicts(
                self._id("runs", run), [(ids[name], index, verdict) for name, index, verdict in verdicts]
            )

    def _insert_verdicts(self, run: int, verdicts: Sequence[tuple[int, int, Verdict]]) -> None:
        by_version = {(verdict.verifier, verdict.version) for _, _, verdict in verdicts}
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
                for problem, index, v in verdicts
            ],
        )  # fmt: skip

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
        """Commit all of the block or nothing. Raises WorkError where the disk fails; the store is then unchanged."""
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


def _content(problem: Problem) -> str:
    fields = {name: getattr(problem, name) for name in ("prompt", "answer", "verifier", "cluster")}
    return _json(fields | {"metadata": dict(problem.metadata)})


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True)


def _facts(sample: Sample) -> tuple[Any, ...]:
    completion = sample.completion
    return completion.tokens, completion.logp, completion.finish, sample.seed, completion.note


def _plain_text(text: str | None) -> str | None:
    """Replace half a surrogate pair, which SQLite does not take as text, by a question mark."""
    return text if text is None or text.isascii() else to_text(text)


def _compared(identity: Mapping[str, Fact]) -> dict[str, Fact]:
    """Drop the name of a model with a hash: its folder may have moved."""
    hashed = identity.get("model_hash") is not None
    return {name: value for name, value in identity.items() if name != "model" or not hashed}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """List every difference, with both values."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(f"{name} was {shorten(before.get(name))}, is now {shorten(now.get(name))}" for name in names)
