"""One model's curve: its table, its chart, its page, and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlvrscope.experiment.one_model import OneModel
from rlvrscope.experiment.outcomes import Estimate
from rlvrscope.extras import needs_extra
from rlvrscope.report.boundary.words import (
    accounts,
    band,
    curve_mark,
    doubts,
    guessing,
    lines_read,
    mark_note,
    model_label,
    more_ks,
    undefined,
)
from rlvrscope.report.table import Column, Table, facts_table, finite, records, to_csv
from rlvrscope.report.text import interval, number
from rlvrscope.runs import environment, write_atomic

FORMAT_VERSION = 1
CAPTION = "The probability that at least one of k samples is right. Shaded: k above a quarter of the samples."


def curve_table(one: OneModel) -> Table:
    """pass@k with its band at each k; marks where the band is not reliable."""
    columns = (Column("k"), Column("pass@k"))
    rows = [(k, Estimate.of(one.curve, index, curve_mark(one.curve, index))) for index, k in enumerate(one.ks)]
    return Table(columns, rows)


def sample_table(one: OneModel) -> Table:
    """Facts of the model's samples."""
    columns = (Column("samples", align="left"), Column("value"))
    return Table(columns, [(fact.name, fact.values[0]) for fact in one.sample_facts])


def conclusion(one: OneModel) -> str:
    """pass@k at the first and the last k that is defined, and what the bands cover."""
    known = [index for index, k in enumerate(one.ks) if one.curve.num_defined[index] == one.num_problems]
    values = [_value(one, index) for index in dict.fromkeys((*known[:1], *known[-1:]))]
    if not values:
        return f"{model_label(one.model.name)}: every requested k is above the number of samples of some problem."
    return f"{model_label(one.model.name)}: {', '.join(values)}. In brackets: {band(one.question)}."


def _value(one: OneModel, index: int) -> str:
    estimate = Estimate.of(one.curve, index)
    ends = "no interval" if estimate.low != estimate.low else interval(estimate.low, estimate.high)
    return f"pass@{one.ks[index]} {number(estimate.value)} {ends}"


def notes(one: OneModel) -> list[str]:
    """Caveats that a reader needs before the table."""
    curve = one.curve
    marked = any(curve_mark(curve, index) for index in range(len(curve.ks)))
    return [
        *undefined(one.model.name, curve, ""),
        *more_ks(one),
        *([mark_note(one.question, one.models)] if marked else []),
        *guessing(one),
    ]


def write_one(one: OneModel, html: Path | None, png: Path | None, csv: Path | None, source: str) -> None:
    """Write the page, the curve as a picture and the table as CSV; those with a path. Raises WorkError."""
    if html or png:
        with needs_extra("report", "a page or a picture"):
            from rlvrscope.report.boundary.charts import one_curve
            from rlvrscope.report.style import save

        chart = one_curve(one)
        if html:
            write_atomic(html, _page(one, {"curve": chart}, source))
        if png:
            save(chart, png)
    if csv:
        write_atomic(csv, to_csv(_values(one)))


def _page(one: OneModel, charts: Mapping[str, Any], source: str) -> str:
    from rlvrscope.report import html
    from rlvrscope.report.boundary.tables import metrics_table

    question = one.question
    versions = environment(draws=f"{question.resamples:,}, seed {question.seed}")
    facts = {"model": source, "read": " ".join(lines_read(one)), **versions}
    return html.render(
        "one_model.html.j2",
        charts,
        chart_titles=False,
        title=f"One model: {model_label(one.model.name)}",
        sentence=conclusion(one),
        notes=[*doubts(one), *notes(one)],
        figures=html.figures(charts, {"curve": CAPTION}),
        table=curve_table(one),
        samples=sample_table(one) if one.sample_facts else None,
        metrics=metrics_table([one.model.name], one.metrics),
        facts=facts_table([(name.replace("_", " "), str(value)) for name, value in facts.items()]),
    )


def as_dict(one: OneModel) -> dict[str, Any]:
    """Everything, for JSON; undefined numbers are None."""
    question = one.question
    return {
        "format_version": FORMAT_VERSION,
        "model": one.model.name,
        "problems": one.num_problems,
        "min_samples": one.min_samples,
        "confidence": question.confidence,
        "target": question.target,
        "simultaneous": question.simultaneous,
        "seed": question.seed,
        "resamples": question.resamples,
        "conclusion": conclusion(one),
        "rows": records(_values(one)),
        "metrics": [{"metric": metric.name, "value": finite(metric.values[0])} for metric in one.metrics],
        "samples": [{"fact": fact.name, "value": finite(fact.values[0])} for fact in one.sample_facts],
        "notes": [*doubts(one), *notes(one)],
        "sources": [asdict(account) for account in accounts(one)],
    }


def _values(one: OneModel) -> Table:
    """Every number of the curve."""
    columns = tuple(map(Column, ("model", "k", "pass", "reliable", "problems_defined")))
    rows = [
        (one.model.name, k, Estimate.of(one.curve, i), bool(one.curve.reliable[i]), int(one.curve.num_defined[i]))
        for i, k in enumerate(one.ks)
    ]
    return Table(columns, rows)
