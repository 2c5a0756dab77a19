"""The comparison in plain words."""

from __future__ import annotations

import numpy as np

from rlvrscope.experiment.boundary import Boundary
from rlvrscope.report.text import one_line
from rlvrscope.stats import Comparison, guessing_pass_at_k
from rlvrscope.stats.comparison import EXPANDED, SHRUNK, UNCHANGED, UNDECIDED
from rlvrscope.stats.standard_errors import NEW_PROBLEMS
from rlvrscope.stats.training_runs import has_few_runs

DID = {EXPANDED: "expanded", SHRUNK: "shrank", UNCHANGED: "did not change"}
MOVED = {EXPANDED: "rose", SHRUNK: "fell", UNCHANGED: "did not change:", UNDECIDED: "did not clearly move:"}
MAX_NAME = 40
"""Characters of a model's name in a sentence."""
LEAST_BOUNDARY_K = 8
"""What a model solves in fewer samples is no boundary."""


def conclusion(boundary: Boundary, name: str) -> str:
    """What training did, in one sentence, and of what it is said."""
    found, label = boundary.comparisons[name], one_line(name, MAX_NAME)
    known = np.flatnonzero(np.isfinite(found.difference.low))
    if not len(known):
        return f"{label}: nothing can be said: {_why_unknown(found)}."
    first, last = int(known[0]), int(known[-1])
    middle = [index for index in known[1:-1] if found.verdicts[index] != UNDECIDED]
    parts = [_settled(boundary, name, last)]
    if found.verdicts[last] == UNDECIDED and middle:
        parts.append(f"pass@{found.ks[middle[-1]]} {_moved(found, int(middle[-1]))}")
    if last > first:
        parts.append(f"pass@{found.ks[first]} {_moved(found, first)}")
    if crosses(found):
        low, high = crossing_range(found)
        parts.append(
            f"the curves cross at k = {found.crossover.k} ({low} to {high} in {found.confidence:.0%} of resamples)"
        )
    if last < len(found.ks) - 1:
        parts.append(f"nothing is known of pass@{found.ks[-1]}")
    kind = "new problems of this kind" if boundary.question.target == NEW_PROBLEMS else "this very set"
    return f"{label}: {'; '.join(parts)}. Said of {found.scope} on {kind}."


def _settled(boundary: Boundary, name: str, last: int) -> str:
    """The verdict at the largest k that is known."""
    found = boundary.comparisons[name]
    k, verdict, change = found.ks[last], found.verdicts[last], _change(found, last)
    if verdict == UNDECIDED:
        runs = len(boundary.trained[name].counts.runs)
        few = f" and {runs} training runs" if runs > 1 and boundary.question.target == NEW_PROBLEMS else ""
        return f"{boundary.problems} problems{few} do not settle pass@{k}: {change}"
    star = " *" if starred(found, last) else ""
    if k < LEAST_BOUNDARY_K or last < len(found.ks) - 1:
        return f"pass@{k} {_moved(found, last)}{star}"
    return f"the boundary {DID[verdict]}{star}: pass@{k} {change}"


def notes(boundary: Boundary) -> list[str]:
    """What a reader must know before trusting the table."""
    found = []
    for model, curve in [
        (boundary.base.name, boundary.base_curve),
        *((name, comparison.trained) for name, comparison in boundary.comparisons.items()),
    ]:
        for k, defined in zip(curve.ks, curve.num_defined, strict=True):
            if defined < curve.num_problems:
                short = curve.num_problems - defined
                name = one_line(model, MAX_NAME)
                found.append(f"{name}: pass@{k} is undefined for {short} of {curve.num_problems} problems (n < {k}).")
                break
    found += _stars(boundary)
    most = int(max(model.counts.n.max() for model in (boundary.base, *boundary.trained.values())))
    if boundary.question.ks is None and most > boundary.fewest:
        found.append(
            f"k ends at the fewest samples of a problem, {boundary.fewest}; others have up to {most}. "
            "--k asks for more."
        )
    base = boundary.base.counts
    found += [
        f"{one_line(name, MAX_NAME)} has the very same counts as {one_line(boundary.base.name, MAX_NAME)}."
        for name, model in boundary.trained.items()
        if np.array_equal(model.counts.n, base.n) and np.array_equal(model.counts.c, base.c)
    ]
    found += [
        f"{one_line(name, MAX_NAME)}: {left} problems that not all models have are left out."
        for name, left in boundary.left_out.items()
        if left
    ]
    if boundary.question.options is not None:
        k = boundary.ks[-1]
        guess = float(guessing_pass_at_k([boundary.question.options], [k])[0, 0])
        found.append(f"Blind guessing among {boundary.question.options} options alone has pass@{k} = {guess:.3f}.")
    if len(boundary.trained) > 1:
        found.append(f"{len(boundary.trained)} models are judged at once: Holm's correction.")
    return found


def starred(found: Comparison, index: int) -> bool:
    """Is there a difference at this k whose band is not reliable?"""
    return bool(np.isfinite(found.difference.estimate[index]) and not found.reliable[index])


def crosses(found: Comparison) -> bool:
    """Does the trained model go from surely better to surely worse, and is the crossover between?"""
    verdicts, k = found.verdicts, found.crossover.k
    if k is None or not {EXPANDED, SHRUNK} <= set(verdicts):
        return False
    return found.ks[verdicts.index(EXPANDED)] < k <= found.ks[len(verdicts) - 1 - verdicts[::-1].index(SHRUNK)]


def _why_unknown(found: Comparison) -> str:
    if np.isnan(found.difference.estimate).all():
        return "every k asked for is beyond the samples of some problem"
    if found.base.target == NEW_PROBLEMS:
        return "too few problems differ for a band"
    return "there are too few samples of each problem for a band"


def _stars(boundary: Boundary) -> list[str]:
    """What the asterisks mean, if there are any."""
    starred_ones = [
        name
        for name, comparison in boundary.comparisons.items()
        if any(starred(comparison, index) for index in range(len(comparison.ks)))
    ]
    if not starred_ones:
        return []
    if boundary.question.target != NEW_PROBLEMS:
        return ["* Beyond a quarter of the samples, or from under 3 problems' worth, their noise is not known well."]
    few = {len(model.counts.runs) for model in (boundary.base, *(boundary.trained[name] for name in starred_ones))}
    if any(has_few_runs(boundary.trained[name].counts) for name in starred_ones) or has_few_runs(boundary.base.counts):
        return [f"* {max(few)} training runs do not tell how runs vary (5 do): the band may be too narrow."]
    return ["* Fewer than 10 problems' worth carry this difference: its band may be too narrow."]


def _change(found: Comparison, index: int) -> str:
    d = found.difference
    return f"{d.estimate[index]:+.3f} [{d.low[index]:+.3f}, {d.high[index]:+.3f}]"


def _moved(found: Comparison, index: int) -> str:
    return f"{MOVED[found.verdicts[index]]} {_change(found, index)}"


def crossing_range(found: Comparison) -> tuple[str, str]:
    """The central `confidence` of the resampled crossovers."""
    low, high = found.crossover.interval(found.confidence)
    beyond = f"beyond {found.crossover.up_to}"
    return beyond if low is None else str(low), beyond if high is None else str(high)
