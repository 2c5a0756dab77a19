"""A store as Parquet, for pandas, DuckDB, `datasets` and `rlvrscope boundary`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.runs import replacing
from rlvrscope.sampling.store.sample_store import IN_USE, SampleStore
from rlvrscope.sampling.store.store_file import sqlite_errors
from rlvrscope.tables.values import to_text

ROWS = 8_192
"""Of a row group, which is what lies in memory."""
_QUERY = f"""
SELECT r.name, p.name, s.number, v.outcome, v.score, v.extracted, w.name, w.version,
    s.tokens, s.logp, s.finish, s.seed, s.note, s.text, s.dictionary
FROM runs r JOIN samples s ON s.run = r.id JOIN problems p ON p.id = s.problem
LEFT JOIN verdicts v ON v.verifier = {IN_USE} AND v.run = s.run AND v.problem = s.problem AND v.number = s.number
LEFT JOIN verifiers w ON w.id = v.verifier
ORDER BY r.id, p.id, s.number
"""


def export(store: SampleStore, path: Path) -> int:
    """Write every sample with its verdict by the version in use, whole or not at all; how many rows.

    Columns: run (`model` where there are several), problem, index, text, correct, score, outcome, answer (extracted),
    gold, cluster, verifier, version, tokens, logp, finish, sample_seed, note. Raises WorkError where the disk refuses;
    MissingExtraError without pyarrow.
    """
    with needs_extra("parquet", "the export to Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    if path.suffix != ".parquet":
        raise InputError(f"samples are exported as .parquet; got {path}")
    several = len(store.runs()) > 1
    kinds = {
        "model" if several else "run": pa.string(), "problem": pa.string(), "index": pa.int64(), "text": pa.string(),
        "correct": pa.bool_(), "score": pa.float64(), "outcome": pa.string(), "answer": pa.string(),
        "gold": pa.string(), "cluster": pa.string(), "verifier": pa.string(), "version": pa.string(),
        "tokens": pa.int64(), "logp": pa.float64(), "finish": pa.string(), "sample_seed": pa.int64(),
        "note": pa.string(),
    }  # fmt: skip
    if not any(problem.cluster for problem in store.problems().values()):
        del kinds["cluster"]
    schema, count = pa.schema(list(kinds.items())), 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for rows in _rows(store):
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def _rows(store: SampleStore) -> Iterator[list[dict[str, Any]]]:
    problems = store.problems()
    with sqlite_errors(store.path):
        cursor = store.connection.execute(_QUERY)
        while found := cursor.fetchmany(ROWS):
            yield [_row(store, problems, *row) for row in found]


def _row(store: SampleStore, problems: Any, run: str, name: str, index: int, outcome: str | None, *rest: Any) -> Any:
    score, extracted, verifier, version, tokens, logp, finish, seed, note, text, dictionary = rest
    return {
        "run": run, "model": run, "problem": name, "index": index,
        "text": to_text(store.unpack(text, dictionary)), "correct": None if outcome is None else outcome == "correct",
        "score": score, "outcome": outcome, "answer": extracted, "gold": to_text(problems[name].answer),
        "cluster": problems[name].cluster or name, "verifier": verifier, "version": version, "tokens": tokens,
        "logp": logp, "finish": finish, "sample_seed": seed, "note": note,
    }  # fmt: skip
