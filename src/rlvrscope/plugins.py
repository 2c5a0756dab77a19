"""A user's own function, named "file.py:NAME": loaded from its file by path, and pinned by the file's hash.

It is code: a recipe or the command line may name one, data may not.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, file_errors


def is_plugin(spec: str) -> bool:
    """Whether a name has the form file.py:NAME."""
    file, _, name = spec.rpartition(":")
    return file.endswith(".py") and name.isidentifier() and "\0" not in file


class _Source(importlib.abc.ExecutionLoader):
    """Runs the very text that was hashed: no second look at the file, and no stale bytecode of an earlier one."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path, self._source = path, source

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        return str(self._path)

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        return importlib.util.decode_source(self._source)


@lru_cache(maxsize=64)
def load(path: Path, name: str, sha256: str) -> Callable[..., Any]:
    """The function `name` of the file, if the file is still the one hashed. Raises InputError: see there."""
    source = read_source(path)
    found = hashlib.sha256(source).hexdigest()
    if found != sha256:
        raise InputError(
            f"{path} has changed: its SHA-256 is {found[:12]}..., and what names it was made with {sha256[:12]}... "
            "Restore it, or name the function without a sha256 to use what is there now."
        )
    module_name = f"rlvrscope_own_{sha256[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_Source(path, source))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses, for one, look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise InputError(f"{path} can't be loaded: {summary(error, path)}") from error
    function = getattr(module, name, None)
    if function is None:
        raise InputError(f"{path} has no function {name!r}")
    if not callable(function):
        raise InputError(f"{path}: {name} must be a function; it is of type {type(function).__name__}")
    return function


def read_source(path: Path) -> bytes:
    """The file's bytes. Raises InputError if it can't be read."""
    if path.exists() and not path.is_file():
        raise InputError(f"cannot read {path}: it is not a file")
    with file_errors("read", path, InputError):
        return path.read_bytes()


def summary(error: BaseException, path: Path) -> str:
    """The error in one line, with the line of the file where it came up."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f" ({path.name}, line {lines[-1]})" if lines else ""
    first, *_ = f"{type(error).__name__}: {error}".splitlines()
    return first[:300] + where
