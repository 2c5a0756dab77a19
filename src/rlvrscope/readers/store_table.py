"""A sample store as a table with one row per sample, so that readers of tables read stores too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlvrscope.errors import InputError
from rlvrscope.sampling.store.sample_store import CURRENT_VERIFIER, SampleStore
from rlvrscope.sampling.store.store_file import sqlite_errors
from rlvrscope.tables.table import BATCH_ROWS, Batch, Column

_QUERY = """
SELECT p.name, v.outcome, v.score, v.extracted, s.number {more}
FROM problems p JOIN samples s ON s.run = ?1 AND s.problem = p.id
LEFT JOIN verdicts v ON v.verifier = {verifier} AND v.run = s.run AND v.problem = s.problem AND v.number = s.number
ORDER BY p.id, s.number
"""
_TEXT = ", s.text, s.dictionary"
Row = tuple[Any, ...]
"""A row of the query."""


class StoredRun(NamedTuple):
    """A run of a store, with its number of samples."""

    id: int
    name: str
    samples: int


@dataclass(frozen=True)
class StoreTable:
    """Columns problem, correct, score, outcome, answer (extracted), index and text, with the current verdicts.

    model: the run, where there are several; cluster: where problems have one. A part is a run.
    """

    path: Path
    names: Sequence[str]
    parts: Sequence[int]
    runs: Sequence[StoredRun]
    clusters: dict[str, str]
    numeric: Sequence[str] = ("correct", "score")
    columnar: bool = True
    row: str = "sample"

    @classmethod
    def open(cls, path: Path) -> StoreTable:
        """Raises InputError for a damaged, foreign or newer file, and for one without samples."""
        with SampleStore(path, write=False) as store:
            with sqlite_errors(path):
                query = "SELECT id, name, (SELECT count(*) FROM samples WHERE run = runs.id) FROM runs ORDER BY id"
                runs = [run for run in map(StoredRun._make, store.connection.execute(query)) if run.samples]
            problems = store.problems()
        if not runs:
            raise InputError(f"{path} holds no samples yet")
        clustered = any(problem.cluster is not None for problem in problems.values())
        clusters = {name: problem.cluster or name for name, problem in problems.items()} if clustered else {}
        names = ["problem", "correct", "score", "outcome", "answer", "index", "text"]
        names += ["model"] * (len(runs) > 1) + ["cluster"] * clustered
        return cls(path, names, range(len(runs)), runs, clusters)

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        """Raises InputError for samples without a verdict by the current version."""
        query = _QUERY.format(more=_TEXT if "text" in columns else "", verifier=CURRENT_VERIFIER)
        with SampleStore(self.path, write=False, examined=True) as store, sqlite_errors(self.path):
            for part in self.parts if parts is None else parts:
                first = 1 + sum(run.samples for run in self.runs[:part])
                cursor = store.connection.execute(query, (self.runs[part].id,))
                while batch := cursor.fetchmany(rows):
                    self._check(batch)
                    values = self._columns(batch, self.runs[part].name, store.unpack)
                    coded = {column: Column.of(values[column]()) for column in columns}
                    yield Batch(np.arange(first, first + len(batch)), coded)
                    first += len(batch)

    def _check(self, rows: Sequence[Row]) -> None:
        unverified = next((row[0] for row in rows if row[1] is None), None)
        if unverified is not None:
            raise InputError(
                f"{self.path}: samples of problem {unverified!r} have no verdict by the current version: "
                f"run `rlvrscope verify {self.path}`"
            )

    def _columns(
        self, rows: Sequence[Row], run: str, unpack: Callable[[bytes, int | None], str]
    ) -> dict[str, Callable[[], list[Any]]]:
        return {
            "problem": lambda: [row[0] for row in rows],
            "correct": lambda: [row[1] == "correct" for row in rows],
            "outcome": lambda: [row[1] for row in rows],
            "score": lambda: [row[2] for row in rows],
            "answer": lambda: [row[3] for row in rows],
            "index": lambda: [row[4] for row in rows],
            "text": lambda: [unpack(row[5], row[6]) for row in rows],
            "model": lambda: [run] * len(rows),
            "cluster": lambda: [self.clusters[row[0]] for row in rows],
        }
