"""A base against the models trained from it: the comparison, moves between success classes, and other metrics."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.experiment.sample_facts import SampleFact, sample_facts
from rlvrscope.readers import ModelCounts
from rlvrscope.seeding import generator
from rlvrscope.stats import (
    Comparison,
    Curve,
    all_at_k,
    compare_pairs,
    cover_at,
    g_pass_at_k,
    guessing_pass_at_k,
    majority_at_k,
    pass_at_k,
    shared_problems,
)
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.standard_errors import NEW_PROBLEMS, THIS_SET

if TYPE_CHECKING:
    from rlvrscope.experiment.breakdown import Breakdown
    from rlvrscope.experiment.ranking import Ranking

Name = TypeVar("Name", bound=Hashable)
SUCCESS_CLASSES = ("never", "rarely", "often", "always")
"""A problem is solved never (c = 0), rarely (c < n / 2), often, or always (c = n)."""
SMALL_K = 8
"""k of pass^k, G-Pass and the smaller majority."""
MAX_MAJORITY_K = 64
COVER_TAUS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Question:
    """Settings of a comparison, as in `rlvrscope.stats.compare_all`.

    ks: by default 1, 2, 4, ... up to the fewest samples; with at_least_k up to those of at least half of the problems.
    options: number of answers to choose from, for the guessing baseline.
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
    at_least_k: bool = False

    def ks_for(self, counts: Sequence[GroupCounts]) -> tuple[int, ...]:
        """The ks to compare at. Raises InputError where there are too few samples for the intervals asked for."""
        ks = default_ks(counts, self.at_least_k)
        if self.target == THIS_SET and ks == (1,):
            raise InputError("intervals for this set need at least 2 samples of every problem; got 1")
        return self.ks or ks

    def compare(
        self, pairs: Mapping[Name, tuple[GroupCounts, GroupCounts]], ks: Sequence[int], stream: str
    ) -> dict[Name, Comparison]:
        """Compare pairs of counts as one family of claims. stream: names the random draws."""
        return compare_pairs(
            pairs,
            ks,
            rng=generator(self.seed, stream),
            confidence=self.confidence,
            target=self.target,
            simultaneous=self.simultaneous,
            margin=self.margin,
            ledger_k=self.ledger_k,
            resamples=self.resamples,
            at_least_k=self.at_least_k,
        )


