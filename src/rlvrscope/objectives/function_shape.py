"""A user's function as the shape of an objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from array_api_compat import device

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError
from rlvrscope.objectives.numeric import MAX_MAGNITUDE, first_beyond, namespace
from rlvrscope.plugins import Plugin

ShapeFunction = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class FunctionShape:
    """A user's function (rewards_PG, advantages_PG) -> advantages_PG, loaded from its file by path.

    function: "file.py:NAME"; a relative path starts at the current directory. sha256: of the file's bytes. Without it
    the file is hashed at once. The code runs on the first call or `load`, never when a recipe is read; a file that has
    changed is then refused. Modules that the file imports are not hashed.
    The function gets copies, float32 or float64, of the rewards' array type, and may modify them.
    Raises InputError for a missing file or name, an object that is not callable, an error in the function, or a result
    that is not (P, G) or not finite.
    """

    function: str
    sha256: str = ""
    kind: str = field(default="function", init=False)

    def __post_init__(self) -> None:
        for name in ("function", "sha256"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"shape function: {name} must be a string; got {getattr(self, name)!r}")
        plugin = self.plugin
        if not self.sha256:
            object.__setattr__(self, "sha256", plugin.sha256())

    @cached_property
    def plugin(self) -> Plugin:
        """The file and the function, resolved on construction and pickled along: a worker may have another cwd."""
        plugin = Plugin.parse(self.function)
        if plugin is None:
            raise InputError(
                f"shape must be 'file.py:NAME', or a table such as {{kind = 'focal', gamma = 1.0}}; "
                f"got {self.function!r}"
            )
        return plugin

    def load(self) -> ShapeFunction:
        """Load the function. Raises InputError for a missing or changed file, or one without that function."""
        return self.plugin.load(self.sha256)

    def __call__(self, rewards_PG: Array, advantages_PG: Array, threshold: float) -> Array:  # noqa: ARG002
        xp = namespace([rewards_PG, advantages_PG])
        function = self.load()
        try:
            result = function(xp.asarray(rewards_PG, copy=True), xp.asarray(advantages_PG, copy=True))
        except (Exception, SystemExit) as error:
            raise InputError(f"{self.function} raised {self.plugin.describe(error)}") from error
        return self._checked(result, rewards_PG, advantages_PG)

    def _checked(self, result: Any, rewards_PG: Array, advantages_PG: Array) -> Array:
        xp, shape = namespace([advantages_PG]), tuple(advantages_PG.shape)
        kind = type(advantages_PG)
        if type(result) is not kind or tuple(result.shape) != shape:
            actual = type(result).__name__ + (f" {tuple(result.shape)}" if type(result) is kind else "")
            raise InputError(f"{self.function} must return {kind.__name__} of shape {shape}; got {actual}")
        if device(result) != device(advantages_PG):
            raise InputError(f"{self.function} must leave advantages on {device(advantages_PG)}; got {device(result)}")
        if not xp.isdtype(result.dtype, "real floating"):
            raise InputError(f"{self.function} must return floating point; got {result.dtype}")
        at = first_beyond(xp, result)
        if at is not None:
            group = ", ".join(f"{float(reward):g}" for reward in rewards_PG[at[0], :8])
            more = ", ..." if shape[1] > 8 else ""
            raise InputError(
                f"{self.function} must return finite numbers of at most {MAX_MAGNITUDE:g} in size; rollout {at[1]} "
                f"of group {at[0]} (rewards {group}{more}) has {float(result[at[0], at[1]])}"
            )
        return xp.astype(result, advantages_PG.dtype)
