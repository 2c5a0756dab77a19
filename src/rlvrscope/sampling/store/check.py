"""Integrity check and statistics of a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from rlvrscope.engines.engine import Fact
from rlvrscope.errors import InputError
from rlvrscope.problem import OUTCOMES
from rlvrscope.sampling.store.sample_store import SampleStore
from rlvrscope.sampling.store.store_file import sqlite_errors

ORPHANS = {
    "samples of no run or problem": "SELECT count(*) FROM samples WHERE run NOT IN (SELECT id FROM runs) "
    "OR problem NOT IN (SELECT id FROM problems)",
    "verdicts on no sample": "SELECT count(*) FROM verdicts v LEFT JOIN samples s ON s.run = v.run "
    "AND s.problem = v.problem AND s.number = v.number WHERE s.run IS NULL",
}
"""SQL queries for rows whose parents are missing."""


@dataclass(frozen=True)
class RunStats:
    """Statistics of a run. samples_per_problem: fewest and most; rate: share of correct samples, None without any."""

    identity: Mapping[str, Fact]
    problems: int
    samples: int
    samples_per_problem: tuple[int, int]
    tokens: int
    text_bytes: int
    noted: int
    finish: Mapping[str, int]
    outcomes: Mapping[str, int]
    without_verdict: int
    rate: float | None


def check(store: SampleStore) -> int:
    """Verify every page, row and text checksum; return the number of samples. Raises InputError with the defect."""
    with sqlite_errors(store.path):
        defects = [row[0] for row in store.connection.execute("PRAGMA integrity_check(5)")]
    if defects != ["ok"]:
        raise InputError(f"{store.path} is damaged: {'; '.join(defects)[:300]}")
    for what, query in ORPHANS.items():
        with sqlite_errors(store.path):
            (count,) = store.connection.execute(query).fetchone()
        if count:
            raise InputError(f"{store.path} is damaged: it holds {count} {what}")
    store.problems()
    return sum(1 for run in store.runs() for _ in store.samples(run))


def stats(store: SampleStore) -> dict[str, RunStats]:
    """Return the statistics of every run, by name."""
    return {run: _run_stats(store, run, identity) for run, identity in store.runs().items()}


def _run_stats(store: SampleStore, run: str, identity: Mapping[str, Fact]) -> RunStats:
    query = (
        "SELECT s.finish, count(*), coalesce(sum(s.tokens), 0), sum(length(s.text)), sum(s.note <> '') "
        "FROM runs r JOIN samples s ON s.run = r.id WHERE r.name = ? GROUP BY s.finish"
    )
    with sqlite_errors(store.path):
        rows = store.connection.execute(query, (run,)).fetchall()
    by_problem = store.counts(run)
    outcomes: Counter[str] = sum(by_problem.values(), Counter())
    sizes = [counts.total() for counts in by_problem.values()]
    samples = sum(sizes)
    return RunStats(
        identity=identity,
        problems=len(by_problem),
        samples=samples,
        samples_per_problem=(min(sizes, default=0), max(sizes, default=0)),
        tokens=sum(row[2] for row in rows),
        text_bytes=sum(row[3] for row in rows),
        noted=sum(row[4] for row in rows),
        finish={row[0]: row[1] for row in rows},
        outcomes={outcome: outcomes[outcome] for outcome in OUTCOMES},
        without_verdict=outcomes[""],
        rate=outcomes["correct"] / samples if samples else None,
    )
