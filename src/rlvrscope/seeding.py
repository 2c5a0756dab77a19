"""Named random streams: the same seed and keys give the same stream, whatever ran before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """Generator for (seed, *keys); different keys give independent streams.

    So work can be done in any order, by any number of workers, and resumed at any step, with the same draws.

    >>> generator(0, "rollout", 3).integers(100) == generator(0, "rollout", 3).integers(100)
    True
    """
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(16, seed, *keys), "little")))


def derive_seed(seed: int, *keys: str | int) -> int:
    """Seed for (seed, *keys), from 0 to 2^63 - 1."""
    return int.from_bytes(_digest(8, seed, *keys), "little") >> 1


def uniform_rows(seeds_N: Sequence[int], count: int) -> NDArray[np.float32]:
    """(N, count) uniform numbers in [0, 1), 24 bits each, each row from its seed alone by SHAKE-128.

    For many short streams, where creating a generator costs more than drawing from it.
    """
    drawn = b"".join(hashlib.shake_128(seed.to_bytes(8, "little")).digest(4 * count) for seed in seeds_N)
    words = np.frombuffer(drawn, dtype="<u4").reshape(len(seeds_N), count)
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def _digest(size: int, *keys: str | int) -> bytes:
    named = [key if isinstance(key, str) else int(key) for key in keys]  # np.int64(3) is 3
    label = "\x1f".join(f"{type(key).__name__}:{key}" for key in named)
    return hashlib.blake2b(label.encode("utf-8", "surrogatepass"), digest_size=size).digest()
