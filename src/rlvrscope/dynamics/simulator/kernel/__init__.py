"""The kernel of the simulator, compiled by numba and cached on disk: seed after seed, without Python.

It has its own copies of the advantage formula, tested equal to `rlvrscope.objectives` on every count vector of small
groups, and of the update, tested equal to `numpy_backend`. Two representations of a policy: `dense` renews every
probability after a step; `sparse` keeps a tree of sums and renews only what was drawn, for balanced rules.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from numba import njit

from rlvrscope.dynamics.simulator.kernel.dense import simulate_dense
from rlvrscope.dynamics.simulator.kernel.operations import Output, Watch
from rlvrscope.dynamics.simulator.kernel.sparse import simulate_sparse
from rlvrscope.dynamics.simulator.update_rule import UpdateRule

__all__ = ["Output", "Watch", "run_seeds"]


def _compile(version: int) -> Callable[..., int]:
    """`run_seeds`. On its own, numba's disk cache notices changes of this file only; it also keys by `version`."""

    @njit(nogil=True, cache=True)
    def run(sparse: bool, keys_S, signal_V, start_V, rule: UpdateRule, watch: Watch, output: Output, stop) -> int:
        for s in range(len(keys_S)):
            if sparse:
                finished = simulate_sparse(s, keys_S[s], signal_V, start_V, rule, watch, output, stop)
            else:
                finished = simulate_dense(s, keys_S[s], signal_V, start_V, rule, watch, output, stop)
            if not finished:
                break
        return version

    return run


def _source_checksum() -> int:
    """Checksum of the simulator's sources, which hold all that is compiled; the rest arrives in the arguments."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    return zlib.crc32(b"".join(path.read_bytes() for path in sources))


run_seeds = _compile(_source_checksum())
"""Simulate a block of seeds, one after the other; returns early if the stop flag is raised."""
