"""Upgrade of a store of an earlier format."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rlvrscope.sampling.store.integrity import seal_earlier_rows
from rlvrscope.sampling.store.store_file import (
    CHECKSUMS_SINCE,
    FORMAT_VERSION,
    UPGRADES,
    format_version,
    sqlite_errors,
)


def upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a store of an earlier format to today's in one transaction. The caller holds the lock."""
    version = format_version(connection, path)
    if version == FORMAT_VERSION:
        return
    try:
        with sqlite_errors(path):
            connection.execute("BEGIN IMMEDIATE")
            for earlier in range(version, FORMAT_VERSION):
                for statement in UPGRADES[earlier].split(";"):
                    connection.execute(statement)
            if version < CHECKSUMS_SINCE:
                seal_earlier_rows(connection)
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()  # which rolls back
        raise
