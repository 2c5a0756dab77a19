"""Integrity of a store: its tables, the types of its values, and a checksum for the rows of each commit.

Texts have checksums of their own (zstd), which are checked when they are unpacked. All other values of a commit's rows
are covered by one CRC-32 for each table; small tables have one each.
"""

from __future__ import annotations

import marshal
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import OUTCOMES
from rlvrscope.sampling.store.store_file import CHECKSUMS_SINCE, REASONING_SINCE, damaged, sqlite_errors
from rlvrscope.tables.values import shorten

FACTS = {
    "samples": "run, problem, number, dictionary, tokens, logp, finish, seed, note",
    "verdicts": "verifier, run, problem, number, outcome, score, extracted, path, reason",
}
"""Columns that a commit's checksums cover, in the order of the rows that are written."""
NUM_FACTS = 9
"""Columns of each."""
SMALL_TABLES = ("runs", "problems", "dictionaries", "verifiers")
"""Tables with one checksum over all of their rows."""
TABLES = {*FACTS, *SMALL_TABLES, "batches", "seals"}
_SCANS = {"samples": "samples NOT INDEXED", "verdicts": "verdicts"}
"""Tables in the order of their storage: samples as they were written, verdicts by their key."""
_INTEGERS = {"samples": "run problem number seed", "verdicts": "verifier run problem number"}
_WRONG_TYPES = {
    "samples": "typeof(text) <> 'blob' OR typeof(finish) <> 'text' OR typeof(note) <> 'text' OR number < 0 "
    "OR typeof(dictionary) NOT IN ('integer', 'null') OR typeof(logp) NOT IN ('real', 'null') "
    "OR typeof(tokens) NOT IN ('integer', 'null') OR tokens < 0",
    "verdicts": f"outcome NOT IN {OUTCOMES} OR typeof(score) <> 'real' OR score < 0 OR score > 1 "
    "OR typeof(extracted) NOT IN ('text', 'null') OR typeof(path) <> 'text' OR typeof(reason) <> 'text'",
    "runs": "typeof(name) <> 'text' OR typeof(identity) <> 'text'",
    "problems": "typeof(name) <> 'text' OR typeof(verifier) <> 'text' OR typeof(content) <> 'text'",
    "dictionaries": "typeof(content) <> 'blob'",
    "verifiers": "typeof(name) <> 'text' OR typeof(version) <> 'text' OR typeof(used) <> 'integer'",
}
"""SQL conditions of rows whose values are of another type than the program writes, or out of range."""


def checksum(rows: Sequence[tuple[Any, ...]], before: int = 0) -> int:
    """CRC-32 of rows of plain values. before: the checksum of the rows before them.

    Version 2 of marshal writes values alone, the same in every Python, and a list as its length and then its items.
    """
    return zlib.crc32(marshal.dumps(list(rows), 2)[5:], before)


def next_batch(connection: sqlite3.Connection) -> int:
    """Number of the next commit."""
    return connection.execute("SELECT coalesce(max(id), 0) + 1 FROM batches").fetchone()[0]


def add_batch(
    connection: sqlite3.Connection, number: int, samples: Sequence[tuple[Any, ...]], verdicts: Sequence[tuple[Any, ...]]
) -> None:
    """Write the checksums of a commit's rows, which begin with their FACTS and are in the order of storage."""
    sums = [(len(rows), checksum([row[:NUM_FACTS] for row in rows])) for rows in (samples, verdicts)]
    connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?)", (number, *sums[0], *sums[1]))


def seal(connection: sqlite3.Connection, *tables: str) -> None:
    """Write the checksums of small tables, in the transaction that changed them."""
    for table in tables:
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
        connection.execute("INSERT OR REPLACE INTO seals VALUES (?, ?)", (table, checksum(rows)))


def seal_earlier_rows(connection: sqlite3.Connection) -> None:
    """Write the checksums of a store that had none: its rows are commit 0."""
    seal(connection, *SMALL_TABLES)
    (samples, verdicts) = (_sums(connection, table).get(0, (0, 0)) for table in FACTS)
    connection.execute("INSERT INTO batches VALUES (0, ?, ?, ?, ?)", (*samples, *verdicts))


def verify_rows(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Check tables, pages, types and checksums, all but the texts. Raises InputError with the first defect."""
    with sqlite_errors(path):
        schema = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        for kind, name in schema:
            if kind not in ("table", "index") or (kind == "table" and name not in TABLES):
                # a view or a trigger could run for ever
                raise InputError(
                    f"{path} holds a {kind} that no store has, {shorten(name)}: rlvrscope did not write it"
                )
        if ("table", "batches") in schema and version < CHECKSUMS_SINCE:
            raise damaged(path, f"its checksums are there, and its header says format {version}")
        (problem,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if problem != "ok":
            raise damaged(path, problem)
        for table, condition in _WRONG_TYPES.items():
            wrong = [f"typeof({name}) <> 'integer'" for name in _INTEGERS.get(table, "").split()]
            if table == "samples" and version >= REASONING_SINCE:
                wrong.append("typeof(reasoning) NOT IN ('blob', 'null')")
            if table in FACTS and version >= CHECKSUMS_SINCE:
                wrong.append("typeof(batch) <> 'integer'")
            (count,) = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {' OR '.join([condition, *wrong])}"
            ).fetchone()
            if count:
                raise damaged(path, f"{count} rows of {table} hold values of another type or out of range")
        if version >= CHECKSUMS_SINCE:
            _verify_checksums(connection, path)


def _verify_checksums(connection: sqlite3.Connection, path: Path) -> None:
    seals = dict(connection.execute("SELECT * FROM seals"))
    for table in SMALL_TABLES:
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
        if seals.get(table, 0) != checksum(rows):
            raise damaged(path, f"{table} differ from their checksum")
    for table in FACTS:
        query = f"SELECT id, {table}, {table}_sum FROM batches WHERE {table} > 0"
        written = {number: (rows, total) for number, rows, total in connection.execute(query)}
        read = _sums(connection, table)
        if written != read:
            number = min(number for number in {*written, *read} if written.get(number) != read.get(number))
            raise damaged(path, f"the {table} of commit {number} differ from their checksum")


def _sums(connection: sqlite3.Connection, table: str) -> dict[int, tuple[int, int]]:
    """Number and checksum of the rows of each commit, row by row: memory does not depend on their number."""
    sums: dict[int, tuple[int, int]] = {}
    for *row, number in connection.execute(f"SELECT {FACTS[table]}, batch FROM {_SCANS[table]}"):
        count, total = sums.get(number, (0, 0))
        sums[number] = count + 1, zlib.crc32(marshal.dumps(tuple(row), 2), total)
    return sums
