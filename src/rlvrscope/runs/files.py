"""Atomic writes, JSON files, and the record of the environment."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, file_errors
from rlvrscope.files import parse_json, read_bounded


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` to write to; on success it is flushed to disk and replaces `path`.

    Temporary files that killed processes have left are removed. Raises WorkError (no space, no permission), and then
    leaves `path` unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with file_errors("write", path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(path)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that no longer run."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        number = leftover.name.split(".")[-2]
        if number.isascii() and number.isdigit() and not _runs(int(number)):
            leftover.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name != "posix":  # elsewhere a signal of 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file as a whole or not at all. Raises WorkError (no space, no permission)."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises InputError for a damaged file, WorkError for one that can't be read."""
    content = read_bounded(path)
    try:
        value = parse_json(content)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged: it must hold an object, and holds {type(value).__name__}")
    return value


def environment(**facts: Any) -> dict[str, Any]:
    """Versions and machine, with further `facts`, as environment.json holds them."""
    versions = {}
    for name in ("rlvrscope", "numpy", "scipy", "torch"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    machine = {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()}
    return {"format_version": 1, "python": platform.python_version(), **versions, **machine, **facts}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
