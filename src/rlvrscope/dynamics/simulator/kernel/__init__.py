"""The simulator's fast version, compiled by numba and kept on disk: one seed after another, without Python.

It holds its own copy of the advantage formulas, tested equal to `rlvrscope.objectives` on every count vector of small
groups, and of the clear version's step, tested equal to `plain`. Two ways to hold a policy: `dense` renews every
probability after a step; `sparse` keeps a tree of sums and renews only what was drawn, for balanced rules.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from numba import njit

from rlvrscope.dynamics.simulator.kernel.dense import dense_seed
from rlvrscope.dynamics.simulator.kernel.record import Record, Watch
from rlvrscope.dynamics.simulator.kernel.sparse import sparse_seed
from rlvrscope.dynamics.simulator.rule import Rule

__all__ = ["Record", "Watch", "run_seeds"]


def _compiled(sources: int) -> Callable[..., int]:
    """`run_seeds`. Numba keeps it on disk under the captured number too: by itself it looks at this file alone."""

    @njit(nogil=True, cache=True)
    def run(sparse: bool, keys_S, signal_V, start_V, rule: Rule, watch: Watch, record: Record, stop) -> int:
        for s in range(len(keys_S)):
            if sparse:
                going = sparse_seed(s, keys_S[s], signal_V, start_V, rule, watch, record, stop)
            else:
                going = dense_seed(s, keys_S[s], signal_V, start_V, rule, watch, record, stop)
            if not going:
                break
        return sources

    return run


def _sources() -> int:
    """A checksum of all that is compiled in."""
    here = Path(__file__).parent
    outside = [here.parent / "rule.py", here.parent / "streams.py", here.parents[2] / "objectives" / "loss.py"]
    return zlib.crc32(b"".join(path.read_bytes() for path in [*sorted(here.glob("*.py")), *outside]))


run_seeds = _compiled(_sources())
"""A block of seeds, one after the other; returns early if the stop flag is raised."""
