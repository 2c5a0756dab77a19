"""The store's SQLite file: its tables, its creation, and the checks before it is opened."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from rlvrscope.errors import InputError, WorkError, file_errors
from rlvrscope.files import open_ordinary

FILE_NAME = "samples.sqlite"
SUFFIXES = (".sqlite", ".db")
FORMAT_VERSION = 3
REASONING_SINCE, CHECKSUMS_SINCE = 2, 3
"""Formats from which on samples have their reasoning, and rows have checksums."""
APPLICATION_ID = int.from_bytes(b"RLVS", "big")
"""SQLite's application id, in bytes 68 to 71 of the file. The format version is SQLite's user_version."""
_CHECKSUM_TABLES = """
CREATE TABLE batches (
    id INTEGER PRIMARY KEY, samples INTEGER NOT NULL, samples_sum INTEGER NOT NULL, verdicts INTEGER NOT NULL,
    verdicts_sum INTEGER NOT NULL
);
CREATE TABLE seals (name TEXT PRIMARY KEY, checksum INTEGER NOT NULL);
"""
UPGRADES = {
    1: "ALTER TABLE samples ADD COLUMN reasoning BLOB",
    2: "ALTER TABLE samples ADD COLUMN batch INTEGER NOT NULL DEFAULT 0;"
    f"ALTER TABLE verdicts ADD COLUMN batch INTEGER NOT NULL DEFAULT 0; DROP INDEX outcomes; {_CHECKSUM_TABLES}",
}
"""The change from each format to the next one."""
LOCK_SECONDS = 60.0
"""Time to wait for another connection that has locked the file: one that ends moves its log into it."""
MAX_LOG_PAGES = 4_000
"""Size of the write-ahead log, in pages of 4 KiB, at which its pages are moved to the file."""
NETWORK_FILE_SYSTEMS = (
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "afs", "ceph", "lustre", "glusterfs", "gpfs", "beegfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph",
)  # fmt: skip
MOUNTS = Path("/proc/self/mounts")
SCHEMA = f"""
CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, identity TEXT NOT NULL);
CREATE TABLE problems (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, verifier TEXT NOT NULL, content TEXT NOT NULL
);
CREATE TABLE dictionaries (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE samples (
    run INTEGER NOT NULL, problem INTEGER NOT NULL, number INTEGER NOT NULL,
    text BLOB NOT NULL, dictionary INTEGER, tokens INTEGER, logp REAL,
    finish TEXT NOT NULL, seed INTEGER NOT NULL, note TEXT NOT NULL, reasoning BLOB,
    batch INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, problem, number)
);
CREATE TABLE verifiers (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, used INTEGER NOT NULL, UNIQUE (name, version)
);
CREATE TABLE verdicts (
    verifier INTEGER NOT NULL, run INTEGER NOT NULL, problem INTEGER NOT NULL, number INTEGER NOT NULL,
    outcome TEXT NOT NULL, score REAL NOT NULL, extracted TEXT, path TEXT NOT NULL, reason TEXT NOT NULL,
    batch INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (verifier, run, problem, number)
) WITHOUT ROWID;
{_CHECKSUM_TABLES}"""


def store_path(path: Path | str) -> Path:
    """Return the store's file: the path itself, or samples.sqlite in that folder, which need not exist yet."""
    path = Path(path)
    named = path.suffix in SUFFIXES and not path.is_dir()
    path = path if named or path.is_file() else path / FILE_NAME
    return path.resolve() if path.is_symlink() else path  # SQLite's log is beside the file, not beside the link


def is_store(path: Path) -> bool:
    """Return whether the path is a file with a store's suffix, or a folder with a store."""
    return (path / FILE_NAME).is_file() or (path.is_file() and path.suffix in SUFFIXES)


