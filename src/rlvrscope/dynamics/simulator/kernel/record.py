"""What the kernel keeps of a path, and the flag it looks at."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

POLL = 1024
"""Steps between looks at the stop flag."""


class Watch(NamedTuple):
    """W sets of actions, one after the other: set w is actions[first[w]:first[w + 1]]."""

    first: NDArray[np.int64]
    actions: NDArray[np.int64]
    threshold_W: NDArray[np.float64]


class Record(NamedTuple):
    """What is kept of a block of seeds; probs_STV has T = 0 where probabilities are not."""

    steps_T: NDArray[np.int64]
    probs_STV: NDArray[np.float64]
    entropy_ST: NDArray[np.float64]
    mass_SWT: NDArray[np.float64]
    passage_SW: NDArray[np.float64]
    lowest_SW: NDArray[np.float64]
    done_S: NDArray[np.int64]


@njit(nogil=True)
def note(record: Record, s: int, t: int, watch: Watch, weight_V, total: float) -> None:
    """Keep row t of seed s. weight_V: probabilities times total."""
    entropy = 0.0
    for v in range(len(weight_V)):
        p = weight_V[v] / total
        if p > 0.0:
            entropy -= p * math.log(p)
        if record.probs_STV.shape[1] > 0:
            record.probs_STV[s, t, v] = p
    record.entropy_ST[s, t] = entropy
    for w in range(len(watch.threshold_W)):
        record.mass_SWT[s, w, t] = set_weight(watch, w, weight_V) / total


@njit(nogil=True, inline="always")
def set_weight(watch: Watch, w: int, weight_V) -> float:
    found = 0.0
    for i in range(watch.first[w], watch.first[w + 1]):
        found += weight_V[watch.actions[i]]
    return found


@njit(nogil=True, inline="always")
def look(passage_W, lowest_W, step: int, first, actions, threshold_W, weight_V, total: float) -> None:
    """Note, of each watched set, its least mass so far and when it was first above its threshold."""
    for w in range(len(threshold_W)):
        mass = 0.0
        for i in range(first[w], first[w + 1]):
            mass += weight_V[actions[i]]
        mass /= total
        lowest_W[w] = min(lowest_W[w], mass)
        if mass > threshold_W[w] and math.isnan(passage_W[w]):
            passage_W[w] = step


@njit(nogil=True, inline="always")
def leave(done_S, s: int, step: int, last: int, stop) -> bool:
    """Say how far seed s is; True if it has to stop here."""
    if step % POLL == 0 or step == last:
        done_S[s] = step
        return stop[0] and step < last
    return False
