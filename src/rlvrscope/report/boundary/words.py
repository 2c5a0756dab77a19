"""Conclusions and notes of a boundary, in sentences."""

from __future__ import annotations

import numpy as np

from rlvrscope.experiment.boundary import Boundary
from rlvrscope.experiment.breakdown import Breakdown
from rlvrscope.experiment.outcomes import Estimate
from rlvrscope.readers.account import Account
from rlvrscope.report.text import interval, number, one_line
from rlvrscope.stats import Comparison, guessing_pass_at_k
from rlvrscope.stats.comparison import EXPANDED, SHRUNK, UNCHANGED, UNDECIDED
from rlvrscope.stats.standard_errors import NEW_PROBLEMS
from rlvrscope.stats.training_runs import MIN_RUNS, has_few_runs
from rlvrscope.tables.values import join_names

BOUNDARY_VERBS = {EXPANDED: "expanded", SHRUNK: "shrank", UNCHANGED: "did not change"}
PASS_VERBS = {EXPANDED: "rose", SHRUNK: "fell", UNCHANGED: "did not change", UNDECIDED: "is undecided"}
MAX_NAME = 40
"""Characters of a model's name in a sentence."""
MIN_BOUNDARY_K = 8
"""Smallest k at which pass@k is called the boundary."""


def conclusion(boundary: Boundary, name: str) -> str:
    """The verdict on one trained model and its scope."""
    comparison, label = boundary.comparisons[name], model_label(name)
    known = np.flatnonzero(np.isfinite(comparison.difference.low)).tolist()
    if not known:
        return f"{label}: no conclusion: {_why_unknown(comparison)}."
    first, last = known[0], known[-1]
    decided = [index for index in known[1:-1] if comparison.verdicts[index] != UNDECIDED]
    clauses = [_main_clause(boundary, name, last)]
    if comparison.verdicts[last] == UNDECIDED and decided:
        clauses.append(_moved(comparison, decided[-1]))
    if last > first:
        clauses.append(_moved(comparison, first))
    sentences = [f"{label}: {', '.join(clauses)}."]
    if crosses(comparison):
        low, high = crossing_range(comparison)
        share = f"{comparison.confidence:.0%} of resamples"
        sentences.append(f"The curves cross at k = {comparison.crossover.k} ({low} to {high} in {share}).")
    if comparison.crossover.certified is not None:
        gain, loss = comparison.crossover.certified
        sentences.append(f"The band certifies a crossing between k = {gain} and {loss}.")
    if last < len(comparison.ks) - 1:
        sentences.append(f"pass@{comparison.ks[-1]} is unknown.")
    problems = "new problems of the same kind" if boundary.question.target == NEW_PROBLEMS else "these problems only"
    return " ".join([*sentences, f"Applies to {comparison.scope}, on {problems}."])


def _main_clause(boundary: Boundary, name: str, last: int) -> str:
    """The verdict at the largest k with a band."""
    comparison = boundary.comparisons[name]
    k, verdict = comparison.ks[last], comparison.verdicts[last]
    if verdict == UNDECIDED:
        runs = len(boundary.trained[name].counts.runs)
        of_runs = f" and {runs} training runs" if runs > 1 and boundary.question.target == NEW_PROBLEMS else ""
        return f"{boundary.num_problems} problems{of_runs} do not settle pass@{k} ({_change(comparison, last)})"
    star = " *" if starred(comparison, last) else ""
    if k < MIN_BOUNDARY_K or last < len(comparison.ks) - 1:
        return f"{_moved(comparison, last)}{star}"
    return f"the boundary {BOUNDARY_VERBS[verdict]}{star}: {_moved(comparison, last)}"


def notes(boundary: Boundary) -> list[str]:
    """Caveats that a reader needs before the table."""
    base, question = boundary.base, boundary.question
    lines = [*_undefined(boundary), *_stars(boundary)]
    max_samples = int(max(model.counts.n.max() for model in boundary.models))
    if question.ks is None and max_samples > boundary.min_samples:
        lines.append(
            f"k ends at the fewest samples of a problem, {boundary.min_samples}; others have up to {max_samples}. "
            "Use --k for more."
        )
    lines += [
        f"{model_label(name)} has exactly the same counts as {model_label(base.name)}."
        for name, model in boundary.trained.items()
        if np.array_equal(model.counts.n, base.counts.n) and np.array_equal(model.counts.c, base.counts.c)
    ]
    lines += [
        f"{model_label(name)}: {number} problems are left out because not all models have them."
        for name, number in boundary.left_out.items()
        if number
    ]
    if question.options is not None:
        k = boundary.ks[-1]
        guess = float(guessing_pass_at_k([question.options], [k])[0, 0])
        lines.append(f"Guessing among {question.options} options alone gives pass@{k} = {guess:.3f}.")
    if len(boundary.trained) > 1:
        lines.append(f"{len(boundary.trained)} models are compared: the verdicts of all together keep the level.")
    return lines


