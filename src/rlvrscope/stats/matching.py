"""pass@k of one run at a given gain of pass@1.

A run is a path through (pass@1, pass@k). Its gain is the rise of pass@1 over its own base. Only the path up to the
highest pass@1 is used: later checkpoints would not be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.passk import pass_at_k_exact

SLACK = 1e-12
"""Tolerance at which a gain counts as reached."""


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A training run: its base, exact success rates and times.

    success_SP: P(correct) per evaluation and prompt; row 0 is the base. seconds_S: CPU seconds until each evaluation.
    Raises InputError unless success_SP has at least 2 evaluations, and seconds_S one value for each.
    """

    base: str
    success_SP: Floats
    seconds_S: Floats | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.success_SP)
        if len(shape) != 2 or shape[0] < 2:
            raise InputError(f"a run needs an (evaluations, prompts) array of at least 2 rows; got shape {shape}")
        if self.seconds_S is not None and np.shape(self.seconds_S) != shape[:1]:
            raise InputError(f"a run of {shape[0]} evaluations needs as many times; got {np.shape(self.seconds_S)}")

    @property
    def reach(self) -> float:
        """Largest gain of any evaluation, prompts equally weighted; 0 for a run that never gained."""
        first_S = self.success_SP.mean(axis=1)
        return float(first_S.max() - first_S[0])

    def reaches(self, gain: float) -> bool:
        return self.reach >= gain - SLACK

    @property
    def kept(self) -> int:
        """Number of evaluations up to the highest pass@1; at least 2."""
        return max(int(np.argmax(self.success_SP.mean(axis=1))), 1) + 1


def matched(run: TrainingRun, k: int, gain_G: Floats, weights_RP: Floats) -> Floats:
    """(R, G) pass@k of a run at these gains, for each row of weights of its prompts.

    pass@1 is made monotone by isotonic regression over evaluations, so that a lucky evaluation does not count as
    reaching a gain. Pooled evaluations become one point, with their mean pass@k; between points both are linear, and
    beyond the last point constant. Raises InputError for weights of another number of prompts.
    """
    if run.success_SP.shape[1] != weights_RP.shape[1]:
        raise InputError(f"the weights are for {weights_RP.shape[1]} prompts; a run has {run.success_SP.shape[1]}")
    success_SP = run.success_SP[: run.kept]
    kth_SP = pass_at_k_exact(success_SP, [k])[..., 0]
    gain_RS, kth_RS = _pooled(weights_RP @ success_SP.T, weights_RP @ kth_SP.T)
    return _interpolated(np.broadcast_to(gain_G, (len(gain_RS), len(gain_G))), gain_RS, kth_RS)


def at_gain(run: TrainingRun, k: int, gain: float) -> Floats:
    """(P,) pass@k of each prompt when pass@1, their mean, has risen by `gain`; NaN if it never does."""
    prompts = run.success_SP.shape[1]
    if not run.reaches(gain):
        return np.full(prompts, np.nan)
    success_SP = run.success_SP[: run.kept]
    kth_PS = pass_at_k_exact(success_SP, [k])[..., 0].T
    gain_PS, pooled_PS = _pooled(np.tile(success_SP.mean(axis=1), (prompts, 1)), kth_PS)
    return _interpolated(np.full((prompts, 1), gain), gain_PS, pooled_PS)[:, 0]


def seconds_to(run: TrainingRun, gain: float) -> float:
    """CPU seconds until the gain, linear between evaluations."""
    assert run.seconds_S is not None
    first_1S, seconds_1S = run.success_SP.mean(axis=1)[None, : run.kept], run.seconds_S[None, : run.kept]
    (gain_S,), (seconds_S,) = _pooled(first_1S, seconds_1S)
    return float(np.interp(gain, gain_S, seconds_S))


def rising(values_RS: Floats) -> Floats:
    """Isotonic regression: the nondecreasing curve closest to each row in least squares.

        max over a <= s of min over b >= s of mean(values[a..b])

    Source: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions (1972), chapter 1.
    """
    steps = values_RS.shape[1]
    sums_RS = np.concatenate([np.zeros((len(values_RS), 1)), np.cumsum(values_RS, axis=1)], axis=1)
    rising_RS = np.full(values_RS.shape, -np.inf)
    for first in range(steps):
        mean_RS = (sums_RS[:, first + 1 :] - sums_RS[:, first : first + 1]) / np.arange(1, steps - first + 1)
        min_RS = np.minimum.accumulate(mean_RS[:, ::-1], axis=1)[:, ::-1]  # min over b >= s, for s >= first
        rising_RS[:, first:] = np.maximum(rising_RS[:, first:], min_RS)
    return rising_RS


def _pooled(first_RS: Floats, kth_RS: Floats) -> tuple[Floats, Floats]:
    """Monotone gains, the start not fitted, and `kth` averaged over pooled evaluations."""
    rows, steps = first_RS.shape
    fitted_RS = rising(first_RS[:, 1:])
    starts_RS = np.concatenate([np.ones((rows, 1), bool), np.diff(fitted_RS, axis=1) > 0.0], axis=1)
    block_N = np.cumsum(starts_RS) - 1  # every row starts a block
    means_N = np.bincount(block_N, kth_RS[:, 1:].ravel()) / np.bincount(block_N)
    gain_RS = np.maximum(np.concatenate([first_RS[:, :1], fitted_RS], axis=1) - first_RS[:, :1], 0.0)
    return gain_RS, np.concatenate([kth_RS[:, :1], means_N[block_N].reshape(rows, steps - 1)], axis=1)


def _interpolated(at_RG: Floats, x_RS: Floats, y_RS: Floats) -> Floats:
    """np.interp of each row, constant beyond the ends, in one call: the rows are shifted to disjoint ranges."""
    shift = np.arange(len(x_RS))[:, None] * (1.0 + x_RS.max())
    inside_RG = np.clip(at_RG, x_RS[:, :1], x_RS[:, -1:])
    return np.interp((inside_RG + shift).ravel(), (x_RS + shift).ravel(), y_RS.ravel()).reshape(at_RG.shape)
