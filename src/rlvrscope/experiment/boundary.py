"""A base against trained models: the comparison and what goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rlvrscope.errors import InputError
from rlvrscope.experiment.boundary_rates import Metric, metrics
from rlvrscope.readers import ModelCounts
from rlvrscope.seeding import generator
from rlvrscope.stats import Comparison, Curve, compare_all, shared_problems
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.standard_errors import NEW_PROBLEMS, THIS_SET

RATES = ("never", "rarely", "often", "always")
"""A problem is solved never (c = 0), rarely (under half of the samples), often, or always (c = n)."""


@dataclass(frozen=True)
class Question:
    """What is asked of the counts: see `rlvrscope.stats.compare_all`.

    ks: by default 1, 2, 4, ... up to the fewest samples. options: answers to choose from, for the guessing baseline.
    """

    ks: tuple[int, ...] | None = None
    confidence: float = 0.95
    target: str = NEW_PROBLEMS
    simultaneous: bool = True
    margin: float = 0.01
    ledger_k: int | None = None
    resamples: int = 10_000
    seed: int = 0
    options: int | None = None


@dataclass(frozen=True)
class Boundary:
    """One base and the models trained from it, compared; trained models by name, in the order they came.

    left_out: how many problems of each model are not compared, since not all models have them.
    """

    base: ModelCounts
    trained: dict[str, ModelCounts]
    question: Question
    comparisons: dict[str, Comparison]
    left_out: dict[str, int]

    @classmethod
    def of(
        cls, base: ModelCounts, trained: Sequence[ModelCounts], question: Question = Question(), shared: bool = False
    ) -> Boundary:
        """Raises InputError for models of other problems (unless `shared`), and for what `compare_all` refuses."""
        if not question.margin <= 1.0:
            raise InputError(f"no difference in pass@k is beyond 1, so the margin is at most 1; got {question.margin}")
        before = {name: len(model.counts.problems) for name, model in named([base, *trained]).items()}
        if shared:
            base, trained = _shared(base, trained)
        _, *names = before
        by_name = dict(zip(names, trained, strict=True))
        ks = default_ks([base.counts, *(model.counts for model in trained)])
        if question.target == THIS_SET and ks == (1,):
            raise InputError("other samples of this set: their noise shows from 2 samples of every problem on; got 1")
        comparisons = compare_all(
            base.counts,
            {name: model.counts for name, model in by_name.items()},
            question.ks or ks,
            rng=generator(question.seed, "boundary"),
            confidence=question.confidence,
            target=question.target,
            simultaneous=question.simultaneous,
            margin=question.margin,
            ledger_k=question.ledger_k,
            resamples=question.resamples,
        )
        left_out = {name: number - len(base.counts.problems) for name, number in before.items()}
        return cls(base, by_name, question, comparisons, left_out)

    @property
    def ks(self) -> tuple[int, ...]:
        return next(iter(self.comparisons.values())).ks

    @property
    def base_curve(self) -> Curve:
        return next(iter(self.comparisons.values())).base

    @property
    def problems(self) -> int:
        return len(self.base.counts.problems)

    @property
    def fewest(self) -> int:
        """The fewest samples that any problem has from any model."""
        return int(min(model.counts.n.min() for model in (self.base, *self.trained.values())))

    @cached_property
    def metrics(self) -> list[Metric]:
        """What stands beside pass@k: pass^k, G-Pass, Cover, majority, guessing."""
        return metrics([self.base, *self.trained.values()], self.fewest, self.question.options)

    def moves(self, name: str) -> np.ndarray:
        """(4, 4) how many problems were solved how often by the base (row) and by the trained model (column)."""
        rows, columns = (
            _rate_class(model.counts, self.base.counts.problems) for model in (self.base, self.trained[name])
        )
        table = np.zeros((len(RATES), len(RATES)), dtype=int)
        np.add.at(table, (rows, columns), 1)
        return table


def default_ks(counts: Sequence[GroupCounts]) -> tuple[int, ...]:
    """1, 2, 4, ... up to the fewest samples of any problem. Raises InputError if one has none."""
    fewest = int(min(side.n.min() for side in counts))
    if fewest < 1:
        raise InputError("a problem has no samples at all (n = 0): leave it out, or sample it")
    return tuple(2**power for power in range(fewest.bit_length()))


def _shared(base: ModelCounts, trained: Sequence[ModelCounts]) -> tuple[ModelCounts, list[ModelCounts]]:
    """All models with the problems that all of them have."""
    counts = base.counts
    for model in trained:
        counts, _ = shared_problems(counts, model.counts)
    kept = [ModelCounts(model.name, model.counts.select(counts.problems), model.source) for model in trained]
    return ModelCounts(base.name, counts, base.source), kept


def named(models: Sequence[ModelCounts]) -> dict[str, ModelCounts]:
    """By name; a name that is taken gets a number."""
    found: dict[str, ModelCounts] = {}
    for model in models:
        names = [model.name, *(f"{model.name} ({number})" for number in range(2, len(models) + 1))]
        found[next(name for name in names if name not in found)] = model
    return found


def _rate_class(counts: GroupCounts, problems: Sequence[str]) -> np.ndarray:
    n_P, c_P = counts.select(problems).pooled
    return np.select([c_P == 0, c_P == n_P, 2 * c_P < n_P], [0, 3, 1], default=2)
