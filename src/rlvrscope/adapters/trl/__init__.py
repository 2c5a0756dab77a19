"""TRL: its GRPOTrainer with any objective, and callbacks that measure the boundary and the stage of a run.

    from rlvrscope.adapters.trl import GRPOTrainer, LedgerCallback, StageCallback

The callbacks also work with TRL's own GRPOTrainer. Tested with TRL 1.16; tests/adapters/trl/test_contract.py names
every private attribute of TRL that is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rlvrscope.extras import needs_extra

if TYPE_CHECKING:
    from rlvrscope.adapters.trl.boundary_callback import BoundaryCallback
    from rlvrscope.adapters.trl.ledger_callback import LedgerCallback
    from rlvrscope.adapters.trl.probe_callback import ProbeCallback
    from rlvrscope.adapters.trl.stage_callback import StageCallback
    from rlvrscope.adapters.trl.trainer import GRPOTrainer

_MODULES = {
    "GRPOTrainer": "trainer",
    "LedgerCallback": "ledger_callback",
    "StageCallback": "stage_callback",
    "ProbeCallback": "probe_callback",
    "BoundaryCallback": "boundary_callback",
}

__all__ = ["BoundaryCallback", "GRPOTrainer", "LedgerCallback", "ProbeCallback", "StageCallback"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra("trl", "the TRL adapter"):
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
