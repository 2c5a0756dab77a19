"""Training runs made by hand, for tests of what is read from real ones."""

from __future__ import annotations

import numpy as np

from rlvrscope.seeding import generator
from rlvrscope.stats import TrainingRun, resample_weights


def level(*success: float, prompts: int = 40, base: str = "0", seconds=None) -> TrainingRun:
    """A run all of whose prompts have the same success probability."""
    return TrainingRun(base, np.repeat(np.array(success)[:, None], prompts, axis=1), seconds)


def path(reach: float, base: str = "0", steps: int = 201, prompts: int = 60) -> TrainingRun:
    """Sharpening, in a straight line: half of the prompts gain, half are lost."""
    start, end = generator(0, "path", base).beta(1, 3, prompts), np.tile([0.95, 0.001], prompts // 2)
    return TrainingRun(base, start + np.linspace(0.0, reach, steps)[:, None] * (end - start))


def alike(prompts: int) -> np.ndarray:
    return np.full((1, prompts), 1.0 / prompts)


def weights(prompts: int, resamples: int = 200) -> np.ndarray:
    return resample_weights(prompts, resamples, generator(0, "w"))
