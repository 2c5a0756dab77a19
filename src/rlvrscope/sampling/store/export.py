"""Export of a store to Parquet or JSONL, for pandas, DuckDB, `datasets` and `rlvrscope boundary`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.problems.problem_files import FACTS, METADATA
from rlvrscope.runs import replacing
from rlvrscope.sampling.store.sample_store import CURRENT_VERIFIER, UNKNOWN_SEED, SampleStore
from rlvrscope.sampling.store.store_file import sqlite_errors
from rlvrscope.tables.values import to_text

GROUP_ROWS, GROUP_CHARACTERS = 8_192, 1 << 24
"""Rows of a row group, and characters of their texts: it is kept in memory, and ends with the first limit."""
COLUMNS = {
    "problem": "string", "index": "int64", "prompt": "string", "text": "string", "reasoning": "string",
    "correct": "bool", "score": "double", "outcome": "string", "answer": "string", "gold": "string",
    "verifier": "string", "version": "string", "finish": "string", "tokens": "int64", "logp": "double",
    "sample_seed": "int64", "note": "string",
}  # fmt: skip
"""Types of the columns that every export has."""
_QUERY = f"""
SELECT r.name, p.name, s.number, v.outcome, v.score, v.extracted, w.version, s.finish, s.tokens, s.logp,
    nullif(s.seed, {UNKNOWN_SEED}), s.note,
    s.dictionary, s.text, {{reasoning}}
FROM runs r JOIN samples s ON s.run = r.id JOIN problems p ON p.id = s.problem
LEFT JOIN verdicts v
    ON v.verifier = {CURRENT_VERIFIER} AND v.run = s.run AND v.problem = s.problem AND v.number = s.number
LEFT JOIN verifiers w ON w.id = v.verifier
ORDER BY r.id, p.id, s.number
"""
_SELECTED = (
    "run", "problem", "index", "outcome", "score", "answer", "version", "finish", "tokens", "logp", "sample_seed",
    "note",
)  # fmt: skip
"""Columns that are read unchanged, in the order of the query."""
Row = dict[str, Any]


def export(store: SampleStore, path: Path) -> int:
    """Write every sample with its verdict by the current version, atomically; return the number of rows.

    Columns: run (`model` where there are several), COLUMNS (`answer` is extracted from the text, `gold` is the
    problem's), cluster, and what verifiers read and what describes the problem, where problems have it. Lists are JSON.
    Raises InputError for another suffix than .parquet and .jsonl; WorkError where the disk fails; MissingExtraError
    without pyarrow, for Parquet.
    """
    if path.suffix not in WRITERS:
        raise InputError(f"samples are exported as {' or '.join(WRITERS)}; got {path}")
    problems = store.problems()
    columns = {"model" if len(store.runs()) > 1 else "run": "string", **COLUMNS}
    columns |= {name: "string" for name in ("cluster", *METADATA, *FACTS) if _is_used(name, problems)}
    with replacing(path) as temporary:
        return WRITERS[path.suffix](temporary, columns, _row_groups(store, problems))


def _is_used(name: str, problems: Mapping[str, Problem]) -> bool:
    return any(problem.cluster if name == "cluster" else name in problem.metadata for problem in problems.values())


def _write_parquet(path: Path, columns: Mapping[str, str], groups: Iterator[list[Row]]) -> int:
    with needs_extra("parquet", "the export to Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    schema, count = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()]), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in groups:
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def _write_jsonl(path: Path, columns: Mapping[str, str], groups: Iterator[list[Row]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for rows in groups:
            file.writelines(json.dumps({name: row[name] for name in columns}) + "\n" for row in rows)
            count += len(rows)
    return count


WRITERS: Mapping[str, Callable[[Path, Mapping[str, str], Iterator[list[Row]]], int]] = {
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
}


def _row_groups(store: SampleStore, problems: Mapping[str, Problem]) -> Iterator[list[Row]]:
    facts = {name: _problem_facts(problem) for name, problem in problems.items()}
    group: list[Row] = []
    characters = 0
    with sqlite_errors(store.path):
        cursor = store.connection.execute(_QUERY.format(reasoning=store.reasoning))
        for values in cursor:
            group.append(row := _row(store, facts, *values))
            characters += len(row["text"]) + len(row["reasoning"])
            if len(group) >= GROUP_ROWS or characters >= GROUP_CHARACTERS:
                yield group
                group, characters = [], 0
    if group:
        yield group


def _row(store: SampleStore, facts: Mapping[str, Row], *values: Any) -> Row:
    """One row with every column of all layouts; the writer picks its own."""
    *selected, dictionary, text, reasoning = values
    row = dict(zip(_SELECTED, selected, strict=True))
    return row | facts[row["problem"]] | {
        "model": row["run"],
        "text": to_text(store.unpack(text, dictionary)),
        "reasoning": to_text(store.unpack(reasoning, dictionary)),
        "correct": None if row["outcome"] is None else row["outcome"] == "correct",
    }  # fmt: skip


def _problem_facts(problem: Problem) -> Row:
    """Columns that are the same in all rows of a problem."""
    metadata = {name: problem.metadata.get(name) for name in (*METADATA, *FACTS)}
    return {name: None if value is None else to_text(value) for name, value in metadata.items()} | {
        "prompt": to_text(problem.prompt), "gold": to_text(problem.answer), "verifier": problem.verifier,
        "cluster": problem.cluster or problem.id,
    }  # fmt: skip