def create(path: Path) -> None:
    """Create an empty store atomically. The caller holds the lock. Raises WorkError (space, permission)."""
    temporary = path.with_name(f".{path.name}.new")
    with file_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        for gone in (temporary, path):  # SQLite would replay a deleted file's log into the new one
            for log in ("-journal", "-wal", "-shm"):
                gone.with_name(gone.name + log).unlink(missing_ok=True)
    with sqlite_errors(path):
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    with file_errors("write", path):
        os.replace(temporary, path)
        _flush_folder(path.parent)


def check_header(path: Path) -> None:
    """Raises InputError for a file that is no store; WorkError if it can't be read."""
    with open_ordinary(path) as file:
        header = file.read(100)
    if header[:16] != b"SQLite format 3\0" or int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise InputError(f"{path} is not a store of samples: rlvrscope did not write it. Choose another path.")


def format_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the format; the file's header does not know what is still in the log.

    Raises InputError for a newer one, and for none.
    """
    with sqlite_errors(path):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT_VERSION:
        raise InputError(f"{path} has format {version}; this version reads up to {FORMAT_VERSION}. Upgrade rlvrscope.")
    if version < 1:
        raise damaged(path, f"its header says format {version}")
    return version


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a connection that sees the present state of the store, however long it reads and whatever is written later.

    The file is never changed. Where there is no log yet, a writer may begin one at any moment, so the reader takes part
    in SQLite's locking, with helper files that go when it closes; only a file that can't be written to is read without.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > 0:
        mode = "mode=ro"
    else:
        mode = "mode=rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "immutable=1"
    with sqlite_errors(path):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=LOCK_SECONDS
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees one snapshot
        except BaseException:
            connection.close()
            raise
    return connection


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Open a connection whose commits are on disk when they return (WAL, synchronous FULL).

    Threads may share it if they take turns.
    """
    with sqlite_errors(path):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=LOCK_SECONDS,
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {MAX_LOG_PAGES}")
        return connection


def refuse_network(path: Path, mounts: Path = MOUNTS) -> None:
    """Raises InputError on a network file system, where SQLite's log and locks do not work.

    Recognised by the list of mounts (Linux) and by \\\\server paths (Windows); not on other systems.
    """
    place = path.resolve()
    kind = "network share" if str(place).startswith("\\\\") else _kind_of(place, mounts)
    if kind is not None:
        raise InputError(
            f"{path} is on a network file system ({kind}), where a store can be damaged: "
            "sample to a local disk, and copy the store when it is full"
        )


def _kind_of(place: Path, mounts: Path) -> str | None:
    """Return the network file system of the innermost mount with the path; None if it is local or unknown."""
    with contextlib.suppress(OSError):
        best, kind = -1, ""
        for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split(" ")
            if len(fields) > 2:
                point = Path(fields[1].replace("\\040", " "))
                if (place == point or point in place.parents) and len(point.parts) >= best:
                    best, kind = len(point.parts), fields[2]
        return kind if kind in NETWORK_FILE_SYSTEMS else None
    return None


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one line that says what to do. Raises InputError for damage, else WorkError."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
            raise WorkError(
                f"cannot write {path}: {error} ({name}): the disk is full or failing. What was committed before is "
                "safe; make room and run the same command again"
            ) from error
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "decode to UTF-8" in str(error):
            raise damaged(path, str(error)) from error
        raise WorkError(f"cannot use {path}: {error}{f' ({name})' if name else ''}") from error


def damaged(path: Path, reason: str) -> InputError:
    """The error for a damaged store."""
    reason = " ".join(reason.split())[:200]
    return InputError(f"{path} is damaged ({reason}); nothing was changed. Restore a copy, or remove it and run again.")


def _flush_folder(folder: Path) -> None:
    """Flush the folder, so that the new file's name survives a power cut; Windows has no such call."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def file_identities(path: Path) -> list[tuple[int, int] | None]:
    """Device and number of a store's file and of its log; None for one that does not exist."""
    identities: list[tuple[int, int] | None] = []
    for name in (str(path), f"{path}-wal"):
        try:
            status = os.stat(name)
            identities.append((status.st_dev, status.st_ino))
        except OSError:
            identities.append(None)
    return identities
