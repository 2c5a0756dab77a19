"""massflow: where RLVR moves a language model's probability mass, and what that does to its boundary.

`massflow.objectives`, `massflow.stats`, `massflow.dynamics`, `massflow.sampling`, `massflow.rewards` and
`massflow.tasks` need NumPy and SciPy at most (the simulator's kernel: numba), and are imported when first asked for;
`massflow.lab` (torch) and `massflow.report` (Altair) are imported by name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from massflow.errors import InputError, MassflowError, MissingExtraError, WorkError

if TYPE_CHECKING:
    from massflow import dynamics, objectives, rewards, sampling, stats, tasks, types

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "MassflowError",
    "MissingExtraError",
    "WorkError",
    "__version__",
    "dynamics",
    "objectives",
    "rewards",
    "sampling",
    "stats",
    "tasks",
    "types",
]


def __getattr__(name: str) -> Any:
    if name in ("dynamics", "objectives", "rewards", "sampling", "stats", "tasks", "types"):
        return importlib.import_module(f"massflow.{name}")
    raise AttributeError(f"module 'massflow' has no attribute {name!r}")
