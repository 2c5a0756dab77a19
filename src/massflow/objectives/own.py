"""A user's own shape: a function in a file, named in a recipe as "file.py:NAME" and pinned by the file's hash."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from array_api_compat import device

from massflow.errors import InputError, file_errors
from massflow.objectives.numeric import MAGNITUDE_BOUND, first_beyond, namespace
from massflow.types import Array

ShapeFunction = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class OwnShape:
    """A function (rewards_PG, advantages_PG) -> advantages_PG of the user's, loaded from its file by path.

    function: "file.py:NAME"; a relative path starts at the current directory. sha256: of the file's bytes; left out,
    it is taken from the file, which is then loaded at once. Given, as resolved recipes do, the file is read where it
    is first called, and refused if it holds anything else. The function gets copies, so it may write into them, and
    the same kind of array as the rewards (float32 or float64). One file: what it imports is not hashed.
    Raises InputError: no such file or name, not callable, an error in it, a result that is not (P, G) or not finite.
    """

    function: str
    sha256: str = ""
    kind: str = field(default="function", init=False)

    def __post_init__(self) -> None:
        for name in ("function", "sha256"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"shape function: {name} must be a text; got {getattr(self, name)!r}")
        file, _, name = self.function.rpartition(":")
        if not file.endswith(".py") or not name.isidentifier() or "\0" in file:
            raise InputError(
                f"shape must be 'file.py:NAME', or a table such as {{kind = 'focal', gamma = 1.0}}; "
                f"got {self.function!r}"
            )
        assert self.path  # found now: the current directory may change later
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(_read(self.path)).hexdigest())
            self.load()

    @cached_property
    def path(self) -> Path:
        """Where the file is. It stays with a copy that is sent to another process."""
        return Path(self.function.rpartition(":")[0]).absolute()

    def load(self) -> ShapeFunction:
        """The function. Raises InputError if the file is not there, not the one hashed, or has no such function."""
        return _load(self.path, self.function.rpartition(":")[2], self.sha256)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        xp = namespace([rewards_PG, advantages_PG])
        function = self.load()
        try:
            result = function(xp.asarray(rewards_PG, copy=True), xp.asarray(advantages_PG, copy=True))
        except (Exception, SystemExit) as error:
            raise InputError(f"{self.function} raised {_summary(error, self.path)}") from error
        return self._checked(result, rewards_PG, advantages_PG)

    def _checked(self, result: Any, rewards_PG: Array, advantages_PG: Array) -> Array:
        xp, wanted = namespace([advantages_PG]), tuple(advantages_PG.shape)
        kind = type(advantages_PG)
        if type(result) is not kind or tuple(result.shape) != wanted:
            came = f"{type(result).__name__} {tuple(result.shape)}" if type(result) is kind else type(result).__name__
            raise InputError(f"{self.function} must return {kind.__name__} of shape {wanted}; got {came}")
        if device(result) != device(advantages_PG):
            raise InputError(f"{self.function} must leave advantages on {device(advantages_PG)}; got {device(result)}")
        if not xp.isdtype(result.dtype, "real floating"):
            raise InputError(f"{self.function} must return floating point; got {result.dtype}")
        at = first_beyond(xp, result)
        if at is not None:
            group = ", ".join(f"{float(reward):g}" for reward in rewards_PG[at[0], :8])
            more = ", ..." if wanted[1] > 8 else ""
            raise InputError(
                f"{self.function} must return finite numbers of at most {MAGNITUDE_BOUND:g} in size; rollout {at[1]} "
                f"of group {at[0]} (rewards {group}{more}) has {float(result[at[0], at[1]])}"
            )
        return xp.astype(result, advantages_PG.dtype)


class _Source(importlib.abc.ExecutionLoader):
    """Runs the very text that was hashed: no second look at the file, and no stale bytecode of an earlier one."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path, self._source = path, source

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        return str(self._path)

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        return importlib.util.decode_source(self._source)


@lru_cache(maxsize=64)
def _load(path: Path, name: str, sha256: str) -> ShapeFunction:
    source = _read(path)
    found = hashlib.sha256(source).hexdigest()
    if found != sha256:
        raise InputError(
            f"{path} has changed: its SHA-256 is {found[:12]}..., and this objective was made with {sha256[:12]}... "
            "Restore it, or name the function without a sha256 to use what is there now."
        )
    module_name = f"massflow_own_{sha256[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_Source(path, source))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses, for one, look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise InputError(f"{path} can't be loaded: {_summary(error, path)}") from error
    function = getattr(module, name, None)
    if function is None:
        raise InputError(f"{path} has no function {name!r}")
    if not callable(function):
        raise InputError(f"{path}: {name} must be a function; it is of type {type(function).__name__}")
    return function


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise InputError(f"cannot read {path}: it is not a file")
    with file_errors("read", path, InputError):
        return path.read_bytes()


def _summary(error: BaseException, path: Path) -> str:
    """The error in one line, with the line of the file where it came up."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f" ({path.name}, line {lines[-1]})" if lines else ""
    first, *_ = f"{type(error).__name__}: {error}".splitlines()
    return first[:300] + where
