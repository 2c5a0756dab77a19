"""Pairs of models on the same problems: joint variation of both pass@k and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.standard_errors import (
    THIS_SET,
    Spread,
    Units,
    draw_means,
    noise_draws,
    noise_factors,
    noise_spread,
    values,
)
from rlvrscope.stats.training_runs import (
    group_means,
    group_weights,
    over_runs,
    run_groups,
    run_weights,
    share_bases,
    with_runs,
)


@dataclass(frozen=True)
class Pair:
    """Means over problems of both models and of the difference trained - base, with joint draws, at each of ks.

    units: the number of problems, or of clusters. largest_share: the share of problems in the largest; NaN where the
    problems are fixed.
    """

    base: Spread
    trained: Spread
    difference: Spread
    base_RK: Floats
    trained_RK: Floats
    units: int
    largest_share: float

    def at(self, index: Sequence[int]) -> Pair:
        """The pair at some of the ks."""
        return Pair(
            base=self.base.at(index),
            trained=self.trained.at(index),
            difference=self.difference.at(index),
            base_RK=self.base_RK[:, index],
            trained_RK=self.trained_RK[:, index],
            units=self.units,
            largest_share=self.largest_share,
        )


def pair(
    base: GroupCounts, trained: GroupCounts, ks: Sequence[int], target: str, resamples: int, rng: np.random.Generator
) -> Pair:
    """Pair for a target. Raises InputError for fewer than 2 problems with the target "new problems"."""
    build = _over_samples if target == THIS_SET else _over_problems
    return build((base, trained), ks, resamples, rng)


def aligned(base: GroupCounts, trained: GroupCounts, name: str = "the trained model") -> GroupCounts:
    """The trained model's counts in the base's order of problems.

    Raises InputError if the problems differ, or the labels of bases: a run is compared with the base it came from.
    """
    bases = [{label for label, _ in side.runs} for side in (base, trained) if side.base is not None]
    if len(bases) == 2 and bases[0] != bases[1]:
        common = len(bases[0] & bases[1])
        hint = " To compare what both have: shared_problems, or --shared of `rlvrscope boundary`." if common else ""
        raise InputError(
            f"base and {name} must have the same bases: {_example(bases[0] - bases[1])} only in the base, "
            f"{_example(bases[1] - bases[0])} only in {name}, {common} in both.{hint}"
        )
    of_base, of_trained = set(base.problems), set(trained.problems)
    if of_base != of_trained:
        common = of_base & of_trained
        hint = " To compare those in both: shared_problems, or --shared of `rlvrscope boundary`." if common else ""
        raise InputError(
            f"base and {name} must have the same problems: {_example(of_base - of_trained)} only in the base, "
            f"{_example(of_trained - of_base)} only in {name}, {len(common)} in both.{hint}"
        )
    return trained if trained.problems == base.problems else trained.select(base.problems)


def _example(problems: set[str]) -> str:
    return f"{len(problems)} (such as {min(problems)!r})" if problems else "0"


def shared_problems(base: GroupCounts, trained: GroupCounts) -> tuple[GroupCounts, GroupCounts]:
    """Both counts restricted to their common problems and bases. Raises InputError if there are none."""
    if base.base is not None and trained.base is not None:
        both_bases = {label for label, _ in base.runs} & {label for label, _ in trained.runs}
        if not both_bases:
            raise InputError("the two models share no base: are they trained from the same ones?")
        base, trained = base.of_bases(both_bases), trained.of_bases(both_bases)
    of_trained = set(trained.problems)
    both = [problem for problem in base.problems if problem in of_trained]
    if not both:
        raise InputError("the two models share no problem: are they of the same data set, with the same ids?")
    return base.select(both), trained.select(both)


def _over_problems(
    sides: tuple[GroupCounts, GroupCounts], ks: Sequence[int], resamples: int, rng: np.random.Generator
) -> Pair:
    """Resample problems for both sides at once, and training runs by side (for both at once if they share bases)."""
    distinct, units = Units.distinct(sides)
    of_runs = [values(side, ks) for side in distinct]
    groups = [run_groups(side) for side in sides]
    means = [
        group_means(np.array([units.mean(run_PK) for run_PK in side_UPK]), group_U)
        for side_UPK, group_U in zip(of_runs, groups, strict=True)
    ]
    base_PK, trained_PK = (over_runs(side, side_UPK) for side, side_UPK in zip(sides, of_runs, strict=True))
    drawn = [group_weights(len(side_GK), resamples, rng) for side_GK in means]
    between = means
    if share_bases(*sides):
        drawn, between = [drawn[1], drawn[1]], [means[1] - means[0]]
    weights = [run_weights(group_U, weight_RG, rng) for group_U, weight_RG in zip(groups, drawn, strict=True)]
    base_RK, trained_RK = draw_means(list(zip(of_runs, weights, strict=True)), units, resamples, rng)
    return Pair(
        base=with_runs(units.spread(base_PK), means[0]),
        trained=with_runs(units.spread(trained_PK), means[1]),
        difference=with_runs(units.spread(trained_PK - base_PK), *between),
        base_RK=base_RK,
        trained_RK=trained_RK,
        units=units.count,
        largest_share=float(units.size_D.max()) / len(sides[0].problems),
    )


def _over_samples(
    sides: tuple[GroupCounts, GroupCounts], ks: Sequence[int], resamples: int, rng: np.random.Generator
) -> Pair:
    """Fixed problems and runs: independent sampling noise on each side."""
    means = [over_runs(side, values(side, ks)).mean(axis=0) for side in sides]
    factors = [noise_factors(side, ks) for side in sides]
    base_RK, trained_RK = (
        mean_K + noise_draws(factors_NK, resamples, rng) for mean_K, factors_NK in zip(means, factors, strict=True)
    )
    return Pair(
        base=noise_spread(means[0], factors[0]),
        trained=noise_spread(means[1], factors[1]),
        difference=noise_spread(means[1] - means[0], np.concatenate(factors)),
        base_RK=base_RK,
        trained_RK=trained_RK,
        units=len(sides[0].problems),
        largest_share=np.nan,
    )
