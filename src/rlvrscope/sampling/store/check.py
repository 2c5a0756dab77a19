"""Integrity check and statistics of a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from rlvrscope.engines.engine import TRUNCATED
from rlvrscope.errors import InputError
from rlvrscope.problem import OUTCOMES
from rlvrscope.sampling.rates import Rates
from rlvrscope.sampling.store.integrity import verify_rows
from rlvrscope.sampling.store.sample_store import CURRENT_VERIFIER, IMPORTED, SampleStore
from rlvrscope.sampling.store.store_file import format_version, sqlite_errors
from rlvrscope.scoring import Fact

ORPHANS = {
    "samples of no run or problem": "SELECT count(*) FROM samples WHERE run NOT IN (SELECT id FROM runs) "
    "OR problem NOT IN (SELECT id FROM problems)",
    "verdicts on no sample": "SELECT count(*) FROM verdicts v LEFT JOIN samples s ON s.run = v.run "
    "AND s.problem = v.problem AND s.number = v.number WHERE s.run IS NULL",
}
"""SQL queries for rows whose parents are missing."""
_GROUPS = f"""
SELECT s.finish, coalesce(v.outcome, ''), s.note, count(*)
FROM runs r, problems p JOIN samples s ON s.run = r.id AND s.problem = p.id
LEFT JOIN verdicts v ON v.verifier = {CURRENT_VERIFIER} AND v.run = r.id AND v.problem = p.id
    AND v.number = s.number
WHERE r.name = ? GROUP BY 1, 2, 3
"""


_VERSIONS = """
SELECT k.name || ' ' || k.version, v.outcome, count(*)
FROM runs r JOIN verdicts v ON v.run = r.id JOIN verifiers k ON k.id = v.verifier
WHERE r.name = ? GROUP BY 1, 2
"""


@dataclass(frozen=True)
class RunStats:
    """Statistics of a run. samples_per_problem: fewest and most; notes: samples by their note; without_tokens: samples
    whose length the engine did not report.

    truncated_outcomes: outcomes of the samples that the token limit cut off; "": without a verdict. by_version:
    outcomes by verifier and version, also of versions used before; `outcomes` are those of the current ones.
    """

    identity: Mapping[str, Fact]
    problems: int
    samples: int
    samples_per_problem: tuple[int, int]
    tokens: int
    without_tokens: int
    text_bytes: int
    notes: Mapping[str, int]
    finish: Mapping[str, int]
    outcomes: Mapping[str, int]
    truncated_outcomes: Mapping[str, int]
    without_verdict: int
    by_version: Mapping[str, Mapping[str, int]]

    @property
    def lacking(self) -> int:
        """Samples that an interrupted import has not added yet."""
        return not_imported(self.identity, self.samples)

    @property
    def rates(self) -> Rates:
        return Rates.of({**self.outcomes, "": self.without_verdict}, self.truncated_outcomes)


def not_imported(identity: Mapping[str, Fact], stored: int) -> int:
    """Return how many samples an imported run lacks; 0 for a run that was sampled."""
    samples = identity.get("samples") if identity.get("engine") == IMPORTED else None
    return samples - stored if isinstance(samples, int) else 0


def check(store: SampleStore) -> int:
    """Verify every page, row and text; return the number of samples. Raises InputError with the defect."""
    verify_rows(store.connection, store.path, format_version(store.connection, store.path))
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
    sums = f"""
    SELECT coalesce(sum(s.tokens), 0), coalesce(sum(s.tokens IS NULL), 0),
        coalesce(sum(length(s.text) + coalesce(length({store.reasoning}), 0)), 0)
    FROM runs r JOIN samples s ON s.run = r.id WHERE r.name = ?
    """  # a query without groups, since SQLite copies the texts of rows that it groups
    with sqlite_errors(store.path):
        rows = store.connection.execute(_GROUPS, (run,)).fetchall()
        versions = store.connection.execute(_VERSIONS, (run,)).fetchall()
        tokens, without_tokens, text_bytes = store.connection.execute(sums, (run,)).fetchone()
    finish: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    truncated: Counter[str] = Counter()
    for ended, outcome, note, count in rows:
        finish[ended] += count
        outcomes[outcome] += count
        notes[note] += count
        truncated[outcome] += count * (ended == TRUNCATED)
    sizes = [counts.total() for counts in store.counts(run).values()]
    return RunStats(
        identity=identity,
        problems=len(sizes),
        samples=sum(sizes),
        samples_per_problem=(min(sizes, default=0), max(sizes, default=0)),
        tokens=tokens,
        without_tokens=without_tokens,
        text_bytes=text_bytes,
        notes={note: count for note, count in notes.most_common() if note},
        finish=dict(finish.most_common()),
        outcomes={outcome: outcomes[outcome] for outcome in OUTCOMES},
        truncated_outcomes=dict(+truncated),
        without_verdict=outcomes[""],
        by_version={
            version: {outcome: count for other, outcome, count in versions if other == version}
            for version, _, _ in versions
        },
    )
