"""A sample store as a table with one row per sample, so that readers of tables read stores too."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems.problem_files import FACTS
from rlvrscope.sampling.store.check import not_imported
from rlvrscope.sampling.store.sample_store import CURRENT_VERIFIER, IMPORTED, RUN, SampleStore
from rlvrscope.sampling.store.store_file import sqlite_errors
from rlvrscope.scoring import Fact
from rlvrscope.tables.table import BATCH_ROWS, MAX_BATCH_CHARACTERS, Batch, Column, Numbered, take_rows

_QUERY = """
SELECT p.name, v.outcome, v.score, v.extracted, s.number {facts} {texts}
FROM problems p JOIN samples s ON s.run = ?1 AND s.problem = p.id
LEFT JOIN verdicts v ON v.verifier = {verifier} AND v.run = s.run AND v.problem = s.problem AND v.number = s.number
ORDER BY p.id, s.number
"""
FACT_COLUMNS, TEXT_COLUMNS = ("finish", "tokens"), ("text", "reasoning")
"""Columns that are read on request only, since they are not in the store's indexes."""
ENGINES_WITH_SEEDS = ("lab", "transformers")
"""Engines that draw here, by the seed of each sample; a server may ignore it."""
Row = tuple[Any, ...]
"""A row of the query."""


class StoredRun(NamedTuple):
    """A run of a store, with its number of samples."""

    id: int
    name: str
    samples: int


@dataclass(frozen=True)
class StoreTable:
    """Columns problem, correct, score, outcome, answer (extracted), index, finish, tokens, text and reasoning, with the
    current verdicts.

    model, step, base, seed: as the imported files have them; model is the run where runs were sampled and there are
    several. cluster, level and other facts: where problems have them. A part is a run. by_problem, by_run: the values
    of these columns. own_seeds: every sample was drawn here with a seed of its own. notes: a line for each run whose
    import was interrupted.
    """

    path: Path
    names: Sequence[str]
    parts: Sequence[int]
    runs: Sequence[StoredRun]
    by_problem: Mapping[str, Mapping[str, Any]]
    by_run: Mapping[str, Mapping[str, Any]]
    own_seeds: bool
    store: SampleStore = field(repr=False)
    """Open for as long as the table is used, so that all readings are of one state."""
    notes: Sequence[str] = ()
    numeric: Sequence[str] = ("correct", "score", "tokens")
    columnar: bool = True
    row: str = "sample"

    @classmethod
    def open(cls, path: Path) -> StoreTable:
        """Raises InputError for a damaged, foreign or newer file, and for one without samples."""
        store = SampleStore(path, write=False)
        with sqlite_errors(path):
            query = "SELECT id, name, (SELECT count(*) FROM samples WHERE run = runs.id) FROM runs ORDER BY id"
            runs = [run for run in map(StoredRun._make, store.connection.execute(query)) if run.samples]
        problems, identities = store.problems(), store.runs()
        if not runs:
            raise InputError(f"{path} holds no samples yet")
        names = ["problem", "correct", "score", "outcome", "answer", "index", *FACT_COLUMNS, *TEXT_COLUMNS]
        by_problem, by_run = _by_problem(problems.values()), _by_run({run.name: identities[run.name] for run in runs})
        names += [*by_run, *by_problem]
        own_seeds = all(identities[run.name].get("engine") in ENGINES_WITH_SEEDS for run in runs)
        lacking = {run.name: not_imported(identities[run.name], run.samples) for run in runs}
        notes = [
            f"run {name}: its import is not complete, {n:,} samples are missing" for name, n in lacking.items() if n
        ]
        table = cls(path, names, range(len(runs)), runs, by_problem, by_run, own_seeds, store, notes)
        weakref.finalize(table, store.close)
        return table

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        """Raises InputError for samples without a verdict by the current version."""
        facts = ", s.finish, s.tokens" if set(FACT_COLUMNS) & set(columns) else ", NULL, NULL"
        texts = set(TEXT_COLUMNS) & set(columns)
        more = f", s.dictionary, s.text, {self.store.reasoning}" if texts else ""
        query = _QUERY.format(facts=facts, texts=more, verifier=CURRENT_VERIFIER)
        with sqlite_errors(self.path):
            for part in self.parts if parts is None else parts:
                first = 1 + sum(run.samples for run in self.runs[:part])
                cursor = self.store.connection.execute(query, (self.runs[part].id,))
                numbered = enumerate(map(self._unpacked, cursor) if texts else cursor, first)
                while taken := take_rows(map(_with_size, numbered), rows, MAX_BATCH_CHARACTERS):
                    batch = [tuple(row) for _, row, _ in taken]
                    self._check(batch)
                    values = self._columns(batch, self.runs[part].name)
                    coded = {column: Column.of(values[column]()) for column in columns}
                    yield Batch(np.array([number for number, *_ in taken]), coded)

    def _unpacked(self, row: Row) -> Row:
        *facts, dictionary, text, reasoning = row
        return *facts, self.store.unpack(text, dictionary), self.store.unpack(reasoning, dictionary)

    def _check(self, rows: Sequence[Row]) -> None:
        unverified = next((row[0] for row in rows if row[1] is None), None)
        if unverified is not None:
            raise InputError(
                f"{self.path}: samples of problem {unverified!r} have no verdict by the current version: "
                f"run `rlvrscope verify {self.path}`"
            )

    def _columns(self, rows: Sequence[Row], run: str) -> dict[str, Callable[[], list[Any]]]:
        of_problems = {
            name: lambda values=values: [values[row[0]] for row in rows] for name, values in self.by_problem.items()
        }
        of_run = {name: lambda values=values: [values[run]] * len(rows) for name, values in self.by_run.items()}
        return (
            of_problems
            | of_run
            | {
                "problem": lambda: [row[0] for row in rows],
                "correct": lambda: [row[1] == "correct" for row in rows],
                "outcome": lambda: [row[1] for row in rows],
                "score": lambda: [row[2] for row in rows],
                "answer": lambda: [row[3] for row in rows],
                "index": lambda: [row[4] for row in rows],
                "finish": lambda: [row[5] for row in rows],
                "tokens": lambda: [row[6] for row in rows],
                "text": lambda: [row[7] for row in rows],
                "reasoning": lambda: [row[8] for row in rows],
            }
        )


