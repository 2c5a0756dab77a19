"""The kernel over seeds: blocks of them on threads, with progress, and stopped by Ctrl-C."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
from numpy.typing import NDArray

from rlvrscope.dynamics.inputs import check_count, signal
from rlvrscope.dynamics.simulator.loop import Progress
from rlvrscope.dynamics.simulator.numpy_policy import Plain
from rlvrscope.dynamics.simulator.record import Kept
from rlvrscope.extras import needs_extra

MANY_ACTIONS = 48
"""From here on a balanced rule runs sparse: logarithmic in V."""
BLOCKS_A_THREAD = 16
SECONDS_A_LOOK = 0.1
MAX_THREADS = 1024


def run_kernel(
    plain: Plain, keys_S: NDArray[np.uint64], kept: Kept, on_progress: Progress, threads: int | None
) -> None:
    """Fill `kept`. Raises MissingExtraError without numba.

    What ends it early, Ctrl-C or an error of on_progress, is raised once all threads have stopped.
    """
    threads = _threads(threads)
    with needs_extra("dynamics", "the simulator"):
        from rlvrscope.dynamics.simulator.kernel import Record, Watch, run_seeds

    sets, stop = kept.wanted.sets.values(), np.zeros(1, dtype=np.bool_)
    watch = Watch(
        np.cumsum([0, *(len(actions) for actions, _ in sets)], dtype=np.int64),
        np.concatenate([np.empty(0, np.int64), *(actions for actions, _ in sets)]),
        np.array([threshold for _, threshold in sets], dtype=np.float64),
    )
    state, rule = plain.state, plain.rule
    sparse = rule.balanced and state.rewards_V.size >= MANY_ACTIONS
    seen_V = np.ascontiguousarray(signal(state.rewards_V, plain.objective))

    def run(block: slice) -> None:
        record = Record(kept.wanted.steps_T, *(array[block] for array in kept.arrays))
        run_seeds(sparse, keys_S[block], seen_V, state.log_probs_V, rule, watch, record, stop)

    size = max(1, len(keys_S) // (threads * BLOCKS_A_THREAD))
    blocks = [slice(start, start + size) for start in range(0, len(keys_S), size)]
    with ThreadPoolExecutor(threads) as pool:
        waiting = {pool.submit(run, block) for block in blocks}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=SECONDS_A_LOOK)
                on_progress(int(kept.done_S.sum()))
                for future in done:
                    future.result()
        except BaseException:  # Ctrl-C, or what on_progress raised: the other threads end too
            stop[0] = True
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _threads(threads: int | None) -> int:
    if threads is not None:
        return check_count("threads", threads, most=MAX_THREADS)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
