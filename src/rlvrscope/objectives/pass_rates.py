"""Pass rates of the batches before this one, for the objective that weighs by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rlvrscope.arrays import Array, Ints
from rlvrscope.errors import InputError
from rlvrscope.objectives.objective import Objective
from rlvrscope.objectives.success_count import RateWeights, ReverseHazard


@dataclass
class PassRates:
    """Histograms of the pass rates of the latest batches, oldest first: what `ReverseHazard` needs to be remembered."""

    histograms: list[Ints] = field(default_factory=list)
    """(G + 1,) each: groups by their number of correct rollouts."""

    def weighted(self, rewards_PG: Array, objective: Objective) -> Objective:
        """The objective of this batch, with `RateWeights` for its `ReverseHazard`; the batch is remembered afterwards.

        Any other objective is returned as it is. To be called once a batch.
        Raises InputError if the groups before had another size.
        """
        shape = objective.shape
        if not isinstance(shape, ReverseHazard):
            return objective
        rewards = np.asarray(rewards_PG.cpu() if hasattr(rewards_PG, "cpu") else rewards_PG)
        size = rewards.shape[1]
        if self.histograms and len(self.histograms[-1]) != size + 1:
            raise InputError(
                f"pass rates are remembered of groups of {len(self.histograms[-1]) - 1} rollouts, and this batch has "
                f"groups of {size}: start with new PassRates"
            )
        batch_C = np.bincount((rewards >= objective.threshold).sum(axis=1), minlength=size + 1)
        weights = _weights(np.sum(self.histograms or [batch_C], axis=0))
        self.histograms = [*self.histograms, batch_C][-shape.batches :]
        return objective.replace(shape=weights)

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[int]]) -> PassRates:
        """Histograms as they were written down. Raises InputError for counts below 0 or rows of different lengths."""
        if len({len(row) for row in rows}) > 1 or any(min(row, default=-1) < 0 for row in rows):
            raise InputError("pass rates must be histograms of one length, with counts of at least 0")
        return cls([np.asarray(row, dtype=np.int64) for row in rows])


def _weights(count_C: Ints) -> RateWeights:
    mixed_C = count_C.copy()
    mixed_C[[0, -1]] = 0
    below_C = np.cumsum(mixed_C)
    weight_C = np.divide(mixed_C, below_C, out=np.zeros(len(mixed_C)), where=below_C > 0)
    return RateWeights(tuple((count / (len(mixed_C) - 1), float(weight)) for count, weight in enumerate(weight_C)))
