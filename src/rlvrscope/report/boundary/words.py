"""Conclusions and notes of a boundary, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlvrscope.experiment.boundary import Boundary, Question
from rlvrscope.experiment.breakdown import Breakdown
from rlvrscope.experiment.one_model import OneModel
from rlvrscope.experiment.outcomes import Estimate
from rlvrscope.readers import ModelCounts
from rlvrscope.readers.account import Account
from rlvrscope.report.text import interval, number, one_line
from rlvrscope.stats import Comparison, Curve, guessing_pass_at_k
from rlvrscope.stats.comparison import EXPANDED, SHRUNK, UNCHANGED, UNDECIDED
from rlvrscope.stats.standard_errors import NEW_PROBLEMS
from rlvrscope.stats.training_runs import MIN_RUNS, has_few_runs, num_groups
from rlvrscope.tables.values import join_names

BOUNDARY_VERBS = {EXPANDED: "expanded", SHRUNK: "shrank", UNCHANGED: "did not change"}
PASS_VERBS = {EXPANDED: "rose", SHRUNK: "fell", UNCHANGED: "did not change", UNDECIDED: "is undecided"}
MAX_NAME = 40
"""Characters of a model's name in a sentence."""
FEW_SAMPLES = "k is above a quarter of the samples, or under 3 problems' worth vary"
FEW_OUTCOMES = "at one of its ends fewer than 3 problems are solved, or not solved"
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
        share = f"{comparison.confidence:.0%} of draws"
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
    base = boundary.base
    lines = [*_short_of_samples(boundary), *_stars(boundary), *_marks(boundary)]
    lines += [
        f"{model_label(name)} has exactly the same counts as {model_label(base.name)}."
        for name, model in boundary.trained.items()
        if np.array_equal(model.counts.n, base.counts.n) and np.array_equal(model.counts.c, base.counts.c)
    ]
    lines += [
        f"{model_label(name)}: {number} problem{'s are' if number > 1 else ' is'} left out: not all models have "
        f"{'them' if number > 1 else 'it'}."
        for name, number in boundary.left_out.items()
        if number
    ]
    if boundary.bases_left_out:
        lines.append(f"Bases left out because not all models have them: {join_names(boundary.bases_left_out)}.")
    lines += guessing(boundary)
    if len(boundary.trained) > 1:
        lines.append(f"{len(boundary.trained)} models are compared: the verdicts of all together keep the level.")
    return lines


def guessing(result: Boundary | OneModel) -> list[str]:
    """The guessing baseline at the largest k, if a number of options is set."""
    options, k = result.question.options, result.ks[-1]
    if options is None:
        return []
    guess = float(guessing_pass_at_k([options], [k])[0, 0])
    return [f"Guessing among {options} options alone gives pass@{k} = {guess:.3f}."]


def band(question: Question) -> str:
    """Confidence, kind and scope of the bands."""
    kind = "simultaneous over k" if question.simultaneous else "pointwise"
    over = (
        "for new problems of the same kind (and new training runs, where there are several)"
        if question.target == NEW_PROBLEMS
        else "for new samples of these problems"
    )
    return f"{question.confidence:.0%} bands, {kind}, {over}"


def accounts(result: Boundary | OneModel) -> list[Account]:
    """What was read from each source."""
    return list(dict.fromkeys(account for model in result.models for account in model.accounts))


def doubts(result: Boundary | OneModel) -> list[str]:
    """What is doubtful about the samples, such as copies among them, and about comparing them."""
    lines = [one_line(warning) for account in accounts(result) for warning in account.warnings]
    ratings: dict[str, dict[str, str]] = {}
    for account in accounts(result):
        ratings.setdefault(account.layout, {}).setdefault(account.rating, account.source)
    for sources in ratings.values():
        if len(sources) > 1:
            rated = join_names(f"{source} by {rating}" for rating, source in sources.items())
            lines.append(one_line(f"Sources of one tool are rated by different columns: {rated}"))
    return lines


RANKING_NOTE = (
    "Ranks: the range that the comparisons of all pairs leave open, all ranges at once at the level; models with a "
    "common rank are not told apart."
)


def breakdown_note(breakdown: Breakdown) -> str:
    """What the break-down's verdicts take into account, and what it leaves out."""
    left_out = f" Too few problems: {join_names(breakdown.left_out)}." if breakdown.left_out else ""
    return (
        f"By {one_line(breakdown.column)}: {len(breakdown.comparisons)} comparisons, each within a group; the verdicts "
        f"of all together keep the level.{left_out}"
    )


def lines_read(result: Boundary | OneModel) -> list[str]:
    """What was read, in one line for each source."""
    return [one_line(account.line) for account in accounts(result)]


def starred(comparison: Comparison, index: int) -> bool:
    """True where there is a difference at this k whose band is not reliable."""
    return bool(np.isfinite(comparison.difference.estimate[index]) and not comparison.reliable[index])


