"""Random streams by name: the same seed and keys give the same stream, whatever ran before."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A generator of its own for (seed, *keys).

    Streams of different keys are independent, so work can be done in any order, by any number of workers,
    and resumed at any step, with the same draws.

    >>> generator(0, "rollout", 3).integers(100) == generator(0, "rollout", 3).integers(100)
    True
    """
    named = [key if isinstance(key, str) else int(key) for key in (seed, *keys)]  # np.int64(3) is 3
    label = "\x1f".join(f"{type(key).__name__}:{key}" for key in named)
    digest = hashlib.blake2b(label.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
