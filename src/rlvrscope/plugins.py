"""Plugins: a user's own function, named "file.py:NAME", loaded by path and pinned by the file's SHA-256.

A plugin is code. Recipes and the command line may name one; reading a recipe does not load it, and one that a run's
folder names runs only if the command line names it too. Data files may not name any.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.files import read_bounded

MAX_SOURCE_BYTES = 1 << 20
"""Size of a plugin's file."""


@dataclass(frozen=True)
class Plugin:
    """A user's function: the absolute path of its file, and its name there."""

    path: Path
    name: str

    @classmethod
    def parse(cls, spec: str) -> Plugin | None:
        """The plugin that "file.py:NAME" names; None for text of another form. A relative path starts at the cwd."""
        file, _, name = spec.rpartition(":")
        if not file.endswith(".py") or not name.isidentifier() or "\0" in file:
            return None
        return cls(Path(file).expanduser().absolute(), name)

    def sha256(self) -> str:
        """SHA-256 of the file as it is now. Raises InputError if it can't be read."""
        return hashlib.sha256(_read(self.path)).hexdigest()

    def load(self, sha256: str) -> Callable[..., Any]:
        """Load the function. Raises InputError unless the file has this hash, runs, and defines such a function."""
        return _load(self, sha256)

    def describe(self, error: BaseException) -> str:
        """An error in one line, with the last line of the plugin's file in its traceback."""
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.path)
        ]
        where = f" ({self.path.name}, line {lines[-1]})" if lines else ""
        first, *_ = f"{type(error).__name__}: {error}".splitlines()
        return first[:300] + where


class _SourceLoader(importlib.abc.ExecutionLoader):
    """Runs exactly the bytes that were hashed: the file is not read again, and no bytecode cache is used."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path, self._source = path, source

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        return str(self._path)

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        return importlib.util.decode_source(self._source)


@lru_cache(maxsize=64)
def _load(plugin: Plugin, sha256: str) -> Callable[..., Any]:
    path, source = plugin.path, _read(plugin.path)
    current = hashlib.sha256(source).hexdigest()
    if current != sha256:
        raise InputError(
            f"{path} has changed: its SHA-256 is {current[:12]}..., but {sha256[:12]}... is required. "
            "Restore the file, or name the function without a sha256 to use the current one."
        )
    module_name = f"rlvrscope_plugin_{sha256[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_SourceLoader(path, source))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look up their module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise InputError(f"{path} can't be loaded: {plugin.describe(error)}") from error
    function = getattr(module, plugin.name, None)
    if function is None:
        raise InputError(f"{path} has no function {plugin.name!r}")
    if not callable(function):
        raise InputError(f"{path}: {plugin.name} must be a function; it is of type {type(function).__name__}")
    return function


def _read(path: Path) -> bytes:
    return read_bounded(path, MAX_SOURCE_BYTES, InputError)