def _with_size(numbered: tuple[int, Row]) -> Numbered:
    """A row with its number and the length of its texts."""
    number, row = numbered
    return number, row, sum(map(len, row[7:]))


def _by_run(identities: Mapping[str, Mapping[str, Fact]]) -> dict[str, dict[str, Any]]:
    """Values of the columns that tell runs apart: the labels of imported files, or the names of the runs."""
    if any(identity.get("engine") != IMPORTED for identity in identities.values()):
        return {"model": {run: run for run in identities}} if len(identities) > 1 else {}
    labels = {
        name: {run: identity.get(name) for run, identity in identities.items()} for name in ("step", "base", "seed")
    }
    labels = {name: values for name, values in labels.items() if set(values.values()) != {None}}
    models = {run: identity.get("model") or RUN for run, identity in identities.items()}
    return labels | ({"model": models} if len(set(models.values())) > 1 else {})


def _by_problem(problems: Collection[Problem]) -> dict[str, dict[str, Any]]:
    """Values of the columns that some problems have: clusters, the problem itself without one, and facts."""
    columns: dict[str, dict[str, Any]] = {}
    if any(problem.cluster is not None for problem in problems):
        columns["cluster"] = {problem.id: problem.cluster or problem.id for problem in problems}
    for fact in FACTS:
        if any(fact in problem.metadata for problem in problems):
            columns[fact] = {problem.id: problem.metadata.get(fact) for problem in problems}
    return columns
