"""A boundary broken down by groups of problems, such as their level: a comparison for each group and model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rlvrscope.errors import InputError
from rlvrscope.experiment.boundary import Boundary
from rlvrscope.stats import Comparison
from rlvrscope.tables.values import join_names, shorten

MIN_PROBLEMS = 2
MAX_GROUPS = 100


@dataclass(frozen=True)
class Breakdown:
    """Comparisons by (group, trained model), one family of claims (see `compare_pairs`).

    column: names the groups. problems: number in each group. left_out: groups with fewer than MIN_PROBLEMS, which have
    no interval.
    """

    column: str
    comparisons: dict[tuple[str, str], Comparison]
    problems: dict[str, int]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, boundary: Boundary, column: str) -> Breakdown:
        """Compare within each group, at the ks of the boundary.

        Raises InputError where no source has the column, where a problem has no group or several, and for too many.
        """
        problems_of = _groups(boundary, column)
        names = [group for group, problems in problems_of.items() if len(problems) >= MIN_PROBLEMS]
        if not names:
            raise InputError(f"--by {column}: every group has a single problem; a group needs at least {MIN_PROBLEMS}")
        pairs = {
            (group, name): (boundary.base.counts.select(problems_of[group]), model.counts.select(problems_of[group]))
            for group in names
            for name, model in boundary.trained.items()
        }
        comparisons = boundary.question.compare(pairs, boundary.ks, f"by {column}")
        sizes = {group: len(problems) for group, problems in problems_of.items()}
        return cls(column, comparisons, sizes, tuple(group for group in sizes if group not in names))

    @property
    def groups(self) -> list[str]:
        """The groups that are compared, in order: numbers by value."""
        return list(dict.fromkeys(group for group, _ in self.comparisons))


def _groups(boundary: Boundary, column: str) -> dict[str, list[str]]:
    """The problems of each group, groups in natural order."""
    group_of: dict[str, str] = {}
    for model in boundary.models:
        for problem, group in model.groups.items():
            known = group_of.setdefault(problem, group)
            if known != group:
                raise InputError(
                    f"--by {column}: problem {shorten(problem)} is in {shorten(known)} in one source, "
                    f"in {shorten(group)} in another"
                )
    if not group_of:
        raise InputError(f"--by {column}: no source has a column {column!r}")
    without = [problem for problem in boundary.base.counts.problems if problem not in group_of]
    if without:
        raise InputError(f"--by {column}: {len(without)} problems have none: {join_names(without)}")
    problems_of: dict[str, list[str]] = {}
    for problem in boundary.base.counts.problems:
        problems_of.setdefault(group_of[problem], []).append(problem)
    if len(problems_of) > MAX_GROUPS:
        raise InputError(f"--by {column}: {len(problems_of)} groups; at most {MAX_GROUPS} can be compared at once")
    return dict(sorted(problems_of.items(), key=lambda item: _natural(item[0])))


def _natural(text: str) -> list[tuple[int, float, str]]:
    """Sorting key that puts "Level 2" before "Level 10"."""
    parts = re.split(r"(\d+)", text)
    return [(0, float(part), "") if part.isdigit() else (1, 0.0, part) for part in parts]
