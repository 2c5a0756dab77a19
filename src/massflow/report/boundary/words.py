"""The comparison in plain words."""

from __future__ import annotations

import numpy as np

from massflow.report.boundary.findings import Boundary
from massflow.report.text import one_line
from massflow.stats import Comparison
from massflow.stats.compare import EXPANDED, SHRUNK, UNCHANGED
from massflow.stats.variation import NEW_PROBLEMS

DID = {EXPANDED: "expanded", SHRUNK: "shrank", UNCHANGED: "did not change"}
MOST_NAME = 80
"""Characters of a model's name in a sentence."""
MOVED = {EXPANDED: "rose", SHRUNK: "fell", UNCHANGED: "stayed:"}


def conclusion(boundary: Boundary, name: str) -> str:
    """What training did, in one sentence, and of what it is said."""
    found, name = boundary.comparisons[name], one_line(name, MOST_NAME)
    known = np.flatnonzero(np.isfinite(found.difference.low))
    if not len(known):
        return f"{name}: nothing can be said: {_why_unknown(found)}."
    first, last = int(known[0]), int(known[-1])
    verdict, change = found.verdicts[last], f"pass@{found.ks[last]} {_change(found, last)}"
    star = "" if found.reliable[last] else " *"
    settled = (
        f"the boundary {DID[verdict]}{star}" if verdict in DID else f"{boundary.problems} problems do not settle it"
    )
    start = f"; pass@{found.ks[first]} {_moved(found, first)}" if last > first else ""
    kind = "new problems of this kind" if boundary.question.target == NEW_PROBLEMS else "this very set"
    return f"{name}: {settled}: {change}{start}{_crossing(found)}. Said of {found.scope} on {kind}."


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
                name = one_line(model, MOST_NAME)
                found.append(f"{name}: pass@{k} is undefined for {short} of {curve.num_problems} problems (n < {k}).")
                break
    if any(
        starred(comparison, index)
        for comparison in boundary.comparisons.values()
        for index in range(len(comparison.ks))
    ):
        found.append(f"* {_why_unreliable(boundary)}")
    most = int(max(model.counts.n.max() for model in (boundary.base, *boundary.trained.values())))
    if boundary.question.ks is None and most >= 2 * boundary.fewest:
        found.append(
            f"k ends at the fewest samples of a problem, {boundary.fewest}; others have up to {most}. "
            "--k asks for more."
        )
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


def _why_unreliable(boundary: Boundary) -> str:
    if boundary.question.target == NEW_PROBLEMS:
        return "Fewer than 10 problems' worth carry this difference: its band may be too narrow."
    return "Beyond a quarter of the samples their noise is not known well."


def _change(found: Comparison, index: int) -> str:
    d = found.difference
    return f"{d.estimate[index]:+.3f} [{d.low[index]:+.3f}, {d.high[index]:+.3f}]"


def _moved(found: Comparison, index: int) -> str:
    return f"{MOVED.get(found.verdicts[index], 'did not clearly move:')} {_change(found, index)}"


def _crossing(found: Comparison) -> str:
    """Only where the curves do cross."""
    if not crosses(found):
        return ""
    low, high = crossing_range(found)
    return f"; the curves cross at k = {found.crossover.k} ({low} to {high} in {found.confidence:.0%} of resamples)"


def crossing_range(found: Comparison) -> tuple[str, str]:
    """The central `confidence` of the resampled crossovers."""
    tail = (1.0 - found.confidence) / 2.0
    low, high = (found.crossover.quantile(share) for share in (tail, 1.0 - tail))
    beyond = f"beyond {found.crossover.up_to}"
    return beyond if low is None else str(low), beyond if high is None else str(high)
