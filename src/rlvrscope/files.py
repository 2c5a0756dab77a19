"""Files that others wrote: ordinary ones only, read up to a bound, identified by their SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
import tomllib
from collections.abc import Iterator
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, RlvrscopeError, WorkError, file_errors

MAX_DOCUMENT_BYTES = 1 << 24
"""Size of a recipe, or of another small file that is read whole."""
MAX_LINE_BYTES = 1 << 26
"""Length of a line."""
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


def lines_in(file: BufferedIOBase, path: Path) -> Iterator[bytes]:
    """Yield the lines of an open file, with their ends. Raises InputError for one longer than MAX_LINE_BYTES."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise InputError(f"{path}: line {number}: a line may have {MAX_LINE_BYTES:,} bytes, and this one has more")
        yield line


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


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML. Raises ValueError with the reason, also for deep nesting and whole numbers beyond TOML's 64 bits."""
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python reads no numbers of thousands of digits
        raise ValueError("a whole number must fit 64 bits; one has thousands of digits") from None
    check_depth(values)
    _check_integers(values, "")
    return values


def _check_integers(value: Any, key: str) -> None:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{key}: a whole number must fit 64 bits; this one has {value.bit_length()}")
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        _check_integers(item, f"{key}.{name}" if key else str(name))


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
