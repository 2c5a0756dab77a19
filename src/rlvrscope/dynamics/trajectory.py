"""Paths of a policy over seeds and steps, and what is read off them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlvrscope.config import did_you_mean
from rlvrscope.dynamics.inputs import Floats, brief, check_actions, check_count, numbers, whole_numbers
from rlvrscope.errors import InputError
from rlvrscope.stats import pass_at_k_exact

MAX_ROWS = 10_000_000
"""Steps recorded of one seed."""


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
        if whole_numbers(ks) is None:
            raise InputError(f"ks must be a list of whole numbers; got {brief(ks)}")
        mass_ST = np.clip(self.mass(actions), 0.0, 1.0)
        return pass_at_k_exact(mass_ST.ravel(), ks).reshape(*mass_ST.shape, -1)

    def share_never(self, name: str) -> float:
        """The share of seeds in which a watched set never passed its threshold. Raises InputError for another name."""
        return float(np.isnan(self._passage(name)).mean())

    def passage_quantiles(self, name: str, shares: ArrayLike = (0.1, 0.5, 0.9)) -> Floats:
        """Steps after which these shares of all seeds had passed; NaN where fewer ever did.

        Raises InputError for a set that was not watched, or shares that do not lie between 0 and 1.
        """
        passage_S, wanted = self._passage(name), numbers("shares", shares)
        if not ((wanted >= 0.0) & (wanted <= 1.0)).all():
            raise InputError(f"shares must lie between 0 and 1; got {brief(shares)}")
        found = np.quantile(np.where(np.isnan(passage_S), np.inf, passage_S), wanted, method="inverted_cdf")
        return np.where(np.isinf(found), np.nan, found)

    def _passage(self, name: str) -> Floats:
        if not isinstance(name, str) or name not in self.first_passage:
            known = (
                did_you_mean(str(name), list(self.first_passage)) if self.first_passage else "None was: give watch=."
            )
            raise InputError(f"no set {brief(name)} was watched. {known}")
        return self.first_passage[name]

    def _kept(self) -> Floats:
        if self.probs_STV is None:
            raise InputError("this trajectory kept no probabilities: simulate with keep_probs=True, or watch the set")
        return self.probs_STV


def entropy(probs_STV: Floats) -> Floats:
    """-sum_v p log p over the last axis, nats."""
    logs = np.log(probs_STV, out=np.zeros_like(probs_STV), where=probs_STV > 0.0)
    return -(probs_STV * logs).sum(axis=-1)


def recorded_steps(steps: int, record_every: int | Sequence[int]) -> NDArray[np.int64]:
    """The start, then every so many steps or the steps listed, and the last one. (T,)

    Raises InputError unless it is a whole number from 1 up, or whole numbers from 0 to `steps`, and for more than
    10 million rows.
    """
    listed = whole_numbers(record_every)
    if listed is None and isinstance(record_every, (int, np.integer)):
        every = check_count("record_every", record_every)
        if steps // every > MAX_ROWS:
            raise InputError(f"record_every={every} of {steps:,} steps keeps more than {MAX_ROWS:,}: raise it")
        return np.unique(np.append(np.arange(0, steps + 1, every), steps))
    if listed is None or listed.min() < 0 or listed.max() > steps:
        raise InputError(f"record_every must be a number, or steps between 0 and {steps}; got {brief(record_every)}")
    return np.unique(np.append(listed, [0, steps]))
