"""The compiled version of the simulator: blocks of seeds on threads, with progress and Ctrl-C."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
from numpy.typing import NDArray

from rlvrscope.dynamics.inputs import signal
from rlvrscope.dynamics.simulator.numpy_backend import BanditLearner, Progress
from rlvrscope.dynamics.simulator.recording import Recorder, Recording
from rlvrscope.extras import needs_extra

MIN_SPARSE_ACTIONS = 48
"""From this many actions on, the sparse policy (logarithmic in V) is faster for a balanced rule."""
BLOCKS_PER_THREAD = 16
PROGRESS_SECONDS = 0.1


def run_kernel(
    learner: BanditLearner, keys_S: NDArray[np.uint64], recorder: Recorder, on_progress: Progress, threads: int
) -> None:
    """Simulate all seeds into `recorder`. Raises MissingExtraError without numba.

    Ctrl-C and errors of on_progress are raised once all threads have stopped.
    """
    with needs_extra("dynamics", "the simulator"):
        from rlvrscope.dynamics.simulator.kernel import Output, run_seeds

    bandit, rule, recording = learner.bandit, learner.rule, recorder.recording
    watch, stop = _watch(recording), np.zeros(1, dtype=np.bool_)
    sparse = rule.balanced and bandit.rewards_V.size >= MIN_SPARSE_ACTIONS
    signal_V = signal(bandit.rewards_V, learner.objective)

    def run(block: slice) -> None:
        output = Output(recording.steps_T, *(array[block] for array in recorder.arrays))
        run_seeds(sparse, keys_S[block], signal_V, bandit.log_probs_V, rule, watch, output, stop)

    size = max(1, len(keys_S) // (threads * BLOCKS_PER_THREAD))
    blocks = [slice(start, start + size) for start in range(0, len(keys_S), size)]
    with ThreadPoolExecutor(threads) as pool:
        pending = {pool.submit(run, block) for block in blocks}
        try:
            while pending:
                done, pending = wait(pending, timeout=PROGRESS_SECONDS)
                on_progress(int(recorder.done_S.sum()))
                for future in done:
                    future.result()
        except BaseException:  # Ctrl-C or an error of on_progress: stop the other threads too
            stop[0] = True
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _watch(recording: Recording):
    from rlvrscope.dynamics.simulator.kernel import Watch

    sets = list(recording.watched_W.values())
    return Watch(
        np.cumsum([0, *map(len, sets)], dtype=np.int64),
        np.concatenate([np.empty(0, np.int64), *sets]),
        np.full(len(sets), recording.threshold),
    )
