"""The comparison in plain words."""

from __future__ import annotations

import numpy as np

from massflow.report.boundary.findings import Boundary
from massflow.stats import Comparison
from massflow.stats.compare import EXPANDED, SHRUNK, UNCHANGED
from massflow.stats.variation import NEW_PROBLEMS

DID = {EXPANDED: "expanded", SHRUNK: "shrank", UNCHANGED: "did not change"}
MOVED = {EXPANDED: "rose", SHRUNK: "fell", UNCHANGED: "stayed:"}


def conclusion(boundary: Boundary, name: str) -> str:
    """What training did, in one sentence, and of what it is said."""
    found = boundary.comparisons[name]
    known = np.flatnonzero(np.isfinite(found.difference.low))
    if not len(known):
        return f"{name}: nothing can be said: every k asked for is beyond the samples of some problem."
    first, last = int(known[0]), int(known[-1])
    verdict, change = found.verdicts[last], f"pass@{found.ks[last]} {_change(found, last)}"
    settled = f"the boundary {DID[verdict]}" if verdict in DID else f"{boundary.problems} problems do not settle it"
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
                found.append(f"{model}: pass@{k} is undefined for {short} of {curve.num_problems} problems (n < {k}).")
                break
    if any(not comparison.reliable.all() for comparison in boundary.comparisons.values()):
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
    """Only where the curves do cross: a verdict on each side of 0."""
    crossing = found.crossover
    if not {EXPANDED, SHRUNK} <= set(found.verdicts) or crossing.k is None:
        return ""
    low, high = crossing_range(found)
    return f"; the curves cross at k = {crossing.k} ({low} to {high} in {found.confidence:.0%} of resamples)"


def crossing_range(found: Comparison) -> tuple[str, str]:
    """The central `confidence` of the resampled crossovers."""
    tail = (1.0 - found.confidence) / 2.0
    low, high = (found.crossover.quantile(share) for share in (tail, 1.0 - tail))
    beyond = f"beyond {found.crossover.up_to}"
    return beyond if low is None else str(low), beyond if high is None else str(high)
