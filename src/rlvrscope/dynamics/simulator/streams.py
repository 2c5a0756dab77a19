"""Counter-based uniform draws: draw i of seed s is a function of the root key, s and i alone.

SplitMix64 with one starting state per seed: state = key_s + (i + 1) GAMMA, and the draw is a mix of it. So a seed's
path does not depend on which others run, in which order or on how many threads. All seeds walk one cycle of 2^64 from
random places: the chance that two of 1,000 seeds share any of 320,000 draws each is 2e-8.
Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014); constants of Stafford's mix 13.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats, Ints

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
S30, S27, S31, S12 = (np.uint64(shift) for shift in (30, 27, 31, 12))
UNIT = 2.0**-52
"""52 bits: u * total is then below total after rounding, so a draw never falls off the end of a cumulative sum."""

Words = TypeVar("Words", np.uint64, NDArray[np.uint64])
"""One 64-bit word or an array of them."""


def mix(state: Words) -> Words:
    """SplitMix64's output function, a bijection of 64 bits. Plain arithmetic: numba compiles it for the kernel."""
    state = (state ^ (state >> S30)) * FIRST
    state = (state ^ (state >> S27)) * SECOND
    return state ^ (state >> S31)


def seed_keys(rng: np.random.Generator, seeds: Ints) -> NDArray[np.uint64]:
    """Starting state of each seed's stream, (S,). Takes one number from rng, whatever the seeds."""
    root = rng.integers(0, 2**64, dtype=np.uint64)
    with np.errstate(over="ignore"):
        return mix(root + mix(seeds.astype(np.uint64) * GAMMA + FIRST))


def uniforms(keys_S: NDArray[np.uint64], first: int, count: int) -> Floats:
    """Draws first, ..., first + count - 1 of every stream, in [0, 1). (S, count)"""
    with np.errstate(over="ignore"):
        states = keys_S[:, None] + np.arange(first + 1, first + count + 1, dtype=np.uint64) * GAMMA
        return (mix(states) >> S12).astype(np.float64) * UNIT
