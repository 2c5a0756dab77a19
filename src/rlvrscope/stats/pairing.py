"""Pairs of models on the same problems: variation of both pass@k and of their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.spread import Spread
from rlvrscope.stats.standard_errors import THIS_SET, noise_factors, noise_spread, values
from rlvrscope.stats.training_runs import group_means, over_runs, run_groups, share_bases, with_runs
from rlvrscope.stats.units import Grid, Mask, Units


@dataclass(frozen=True)
class Pair:
    """Means over problems of both models and of the difference trained - base, at each of ks."""

    base: Spread
    trained: Spread
    difference: Spread


def pair(base: GroupCounts, trained: GroupCounts, ks: Sequence[int], target: str, at_least_k: bool) -> Pair:
    """Pair for a target. at_least_k: each k over the problems that have k samples in every run of both models.

    Raises InputError for fewer than 2 problems with the target "new problems".
    """
    build = _over_samples if target == THIS_SET else _over_problems
    return build((base, trained), ks, at_least_k)


def aligned(base: GroupCounts, trained: GroupCounts, name: str = "the trained model") -> GroupCounts:
    """The trained model's counts in the base's order of problems.

    Raises InputError if the problems differ, or the labels of bases: a run is compared with the base it came from.
    """
    bases = [set(side.base) for side in (base, trained) if side.base is not None]
    if len(bases) == 2 and bases[0] != bases[1]:
        raise InputError(_mismatch("bases", name, bases[0], bases[1]))
    problems = set(base.problems), set(trained.problems)
    if problems[0] != problems[1]:
        raise InputError(_mismatch("problems", name, *problems))
    return trained if trained.problems == base.problems else trained.select(base.problems)


def _mismatch(kind: str, name: str, of_base: set[str], of_trained: set[str]) -> str:
    common = of_base & of_trained
    hint = " To compare those in both: shared_problems, or --shared of `rlvrscope boundary`." if common else ""
    return (
        f"base and {name} must have the same {kind}: {_example(of_base - of_trained)} only in the base, "
        f"{_example(of_trained - of_base)} only in {name}, {len(common)} in both.{hint}"
    )


def _example(labels: set[str]) -> str:
    return f"{len(labels)} (such as {min(labels)!r})" if labels else "0"


def shared_problems(base: GroupCounts, trained: GroupCounts) -> tuple[GroupCounts, GroupCounts]:
    """Both counts restricted to their common problems and bases. Raises InputError if there are none."""
    if base.base is not None and trained.base is not None:
        bases = set(base.base) & set(trained.base)
        if not bases:
            raise InputError("the two models share no base: are they trained from the same ones?")
        base, trained = base.of_bases(bases), trained.of_bases(bases)
    of_trained = set(trained.problems)
    both = [problem for problem in base.problems if problem in of_trained]
    if not both:
        raise InputError("the two models share no problem: are they of the same data set, with the same ids?")
    return base.select(both), trained.select(both)


def _kept(grids: Sequence[Grid], ks: Sequence[int]) -> Mask:
    """(P, K): problems with at least k samples in every run of every side."""
    fewest_P = np.min([n_UP.min(axis=0) for n_UP, _ in grids], axis=0)
    return fewest_P[:, None] >= np.array(ks)


def _over_problems(sides: tuple[GroupCounts, GroupCounts], ks: Sequence[int], at_least_k: bool) -> Pair:
    """New problems for both sides at once, and new training runs by side (for both at once if they share bases)."""
    grids, units = Units.distinct(sides)
    kept_QK = _kept(grids, ks) if at_least_k else None
    of_runs = [values(grid, ks) for grid in grids]
    means = [
        group_means(np.array([units.mean(run_QK, kept_QK) for run_QK in side_UQK]), run_groups(side))
        for side_UQK, side in zip(of_runs, sides, strict=True)
    ]
    base_QK, trained_QK = (over_runs(side, side_UQK) for side, side_UQK in zip(sides, of_runs, strict=True))
    between = [means[1] - means[0]] if share_bases(*sides) else means
    return Pair(
        base=with_runs(units.spread(base_QK, kept_QK), means[0]),
        trained=with_runs(units.spread(trained_QK, kept_QK), means[1]),
        difference=with_runs(units.spread(trained_QK - base_QK, kept_QK), *between),
    )


def _over_samples(sides: tuple[GroupCounts, GroupCounts], ks: Sequence[int], at_least_k: bool) -> Pair:
    """Fixed problems and runs: independent sampling noise on each side."""
    grids = [side.grid for side in sides]
    kept_PK = _kept(grids, ks) if at_least_k else np.ones((len(sides[0].problems), len(ks)), dtype=bool)
    problems_K = kept_PK.sum(axis=0).astype(np.float64)
    means, factors = [], []
    for side, grid in zip(sides, grids, strict=True):
        with np.errstate(invalid="ignore"):
            means.append(np.where(kept_PK, over_runs(side, values(grid, ks)), 0.0).sum(axis=0) / problems_K)
        factors.append(noise_factors(grid, side.run_share, ks, kept_PK))
    return Pair(
        base=noise_spread(means[0], factors[0], problems_K),
        trained=noise_spread(means[1], factors[1], problems_K),
        difference=noise_spread(means[1] - means[0], np.concatenate(factors), problems_K),
    )
