"""Two models on the same problems: how their pass@k and the difference vary together."""

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
    """Both models' means over problems, their difference (trained - base), and joint draws, at each of ks.

    units: the number of problems, or clusters of them.
    """

    base: Spread
    trained: Spread
    difference: Spread
    base_RK: Floats
    trained_RK: Floats
    units: int

    def at(self, index: Sequence[int]) -> Pair:
        """The same at some of the ks."""
        return Pair(
            base=self.base.at(index),
            trained=self.trained.at(index),
            difference=self.difference.at(index),
            base_RK=self.base_RK[:, index],
            trained_RK=self.trained_RK[:, index],
            units=self.units,
        )


def pair(
    base: GroupCounts, trained: GroupCounts, ks: Sequence[int], target: str, resamples: int, rng: np.random.Generator
) -> Pair:
    """Raises InputError for fewer than 2 problems, where other problems are the target."""
    build = _over_samples if target == THIS_SET else _over_problems
    return build((base, trained), ks, resamples, rng)


def aligned(base: GroupCounts, trained: GroupCounts, name: str = "the trained model") -> GroupCounts:
    """The trained model's counts in the base's order of problems. Raises InputError if one has problems of its own."""
    ours, theirs = set(base.problems), set(trained.problems)
    if ours != theirs:
        raise InputError(
            f"base and {name} must have the same problems: {_some(ours - theirs)} only in the base, "
            f"{_some(theirs - ours)} only in {name}, {len(ours & theirs)} in both."
            + (
                " To compare those in both: shared_problems, or --shared of `rlvrscope boundary`."
                if ours & theirs
                else ""
            )
        )
    return trained if trained.problems == base.problems else trained.select(base.problems)


def _some(problems: set[str]) -> str:
    return f"{len(problems)} (such as {min(problems)!r})" if problems else "0"


def shared_problems(base: GroupCounts, trained: GroupCounts) -> tuple[GroupCounts, GroupCounts]:
    """Both with the problems that both have. Raises InputError if there are none."""
    held = set(trained.problems)
    both = [problem for problem in base.problems if problem in held]
    if not both:
        raise InputError("the two models share no problem: are they of the same data set, with the same ids?")
    return base.select(both), trained.select(both)


def _over_problems(
    sides: tuple[GroupCounts, GroupCounts], ks: Sequence[int], resamples: int, rng: np.random.Generator
) -> Pair:
    """Problems drawn for both at once; training runs for each side, and for both at once where they share bases."""
    alike, units = Units.distinct(sides)
    of_runs = [values(side, ks) for side in alike]
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
    )


def _over_samples(
    sides: tuple[GroupCounts, GroupCounts], ks: Sequence[int], resamples: int, rng: np.random.Generator
) -> Pair:
    """Problems and runs as they are: the sampling noise of each side by itself."""
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
    )
