"""Export of a store to Parquet, for pandas, DuckDB, `datasets` and `rlvrscope boundary`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.runs import replacing
from rlvrscope.sampling.store.sample_store import CURRENT_VERIFIER, SampleStore
from rlvrscope.sampling.store.store_file import sqlite_errors
from rlvrscope.tables.values import to_text

GROUP_ROWS = 8_192
"""Rows of a row group, which is kept in memory."""
_COLUMNS = (
    "run", "problem", "index", "outcome", "score", "answer", "verifier", "version", "tokens", "logp", "finish",
    "sample_seed", "note",
)  # fmt: skip
"""Columns that are read unchanged, in the order of the query."""
_QUERY = f"""
SELECT r.name, p.name, s.number, v.outcome, v.score, v.extracted, w.name, w.version,
    s.tokens, s.logp, s.finish, s.seed, s.note, s.text, s.dictionary
FROM runs r JOIN samples s ON s.run = r.id JOIN problems p ON p.id = s.problem
LEFT JOIN verdicts v
    ON v.verifier = {CURRENT_VERIFIER} AND v.run = s.run AND v.problem = s.problem AND v.number = s.number
LEFT JOIN verifiers w ON w.id = v.verifier
ORDER BY r.id, p.id, s.number
"""


def export(store: SampleStore, path: Path) -> int:
    """Write every sample with its verdict by the current version, atomically; return the number of rows.

    Columns: run (`model` where there are several), problem, index, text, correct, score, outcome, answer (extracted),
    gold, cluster, verifier, version, tokens, logp, finish, sample_seed, note. Raises InputError for another suffix than
    .parquet; WorkError where the disk fails; MissingExtraError without pyarrow.
    """
    with needs_extra("parquet", "the export to Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    if path.suffix != ".parquet":
        raise InputError(f"samples are exported as .parquet; got {path}")
    problems = store.problems()
    kinds = {
        "model" if len(store.runs()) > 1 else "run": pa.string(), "problem": pa.string(), "index": pa.int64(),
        "text": pa.string(), "correct": pa.bool_(), "score": pa.float64(), "outcome": pa.string(),
        "answer": pa.string(), "gold": pa.string(), "cluster": pa.string(), "verifier": pa.string(),
        "version": pa.string(), "tokens": pa.int64(), "logp": pa.float64(), "finish": pa.string(),
        "sample_seed": pa.int64(), "note": pa.string(),
    }  # fmt: skip
    if not any(problem.cluster for problem in problems.values()):
        del kinds["cluster"]
    schema, count = pa.schema(list(kinds.items())), 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for rows in _row_groups(store, problems):
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def _row_groups(store: SampleStore, problems: Mapping[str, Problem]) -> Iterator[list[dict[str, Any]]]:
    with sqlite_errors(store.path):
        cursor = store.connection.execute(_QUERY)
        while rows := cursor.fetchmany(GROUP_ROWS):
            yield [_row(store, problems, *row) for row in rows]


def _row(store: SampleStore, problems: Mapping[str, Problem], *values: Any) -> dict[str, Any]:
    """One row with every column of either layout; the schema picks its own."""
    *plain, text, dictionary = values
    row = dict(zip(_COLUMNS, plain, strict=True))
    problem, outcome = problems[row["problem"]], row["outcome"]
    return row | {
        "model": row["run"],
        "text": to_text(store.unpack(text, dictionary)),
        "correct": None if outcome is None else outcome == "correct",
        "gold": to_text(problem.answer),
        "cluster": problem.cluster or problem.id,
    }
