"""Files that others wrote: ordinary ones only, read up to a bound, identified by their SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, RlvrscopeError, WorkError, file_errors

MAX_DOCUMENT_BYTES = 1 << 24
"""Size of a recipe, or of another small file that is read whole."""
MAX_DEPTH = 100
"""Levels of lists and objects in JSON and TOML."""


@contextlib.contextmanager
def open_ordinary(path: Path, kind: type[RlvrscopeError] = WorkError) -> Iterator[BufferedReader]:
    """Open a file to read bytes.

    Raises `kind` for a file that can't be read, and InputError for a folder, pipe, device or socket, which may have no
    end.
    """
    with file_errors("read", path, kind):
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"cannot read {path}: it is not an ordinary file. Write its content to one.")
        with path.open("rb") as file:
            yield file


def read_bounded(path: Path, max_bytes: int = MAX_DOCUMENT_BYTES, kind: type[RlvrscopeError] = WorkError) -> bytes:
    """Read a file as a whole. Raises InputError for one of more than `max_bytes`, and as `open_ordinary`."""
    with open_ordinary(path, kind) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise InputError(f"{path} must have at most {max_bytes:,} bytes, and has more: is it the right file?")
    return content


def sha256_of(path: Path, kind: type[RlvrscopeError] = WorkError) -> str:
    """SHA-256 of a file, in hexadecimal digits. Raises as `open_ordinary`."""
    with open_ordinary(path, kind) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_json(text: str | bytes) -> Any:
    """Parse JSON. Raises ValueError with the reason, also for nesting beyond MAX_DEPTH and text that is not UTF-8.

    >>> parse_json("[" * 1000)
    Traceback (most recent call last):
        ...
    ValueError: nested more than 100 levels deep
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    opened = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if opened > MAX_DEPTH:  # fewer can't be nested deeper, and counting them costs nothing
        check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Raises ValueError for a value nested beyond MAX_DEPTH: whatever walks it could run out of stack."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