def curve_mark(curve: Curve, index: int) -> str:
    """Mark of a value whose own band is not reliable."""
    return "°" if np.isfinite(curve.estimate[index]) and not curve.reliable[index] else ""


def crosses(comparison: Comparison) -> bool:
    """True if there is a crossover between an *expanded* and a later *shrunk* k."""
    return comparison.crossover.k is not None


def crossing_range(comparison: Comparison) -> tuple[str, str]:
    """The central `confidence` of the drawn crossovers."""
    low, high = comparison.crossover.interval(comparison.confidence)
    beyond = f"beyond {comparison.crossover.up_to}"
    return beyond if low is None else str(low), beyond if high is None else str(high)


def model_label(name: str) -> str:
    return one_line(name, MAX_NAME)


def _short_of_samples(boundary: Boundary) -> list[str]:
    """The problems that have too few samples for some k, and what to do about them."""
    if boundary.question.at_least_k:
        return _left_out(boundary)
    lines = [*_undefined(boundary), *more_ks(boundary)]
    if more_ks(boundary):
        next_k = 2 * boundary.ks[-1]
        few = max(int((model.counts.grid[0].min(axis=0) < next_k).sum()) for model in boundary.models)
        if few < boundary.num_problems:
            lines.append(
                f"{few} of {boundary.num_problems} problems have fewer than {next_k} samples: --at-least-k compares "
                "the others at larger k."
            )
    return lines


def more_ks(result: Boundary | OneModel) -> list[str]:
    """A hint where the default ks end below the samples that some problems have."""
    max_samples = int(max(model.counts.n.max() for model in result.models))
    if result.question.ks is not None or max_samples == result.min_samples:
        return []
    return [
        f"k ends at the fewest samples of a problem, {result.min_samples}; others have up to {max_samples}. "
        "Use --k for more."
    ]


def _left_out(boundary: Boundary) -> list[str]:
    """For each model, the ks at which problems are left out because they have fewer samples."""
    lines = []
    for name, comparison in boundary.comparisons.items():
        left_out_K = boundary.num_problems - comparison.num_compared
        short = [f"{number} at k = {k}" for k, number in zip(comparison.ks, left_out_K.tolist(), strict=True) if number]
        if short:
            lines.append(
                f"{model_label(name)}: of {boundary.num_problems} problems, those with fewer than k samples in either "
                f"model are left out: {', '.join(short)}."
            )
    return lines


def _undefined(boundary: Boundary) -> list[str]:
    """The first undefined k of each model."""
    trained = ((name, comparison.trained) for name, comparison in boundary.comparisons.items())
    curves = [(boundary.base.name, boundary.base_curve), *trained]
    return [line for name, curve in curves for line in undefined(name, curve, " --at-least-k compares the others.")]


def undefined(name: str, curve: Curve, hint: str) -> list[str]:
    """The first k at which the curve is undefined. hint: follows where it is defined for some problems."""
    short = [
        (k, curve.num_problems - defined)
        for k, defined in zip(curve.ks, curve.num_defined, strict=True)
        if defined < curve.num_problems
    ]
    if not short:
        return []
    k, number = short[0]
    return [
        f"{model_label(name)}: pass@{k} is undefined for {number} of {curve.num_problems} problems (n < {k})."
        f"{'' if number == curve.num_problems else hint}"
    ]


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
        return [f"* The band may be too narrow: {FEW_SAMPLES}."]
    counts = [boundary.base.counts, *(boundary.trained[name].counts for name in names)]
    if any(map(has_few_runs, counts)):
        runs = min(num_groups(side) for side in counts if has_few_runs(side))
        return [
            f"* {runs} training runs are too few to estimate their spread: with fewer than {MIN_RUNS} no verdict on an "
            "objective is given."
        ]
    return ["* The band may be too narrow: fewer than 10 problems' worth carry this difference."]


def _marks(boundary: Boundary) -> list[str]:
    """The meaning of marks on the curves' values, if there are any."""
    curves = [curve for one in boundary.comparisons.values() for curve in (one.base, one.trained)]
    if not any(curve_mark(curve, index) for curve in curves for index in range(len(curve.ks))):
        return []
    return [mark_note(boundary.question, boundary.models)]


def mark_note(question: Question, models: Sequence[ModelCounts]) -> str:
    """The meaning of the mark on a curve's value."""
    if question.target != NEW_PROBLEMS:
        return f"° The value's own band may be too narrow: {FEW_SAMPLES}."
    if any(has_few_runs(model.counts) for model in models):
        return f"° The value's own band may be too narrow: there are fewer than {MIN_RUNS} training runs."
    return f"° The value's own band may be too narrow: {FEW_OUTCOMES}."


def _change(comparison: Comparison, index: int) -> str:
    change = Estimate.of(comparison.difference, index)
    return f"{number(change.value, '+.3f')} {interval(change.low, change.high, '+.3f')}"


def _moved(comparison: Comparison, index: int) -> str:
    return f"pass@{comparison.ks[index]} {PASS_VERBS[comparison.verdicts[index]]} ({_change(comparison, index)})"
