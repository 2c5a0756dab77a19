"""The tables of a boundary and of a plan."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import rich.table

from rlvrscope.experiment.boundary import Boundary, Metric
from rlvrscope.experiment.breakdown import Breakdown
from rlvrscope.experiment.outcomes import Estimate
from rlvrscope.experiment.ranking import Ranking
from rlvrscope.readers import ModelCounts
from rlvrscope.report.boundary.words import curve_mark, model_label, starred
from rlvrscope.report.table import Cell, Column, Table
from rlvrscope.report.text import clipped, fitted, one_line
from rlvrscope.stats import Comparison, Plan

MAX_CHARACTERS, MAX_TITLE = 2_000, 200
MAX_NAME_CELLS, SHORT_NAME_CELLS = 16, 12
"""Width of a model's name in a terminal."""


def verdict_table(boundary: Boundary, name: str) -> Table:
    """Both curves, their difference and the verdict at each k; marks where a band is not reliable."""
    comparison = boundary.comparisons[name]
    left_out_K = boundary.num_problems - comparison.num_compared
    columns = (
        Column("k"),
        Column(model_label(boundary.base.name), terminal="value", max_cells=MAX_NAME_CELLS),
        Column(model_label(name), terminal="value", max_cells=MAX_NAME_CELLS),
        Column("difference", "+.3f"),
        Column("verdict", align="left"),
        *([Column("left out")] if boundary.question.at_least_k else []),
    )
    rows = [
        (
            k,
            Estimate.of(comparison.base, index, curve_mark(comparison.base, index)),
            Estimate.of(comparison.trained, index, curve_mark(comparison.trained, index)),
            Estimate.of(comparison.difference, index),
            comparison.verdicts[index] + (" *" if starred(comparison, index) else ""),
            *([int(left_out_K[index])] if boundary.question.at_least_k else []),
        )
        for index, k in enumerate(comparison.ks)
    ]
    return Table(columns, rows, title=model_label(name) if len(boundary.trained) > 1 else "")


def curve_table(boundary: Boundary, name: str) -> Table:
    """Every number of a comparison at each k: for JSON and CSV."""
    comparison = boundary.comparisons[name]
    headers = (
        *("model", "k", "base", "trained", "difference", "p_value", "verdict", "reliable", "base_reliable"),
        *("trained_reliable", "problems_defined", "left_out"),
    )
    left_out_K = boundary.num_problems - comparison.num_compared if boundary.question.at_least_k else None
    rows = [
        (
            name,
            k,
            Estimate.of(comparison.base, index),
            Estimate.of(comparison.trained, index),
            Estimate.of(comparison.difference, index),
            float(comparison.p_values[index]),
            comparison.verdicts[index],
            bool(comparison.reliable[index]),
            bool(comparison.base.reliable[index]),
            bool(comparison.trained.reliable[index]),
            int(comparison.num_compared[index]),
            0 if left_out_K is None else int(left_out_K[index]),
        )
        for index, k in enumerate(comparison.ks)
    ]
    return Table(tuple(map(Column, headers)), rows)


def rates_table(boundary: Boundary, name: str) -> Table:
    """The ledger's rates, against the base sampled twice."""
    ledger, base = boundary.comparisons[name].ledger, model_label(boundary.base.name)
    columns = (
        Column(f"at k = {ledger.k}", align="left"),
        Column(model_label(name)),
        Column(f"{base} sampled twice"),
        Column("difference", "+.3f"),
    )
    rows = [
        (rate, Estimate.of(value.observed), Estimate.of(value.null), Estimate.of(value.difference))
        for rate, value in ledger.rates.items()
    ]
    return Table(columns, rows)


def metrics_table(names: Sequence[str], metrics: Sequence[Metric]) -> Table:
    """Metrics other than pass@k, a column per model."""
    columns = (Column("", align="left"), *(Column(model_label(name)) for name in names))
    return Table(columns, [(metric.name, *metric.values) for metric in metrics])


