"""Paths of a policy over seeds and steps, and what is read off them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from massflow.dynamics.inputs import Floats, check_actions, check_count
from massflow.errors import InputError
from massflow.stats import pass_at_k_exact


@dataclass(frozen=True, eq=False)
class Trajectory:
    """S seeds at T recorded steps; row 0 is the start.

    seeds: (S,) ids. steps_T: (T,) after how many updates. probs_STV: (S, T, V), or None where not kept.
    entropy_ST: nats. masses: for each set of actions that was watched, its mass (S, T).
    first_passage: for each, (S,) the first of all steps, recorded or not, after which its mass was above its
    threshold; NaN where it never was. lowest: for each, (S,) its least mass over all steps.
    """

    seeds: NDArray[np.int64]
    steps_T: NDArray[np.int64]
    probs_STV: Floats | None
    entropy_ST: Floats
    masses: Mapping[str, Floats] = field(default_factory=dict)
    first_passage: Mapping[str, Floats] = field(default_factory=dict)
    lowest: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def of_probs(cls, seeds: NDArray[np.int64], steps_T: NDArray[np.int64], probs_STV: Floats) -> Trajectory:
        return cls(seeds, steps_T, probs_STV, entropy(probs_STV))

    def mass(self, actions: Sequence[int]) -> Floats:
        """The mass of a set of actions, (S, T). Raises InputError if probabilities were not kept."""
        probs_STV = self._kept()
        return probs_STV[:, :, check_actions("actions", actions, probs_STV.shape[2])].sum(axis=2)

    def pass_at_k(self, actions: Sequence[int], ks: Sequence[int]) -> Floats:
        """The chance that k draws hold one of these actions, 1 - (1 - mass)^k: (S, T, K)."""
        mass_ST = np.clip(self.mass(actions), 0.0, 1.0)
        return pass_at_k_exact(mass_ST.ravel(), ks).reshape(*mass_ST.shape, -1)

    def share_never(self, name: str) -> float:
        """The share of seeds in which a watched set never passed its threshold."""
        return float(np.isnan(self.first_passage[name]).mean())

    def passage_quantiles(self, name: str, shares: ArrayLike = (0.1, 0.5, 0.9)) -> Floats:
        """Steps after which these shares of all seeds had passed; NaN where fewer ever did."""
        steps_S = np.where(np.isnan(self.first_passage[name]), np.inf, self.first_passage[name])
        found = np.quantile(steps_S, np.asarray(shares, dtype=np.float64), method="inverted_cdf")
        return np.where(np.isinf(found), np.nan, found)

    def _kept(self) -> Floats:
        if self.probs_STV is None:
            raise InputError("this trajectory kept no probabilities: simulate with keep_probs=True, or watch the set")
        return self.probs_STV


def entropy(probs_STV: Floats) -> Floats:
    """-sum_v p log p over the last axis, nats."""
    logs = np.log(probs_STV, out=np.zeros_like(probs_STV), where=probs_STV > 0.0)
    return -(probs_STV * logs).sum(axis=-1)


def recorded_steps(steps: int, record_every: int | Sequence[int]) -> NDArray[np.int64]:
    """0, then every so many steps and the last one; or the steps listed, with 0 before them. (T,)

    Raises InputError unless it is a whole number from 1 up, or whole numbers from 0 to `steps`.
    """
    if np.ndim(record_every) == 0:
        every = check_count("record_every", record_every)
        return np.unique(np.append(np.arange(0, steps + 1, every), steps))
    listed = np.asarray(record_every)
    if listed.dtype.kind not in "iu" or listed.size == 0 or listed.min() < 0 or listed.max() > steps:
        raise InputError(f"record_every must be a number, or steps between 0 and {steps}; got {record_every!r}")
    return np.unique(np.append(listed.astype(np.int64), 0))
