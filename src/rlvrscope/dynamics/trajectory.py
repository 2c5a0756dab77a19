"""Paths of a policy over seeds and steps, and the statistics read off them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.inputs import brief, check_actions, check_count, vector, whole_numbers
from rlvrscope.dynamics.softmax import entropy
from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.stats import pass_at_k_exact

MAX_RECORDED_STEPS = 10_000_000
"""Recorded steps of one seed."""
MAX_BYTES = 8 << 30
"""Memory of all recorded numbers."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """S seeds at T recorded steps; row 0 is the start.

    seeds: (S,) ids. steps_T: (T,) numbers of updates. probs_STV: (S, T, V), or None if not recorded. entropy_ST: nats.
    masses: for each watched set of actions, its mass (S, T).
    first_passage: for each, (S,) the first step, recorded or not, after which its mass exceeded its threshold; NaN if
    none. lowest: for each, (S,) its lowest mass over all steps.
    """

    seeds: Ints
    steps_T: Ints
    probs_STV: Floats | None
    entropy_ST: Floats
    masses: Mapping[str, Floats] = field(default_factory=dict)
    first_passage: Mapping[str, Floats] = field(default_factory=dict)
    lowest: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def of_probs(cls, seeds: Ints, steps_T: Ints, probs_STV: Floats) -> Trajectory:
        return cls(seeds, steps_T, probs_STV, entropy(probs_STV))

    def mass(self, actions: Sequence[int]) -> Floats:
        """Mass of a set of actions, (S, T). Raises InputError if probabilities were not recorded."""
        if self.probs_STV is None:
            raise InputError("this trajectory kept no probabilities: simulate with keep_probs=True, or watch the set")
        return self.probs_STV[:, :, check_actions("actions", actions, self.probs_STV.shape[2])].sum(axis=2)

    def pass_at_k(self, actions: Sequence[int], ks: Sequence[int]) -> Floats:
        """Chance that k draws contain one of these actions, 1 - (1 - mass)^k: (S, T, K)."""
        if whole_numbers(ks) is None:
            raise InputError(f"ks must be a list of whole numbers; got {brief(ks)}")
        mass_ST = np.clip(self.mass(actions), 0.0, 1.0)
        return pass_at_k_exact(mass_ST.ravel(), ks).reshape(*mass_ST.shape, -1)

    def share_never(self, name: str) -> float:
        """Share of seeds in which a watched set never exceeded its threshold. Raises InputError for another name."""
        return float(np.isnan(self._passage(name)).mean())

    def passage_quantiles(self, name: str, shares: ArrayLike = (0.1, 0.5, 0.9)) -> Floats:
        """Steps by which these shares of all seeds had passed; NaN where fewer ever did.

        Raises InputError for a set that was not watched, or shares outside [0, 1].
        """
        passage_S, levels = self._passage(name), vector("shares", shares)
        if not ((levels >= 0.0) & (levels <= 1.0)).all():
            raise InputError(f"shares must be between 0 and 1; got {brief(shares)}")
        quantiles = np.quantile(np.where(np.isnan(passage_S), np.inf, passage_S), levels, method="inverted_cdf")
        return np.where(np.isinf(quantiles), np.nan, quantiles)

    def _passage(self, name: str) -> Floats:
        if not isinstance(name, str) or name not in self.first_passage:
            hint = did_you_mean(str(name), list(self.first_passage)) if self.first_passage else "None was: give watch=."
            raise InputError(f"no set {brief(name)} was watched. {hint}")
        return self.first_passage[name]


def recorded_steps(steps: int, record_every: int | Sequence[int]) -> Ints:
    """Steps to record, (T,): the start, every `record_every`-th step or the listed steps, and the last one.

    Raises InputError unless record_every is a positive whole number, or whole numbers from 0 to `steps`, and for more
    than 10 million rows.
    """
    listed = whole_numbers(record_every)
    if listed is None and isinstance(record_every, (int, np.integer)):
        every = check_count("record_every", record_every)
        if steps // every > MAX_RECORDED_STEPS:
            raise InputError(
                f"record_every={every} of {steps:,} steps keeps more than {MAX_RECORDED_STEPS:,}: raise it"
            )
        return np.unique(np.append(np.arange(0, steps + 1, every), steps))
    if listed is None or listed.min() < 0 or listed.max() > steps:
        raise InputError(f"record_every must be a number, or steps between 0 and {steps}; got {brief(record_every)}")
    return np.unique(np.append(listed, [0, steps]))


def check_memory(numbers: int, size: str, remedy: str) -> None:
    """Raise InputError if this many float64 numbers take more than 8 GiB. size: what they are, in words."""
    if 8 * numbers > MAX_BYTES:
        raise InputError(
            f"{size} would take {8 * numbers / 2**30:.1f} GiB, and at most {MAX_BYTES >> 30} are taken: {remedy}"
        )
