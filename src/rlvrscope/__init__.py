"""rlvrscope: where RLVR moves a language model's probability mass, and what that does to its reasoning boundary.

The packages below are imported on first use; `objectives`, `stats`, `dynamics`, `readers`, `verify` and `problems` need
NumPy and SciPy only. Shape suffixes of arrays, everywhere in the code:

P problem (prompt) · G rollout in a group · B row of a batch (usually P x G, flattened) · T token ·
V action or vocabulary entry · K values of k · R bootstrap resample, or class of equal reward ·
S training step or seed · Y completion · U training run (a base and a seed) · N row of a table, or group of a list ·
W watched set of actions · X state of a policy over tokens · M model, or some of the prompts

So `rewards_PG` has one row per problem and one column per rollout.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rlvrscope.errors import InputError, MissingExtraError, RlvrscopeError, WorkError

if TYPE_CHECKING:
    from rlvrscope import (
        dynamics,
        engines,
        monitor,
        objectives,
        problem,
        problems,
        readers,
        runs,
        sampling,
        stats,
        verify,
    )

__version__ = "0.1.0"

_PACKAGES = (
    "dynamics", "engines", "monitor", "objectives", "problem", "problems", "readers", "runs", "sampling", "stats",
    "verify",
)  # fmt: skip

__all__ = [
    "InputError",
    "MissingExtraError",
    "RlvrscopeError",
    "WorkError",
    "__version__",
    "dynamics",
    "engines",
    "monitor",
    "objectives",
    "problem",
    "problems",
    "readers",
    "runs",
    "sampling",
    "stats",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"rlvrscope.{name}")
    raise AttributeError(f"module 'rlvrscope' has no attribute {name!r}")