def accounts(boundary: Boundary) -> list[Account]:
    """What was read from each source."""
    return list(dict.fromkeys(account for model in boundary.models for account in model.accounts))


def doubts(boundary: Boundary) -> list[str]:
    """What is doubtful about the samples, such as copies among them."""
    return [one_line(warning) for account in accounts(boundary) for warning in account.warnings]


def breakdown_note(breakdown: Breakdown) -> str:
    """What the break-down's verdicts take into account, and what it leaves out."""
    left_out = f" Too few problems: {join_names(breakdown.left_out)}." if breakdown.left_out else ""
    return (
        f"By {one_line(breakdown.column)}: {len(breakdown.comparisons)} comparisons, each within a group; Holm's "
        f"correction over all of them.{left_out}"
    )


def lines_read(boundary: Boundary) -> list[str]:
    """What was read, in one line for each source."""
    return [one_line(account.line) for account in accounts(boundary)]


def starred(comparison: Comparison, index: int) -> bool:
    """True where there is a difference at this k whose band is not reliable."""
    return bool(np.isfinite(comparison.difference.estimate[index]) and not comparison.reliable[index])


def crosses(comparison: Comparison) -> bool:
    """True if the crossover is between an *expanded* and a later *shrunk* k."""
    return comparison.crossover.k is not None


def crossing_range(comparison: Comparison) -> tuple[str, str]:
    """The central `confidence` of the resampled crossovers."""
    low, high = comparison.crossover.interval(comparison.confidence)
    beyond = f"beyond {comparison.crossover.up_to}"
    return beyond if low is None else str(low), beyond if high is None else str(high)


def model_label(name: str) -> str:
    return one_line(name, MAX_NAME)


def _undefined(boundary: Boundary) -> list[str]:
    """The first undefined k of each model."""
    trained = ((name, comparison.trained) for name, comparison in boundary.comparisons.items())
    lines = []
    for name, curve in [(boundary.base.name, boundary.base_curve), *trained]:
        short = [
            (k, curve.num_problems - defined)
            for k, defined in zip(curve.ks, curve.num_defined, strict=True)
            if defined < curve.num_problems
        ]
        if short:
            k, number = short[0]
            label = model_label(name)
            lines.append(f"{label}: pass@{k} is undefined for {number} of {curve.num_problems} problems (n < {k}).")
    return lines


def _why_unknown(comparison: Comparison) -> str:
    if np.isnan(comparison.difference.estimate).all():
        return "every requested k is above the number of samples of some problem"
    if comparison.base.target == NEW_PROBLEMS:
        return "too few problems differ for a band"
    return "there are too few samples of each problem for a band"


def _stars(boundary: Boundary) -> list[str]:
    """The meaning of asterisks, if there are any."""
    names = [
        name
        for name, comparison in boundary.comparisons.items()
        if any(starred(comparison, index) for index in range(len(comparison.ks)))
    ]
    if not names:
        return []
    if boundary.question.target != NEW_PROBLEMS:
        return ["* The band may be too narrow: k is above a quarter of the samples, or under 3 problems' worth vary."]
    counts = [boundary.base.counts, *(boundary.trained[name].counts for name in names)]
    if any(map(has_few_runs, counts)):
        runs = max(len(side.runs) for side in counts)
        return [
            f"* The band may be too narrow: {runs} training runs are too few to estimate their spread. No change is "
            f"called from fewer than {MIN_RUNS}."
        ]
    return ["* The band may be too narrow: fewer than 10 problems' worth carry this difference."]


def _change(comparison: Comparison, index: int) -> str:
    change = Estimate.of(comparison.difference, index)
    return f"{number(change.value, '+.3f')} {interval(change.low, change.high, '+.3f')}"


def _moved(comparison: Comparison, index: int) -> str:
    return f"pass@{comparison.ks[index]} {PASS_VERBS[comparison.verdicts[index]]} ({_change(comparison, index)})"
