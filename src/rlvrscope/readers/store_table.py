"""A store as a table of one row a sample: what reads tables of samples reads stores too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlvrscope.errors import InputError
from rlvrscope.sampling.store.sample_store import IN_USE, SampleStore
from rlvrscope.sampling.store.store_file import sqlite_errors
from rlvrscope.tables.table import BATCH_ROWS, Batch, Column

_QUERY = """
SELECT p.name, v.outcome, v.score, v.extracted, s.number {more}
FROM problems p JOIN samples s ON s.run = ?1 AND s.problem = p.id
LEFT JOIN verdicts v ON v.verifier = {in_use} AND v.run = s.run AND v.problem = s.problem AND v.number = s.number
ORDER BY p.id, s.number
"""
_TEXT = ", s.text, s.dictionary"
Row = tuple[Any, ...]


@dataclass(frozen=True)
class StoreTable:
    """Columns problem, correct, score, outcome, answer (as it was extracted), index and text; verdicts by the versions
    in use. model: the run, where there are several; cluster: where problems have one."""

    path: Path
    names: Sequence[str]
    parts: Sequence[int]
    runs: Sequence[tuple[int, str, int]]
    """(id, name, samples) of each."""
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
                runs = [run for run in store.connection.execute(query) if run[2]]
            known = store.problems()
        if not runs:
            raise InputError(f"{path} holds no samples yet")
        clustered = any(problem.cluster is not None for problem in known.values())
        clusters = {name: problem.cluster or name for name, problem in known.items()} if clustered else {}
        names = ["problem", "correct", "score", "outcome", "answer", "index", "text"]
        names += ["model"] * (len(runs) > 1) + ["cluster"] * clustered
        return cls(path, names, range(len(runs)), runs, clusters)

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        """Raises InputError for samples that no verdict in use is on."""
        with SampleStore(self.path, write=False, examined=True) as store, sqlite_errors(self.path):
            for part in self.parts if parts is None else parts:
                number, name, _ = self.runs[part]
                row = 1 + sum(count for _, _, count in self.runs[:part])
                query = _QUERY.format(more=_TEXT if "text" in columns else "", in_use=IN_USE)
                cursor = store.connection.execute(query, (number,))
                while found := cursor.fetchmany(rows):
                    self._check(found)
                    values = self._columns(found, name, store.unpack)
                    coded = {column: Column.of(values[column]()) for column in columns}
                    yield Batch(np.arange(row, row + len(found)), coded)
                    row += len(found)

    def _check(self, rows: Sequence[Row]) -> None:
        if any(row[1] is None for row in rows):
            raise InputError(
                f"{self.path}: samples of problem {next(row[0] for row in rows if row[1] is None)!r} have no verdict "
                f"by the version in use: run `rlvrscope verify {self.path}`"
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
