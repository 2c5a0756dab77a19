"""massflow: where RLVR moves a language model's probability mass, and what that does to its boundary.

Public API: `massflow.objectives`, `massflow.stats` and `massflow.tasks` need NumPy only; `massflow.lab` (torch)
and `massflow.report` (Altair) are imported when asked for.
"""

from massflow import objectives, stats, tasks
from massflow.errors import InputError, MassflowError, MissingExtraError, WorkError

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "MassflowError",
    "MissingExtraError",
    "WorkError",
    "__version__",
    "objectives",
    "stats",
    "tasks",
]