@dataclass(frozen=True)
class Metric:
    """A metric and its value for every model, the base first; NaN where undefined."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Boundary:
    """A base and the models trained from it, compared. `trained` keeps the order of its sources.

    left_out: problems of each model that are not compared because another model lacks them. bases_left_out: likewise,
    the bases. breakdown, ranking: where they were asked for.
    """

    base: ModelCounts
    trained: dict[str, ModelCounts]
    question: Question
    comparisons: dict[str, Comparison]
    left_out: dict[str, int]
    bases_left_out: tuple[str, ...] = ()
    breakdown: Breakdown | None = None
    ranking: Ranking | None = None

    @classmethod
    def of(
        cls, base: ModelCounts, trained: Sequence[ModelCounts], question: Question = Question(), shared: bool = False
    ) -> Boundary:
        """Compare. Raises InputError for models of other problems or bases (unless `shared`) and for bad settings."""
        if not question.margin <= 1.0:
            raise InputError(
                f"a difference in pass@k is at most 1, so the margin must be at most 1; got {question.margin}"
            )
        num_problems = {name: len(model.counts.problems) for name, model in by_unique_name([base, *trained]).items()}
        bases = {label for model in [base, *trained] for label in model.counts.base or ()}
        if shared:
            base, trained = _with_shared_problems(base, trained)
        _, *names = num_problems
        by_name = dict(zip(names, trained, strict=True))
        ks = question.ks_for([base.counts, *(model.counts for model in trained)])
        pairs = {name: (base.counts, model.counts) for name, model in by_name.items()}
        comparisons = question.compare(pairs, ks, "boundary")
        left_out = {name: number - len(base.counts.problems) for name, number in num_problems.items()}
        kept = {label for model in [base, *trained] for label in model.counts.base or ()}
        return cls(base, by_name, question, comparisons, left_out, tuple(sorted(bases - kept)))

    @property
    def ks(self) -> tuple[int, ...]:
        return self.base_curve.ks

    @property
    def base_curve(self) -> Curve:
        return next(iter(self.comparisons.values())).base

    @property
    def num_problems(self) -> int:
        return len(self.base.counts.problems)

    @property
    def models(self) -> tuple[ModelCounts, ...]:
        """The base, then the trained models."""
        return self.base, *self.trained.values()

    @property
    def min_samples(self) -> int:
        """The fewest samples that any model has of any problem."""
        return int(min(model.counts.n.min() for model in self.models))

    @cached_property
    def metrics(self) -> list[Metric]:
        """Means over problems and runs: pass^k, G-Pass, Cover, majority, pass@k above guessing."""
        return metrics(self.models, self.min_samples, self.question.options)

    @cached_property
    def sample_facts(self) -> list[SampleFact]:
        """Different answers, completions cut off, lengths: where the sources hold samples that tell them."""
        return sample_facts(self.models, self.min_samples, self.question.confidence)

    def moves(self, name: str) -> Ints:
        """(4, 4) number of problems by success class under the base (row) and under the trained model (column)."""
        problems = self.base.counts.problems
        rows, columns = (_success_class(model.counts, problems) for model in (self.base, self.trained[name]))
        table = np.zeros((len(SUCCESS_CLASSES), len(SUCCESS_CLASSES)), dtype=np.int64)
        np.add.at(table, (rows, columns), 1)
        return table


def default_ks(counts: Sequence[GroupCounts], at_least_k: bool = False) -> tuple[int, ...]:
    """1, 2, 4, ... up to the fewest samples of any problem, or, with at_least_k, of at least half of the problems.

    Raises InputError if a problem has no samples.
    """
    fewest: dict[str, int] = {}
    for side in counts:
        for problem, n in zip(side.problem, side.n.tolist(), strict=True):
            fewest[problem] = min(n, fewest.get(problem, n))
    ordered = sorted(fewest.values(), reverse=True)
    if ordered[-1] < 1:
        raise InputError("a problem has no samples at all (n = 0): leave it out, or sample it")
    last = ordered[(len(ordered) - 1) // 2] if at_least_k else ordered[-1]
    return tuple(2**power for power in range(last.bit_length()))


def by_unique_name(models: Sequence[ModelCounts]) -> dict[str, ModelCounts]:
    """Models by name; a repeated name gets a number."""
    by_name: dict[str, ModelCounts] = {}
    for model in models:
        names = [model.name, *(f"{model.name} ({number})" for number in range(2, len(models) + 1))]
        by_name[next(name for name in names if name not in by_name)] = model
    return by_name


def metrics(models: Sequence[ModelCounts], min_samples: int, options: int | None) -> list[Metric]:
    """See `Boundary.metrics`. options: number of answers to choose from; None leaves out the guessing baseline."""
    small, large = min(SMALL_K, min_samples), 2 ** (min_samples.bit_length() - 1)
    counts = [model.counts for model in models]
    rows = [
        Metric(f"pass^{small}", tuple(_mean(side, lambda n, c: all_at_k(n, c, [small])) for side in counts)),
        Metric(
            f"G-Pass@{small}, tau = .5",
            tuple(_mean(side, lambda n, c: g_pass_at_k(n, c, [small], 0.5)) for side in counts),
        ),
    ]
    covers = [cover_at(side, COVER_TAUS) for side in counts]
    rows += [Metric(f"Cover@{tau:g}", tuple(float(c[i]) for c in covers)) for i, tau in enumerate(COVER_TAUS)]
    if any(model.has_answers for model in models):
        ks = sorted({small, min(large, MAX_MAJORITY_K)})
        majorities = [_majority(model, ks) for model in models]
        rows += [Metric(f"maj@{k}", tuple(float(m[index]) for m in majorities)) for index, k in enumerate(ks)]
    if options is not None:
        rows += [_above_guessing(options, k, counts) for k in sorted({1, large})]
    return rows


def _above_guessing(options: int, k: int, counts: Sequence[GroupCounts]) -> Metric:
    guess = float(guessing_pass_at_k([options], [k])[0, 0])
    above = tuple(_mean(side, lambda n, c: pass_at_k(n, c, [k])) - guess for side in counts)
    return Metric(f"pass@{k} above guessing ({guess:.3f})", above)


def _mean(counts: GroupCounts, formula: Callable[[Ints, Ints], Floats]) -> float:
    """Mean over problems and runs of a formula of (n, c), weighted as pass@k is."""
    n_UP, c_UP = counts.grid
    values_UP = formula(n_UP.ravel(), c_UP.ravel()).reshape(n_UP.shape)
    return float((counts.run_share @ values_UP).mean())


def _majority(model: ModelCounts, ks: Sequence[int]) -> Floats:
    """(K,) maj@k, mean over problems, with the samples of all runs pooled; NaN without answers."""
    samples = model.answers()
    if samples is None:
        return np.full(len(ks), np.nan)
    rows: dict[str, tuple[list[str | None], list[bool]]] = {problem: ([], []) for problem in model.counts.problems}
    for problem, answer, correct in zip(*samples, strict=True):
        if problem in rows:
            rows[problem][0].append("" if answer is None and correct else answer)
            rows[problem][1].append(correct)
    answers, marks = zip(*rows.values(), strict=True)
    return majority_at_k(answers, marks, ks).mean(axis=0)


def _with_shared_problems(base: ModelCounts, trained: Sequence[ModelCounts]) -> tuple[ModelCounts, list[ModelCounts]]:
    """All models, cut to the problems, and the bases, that all of them have."""
    counts = base.counts
    for model in trained:
        counts, _ = shared_problems(counts, model.counts)
    cut = [replace(model, counts=shared_problems(counts, model.counts)[1]) for model in trained]
    return replace(base, counts=counts), cut


def _success_class(counts: GroupCounts, problems: Sequence[str]) -> Ints:
    n_P, c_P = counts.select(problems).pooled
    return np.select([c_P == 0, c_P == n_P, 2 * c_P < n_P], [0, 3, 1], default=2)