def sample_table(boundary: Boundary, name: str) -> Table:
    """Facts of the base's and a trained model's samples, and their difference."""
    index = list(boundary.trained).index(name)
    columns = (
        Column("samples", align="left"),
        Column(model_label(boundary.base.name), max_cells=SHORT_NAME_CELLS),
        Column(model_label(name), max_cells=SHORT_NAME_CELLS),
        Column("difference", "+.3f"),
    )
    facts = boundary.sample_facts
    return Table(
        columns, [(fact.name, fact.values[0], fact.values[1 + index], fact.differences[index]) for fact in facts]
    )


def breakdown_tables(boundary: Boundary, every_k: bool) -> list[Table]:
    """The break-down of each trained model, if one was asked for."""
    breakdown = boundary.breakdown
    return [] if breakdown is None else [breakdown_table(breakdown, name, every_k) for name in boundary.trained]


def ranking_table(ranking: Ranking, every_k: bool) -> Table:
    """pass@k of every model, the best first, and the ranks that it may have, at the first and the last k or at all."""
    shown = range(len(ranking.ks)) if every_k else sorted({0, len(ranking.ks) - 1})
    columns = (Column("k"), Column("model", align="left", max_cells=MAX_NAME_CELLS), Column("pass@k"), Column("rank"))
    rows = []
    for index in shown:
        ranks, values = ranking.ranks(index), ranking.values(index)
        for name in sorted(ranking.models, key=lambda name: -values[name]):
            best, worst = ranks[name]
            rank = str(best) if best == worst else f"{best} to {worst}"
            rows.append((ranking.ks[index], one_line(name), values[name], rank))
    return Table(columns, rows, title="all models against each other")


def breakdown_table(breakdown: Breakdown, name: str, every_k: bool) -> Table:
    """A model's comparison in each group of problems, at the first and the last k, or at every k."""
    first = next(iter(breakdown.comparisons.values()))
    shown = range(len(first.ks)) if every_k else sorted({0, len(first.ks) - 1})
    columns = (
        Column(one_line(breakdown.column, MAX_NAME_CELLS), align="left", max_cells=MAX_NAME_CELLS),
        Column("problems"),
        Column("k"),
        Column("base"),
        Column("trained"),
        Column("difference", "+.3f"),
        Column("verdict", align="left"),
    )
    rows = []
    for group in breakdown.groups:
        comparison = breakdown.comparisons[group, name]
        for index in shown:
            rows.append((one_line(group), breakdown.problems[group], *_verdict_cells(comparison, index)))
    return Table(columns, rows, title=f"{model_label(name)}, by {one_line(breakdown.column)}")


def _verdict_cells(comparison: Comparison, index: int) -> tuple[Cell, ...]:
    """k, both values, the difference with its band, and the verdict."""
    return (
        comparison.ks[index],
        float(comparison.base.estimate[index]),
        float(comparison.trained.estimate[index]),
        Estimate.of(comparison.difference, index),
        comparison.verdicts[index] + (" *" if starred(comparison, index) else ""),
    )


def plan_table(plan: Plan) -> Table:
    """Problems that settle the difference, by samples per problem."""
    columns = (
        Column("samples/problem"),
        Column("problems"),
        Column("samples per model"),
        Column(f"detectable with {plan.pilot_problems} problems"),
    )
    rows = [
        (option.samples, option.problems, option.total, detectable)
        for option, detectable in zip(plan.options, plan.detectable, strict=True)
    ]
    return Table(columns, rows)


def answers_table(problem: str, models: Mapping[str, ModelCounts], limit: int) -> rich.table.Table:
    """The right answers of all models to one problem, side by side, for a terminal."""
    table = rich.table.Table(title=one_line(problem, MAX_TITLE), show_lines=True, expand=True)
    columns = []
    for name, model in models.items():
        n_P, c_P = model.counts.pooled
        index = model.counts.problems.index(problem)
        header = f"{fitted(name, MAX_NAME_CELLS)}: {c_P[index]} of {n_P[index]} right"
        table.add_column(header, ratio=1, overflow="fold")
        samples = model.texts(problem, limit, correct=True)
        columns.append([clipped(sample.text, MAX_CHARACTERS) for sample in samples])
    for row in itertools.zip_longest(*columns, fillvalue=""):
        table.add_row(*row)
    return table
