"""A user's own shape: a function in a file, named in a recipe as "file.py:NAME" and pinned by the file's hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from array_api_compat import device

from massflow.errors import InputError
from massflow.objectives.numeric import MAGNITUDE_BOUND, first_beyond, namespace
from massflow.plugin import load, read_source, summary
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
            object.__setattr__(self, "sha256", hashlib.sha256(read_source(self.path)).hexdigest())
            self.load()

    @cached_property
    def path(self) -> Path:
        """Where the file is. It stays with a copy that is sent to another process."""
        return Path(self.function.rpartition(":")[0]).absolute()

    def load(self) -> ShapeFunction:
        """The function. Raises InputError if the file is not there, not the one hashed, or has no such function."""
        return load(self.path, self.function.rpartition(":")[2], self.sha256)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        xp = namespace([rewards_PG, advantages_PG])
        function = self.load()
        try:
            result = function(xp.asarray(rewards_PG, copy=True), xp.asarray(advantages_PG, copy=True))
        except (Exception, SystemExit) as error:
            raise InputError(f"{self.function} raised {summary(error, self.path)}") from error
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
