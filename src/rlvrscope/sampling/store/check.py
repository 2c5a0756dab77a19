"""Whether a store is whole, all of it, and what is in it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import OUTCOMES
from rlvrscope.sampling.store.sample_store import SampleStore
from rlvrscope.sampling.store.store_file import sqlite_errors

_LOST = {
    "samples of no run or problem": "SELECT count(*) FROM samples WHERE run NOT IN (SELECT id FROM runs) "
    "OR problem NOT IN (SELECT id FROM problems)",
    "verdicts on no sample": "SELECT count(*) FROM verdicts v LEFT JOIN samples s ON s.run = v.run "
    "AND s.problem = v.problem AND s.number = v.number WHERE s.run IS NULL",
}


def check(store: SampleStore) -> int:
    """Look at every page, row and text, whose checksums must hold; how many samples there are.

    Raises InputError with what is wrong.
    """
    with sqlite_errors(store.path):
        found = [row[0] for row in store.connection.execute("PRAGMA integrity_check(5)")]
    if found != ["ok"]:
        raise InputError(f"{store.path} is damaged: {'; '.join(found)[:300]}")
    for what, query in _LOST.items():
        with sqlite_errors(store.path):
            (lost,) = store.connection.execute(query).fetchone()
        if lost:
            raise InputError(f"{store.path} is damaged: it holds {lost} {what}")
    store.problems()
    return sum(1 for run in store.runs() for _ in store.samples(run))


def stats(store: SampleStore) -> dict[str, Any]:
    """Sizes, and of every run its identity, samples, tokens, endings and outcomes."""
    return {
        "format_version": 1,
        "file": str(store.path),
        "bytes": store.path.stat().st_size,
        "runs": {run: {"identity": identity, **_facts(store, run)} for run, identity in store.runs().items()},
    }


def _facts(store: SampleStore, run: str) -> dict[str, Any]:
    query = (
        "SELECT s.finish, count(*), coalesce(sum(s.tokens), 0), sum(length(s.text)), sum(s.note <> '') "
        "FROM runs r JOIN samples s ON s.run = r.id WHERE r.name = ? GROUP BY s.finish"
    )
    with sqlite_errors(store.path):
        rows = store.connection.execute(query, (run,)).fetchall()
    by_problem = store.counts(run)
    outcomes: Counter[str] = sum(by_problem.values(), Counter())
    sizes = [sum(counts.values()) for counts in by_problem.values()]
    samples = sum(sizes)
    return {
        "problems": len(by_problem),
        "samples": samples,
        "samples_of_a_problem": [min(sizes, default=0), max(sizes, default=0)],
        "tokens": sum(row[2] for row in rows),
        "text_bytes": sum(row[3] for row in rows),
        "noted": sum(row[4] for row in rows),
        "finish": {row[0]: row[1] for row in rows},
        "outcomes": {outcome: outcomes[outcome] for outcome in OUTCOMES},
        "without_verdict": outcomes[""],
        "rate": outcomes["correct"] / samples if samples else None,
    }
