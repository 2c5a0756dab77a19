"""A boundary as plain values and as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rlvrscope.experiment.boundary import SUCCESS_CLASSES, Boundary
from rlvrscope.experiment.breakdown import Breakdown
from rlvrscope.experiment.sample_facts import SampleFact
from rlvrscope.extras import needs_extra
from rlvrscope.report.boundary.tables import breakdown_table, curve_table, ranking_table
from rlvrscope.report.boundary.words import accounts, conclusion, doubts, lines_read, notes
from rlvrscope.report.table import Column, Table, finite, records, to_csv
from rlvrscope.runs import environment, write_atomic
from rlvrscope.stats import Crossover, Interval, Ledger
from rlvrscope.stats.ledger import STATUSES

FORMAT_VERSION = 2


def write_boundary(
    boundary: Boundary,
    html: Path | None,
    png: Path | None,
    csv: Path | None,
    sources: Mapping[str, str],
) -> None:
    """Write the page, the curves as a picture (.png or .svg) and the table as CSV; those with a path.

    sources: listed on the page. Raises WorkError if a file can't be written.
    """
    if html or png:
        _write_charts(boundary, html, png, sources)
    if csv:
        write_atomic(csv, as_csv(boundary))


def _write_charts(boundary: Boundary, html: Path | None, png: Path | None, sources: Mapping[str, str]) -> None:
    with needs_extra("report", "a page or a picture"):
        from rlvrscope.report.boundary.charts import charts
        from rlvrscope.report.boundary.page import render
        from rlvrscope.report.style import save

    drawn = charts(boundary)
    if html:
        question = boundary.question
        versions = environment(draws=f"{question.resamples:,}, seed {question.seed}")
        read = {f"read {number}": line for number, line in enumerate(lines_read(boundary), start=1)}
        facts = {name.replace("_", " "): str(value) for name, value in {**sources, **read, **versions}.items()}
        write_atomic(html, render(boundary, drawn, facts))
    if png:
        save(drawn["boundary"], png)


def as_csv(boundary: Boundary) -> str:
    """One row per model and k."""
    tables = [curve_table(boundary, name) for name in boundary.trained]
    return to_csv(Table(tables[0].columns, [row for table in tables for row in table.rows]))


def as_dict(boundary: Boundary) -> dict[str, Any]:
    """Everything, for JSON; undefined numbers are None."""
    question = boundary.question
    return {
        "format_version": FORMAT_VERSION,
        "base": boundary.base.name,
        "problems": boundary.num_problems,
        "min_samples": boundary.min_samples,
        "confidence": question.confidence,
        "target": question.target,
        "simultaneous": question.simultaneous,
        "margin": question.margin,
        "at_least_k": question.at_least_k,
        "seed": question.seed,
        "resamples": question.resamples,
        "models": [_model(boundary, name) for name in boundary.trained],
        "metrics": [{"metric": metric.name, "values": list(map(finite, metric.values))} for metric in boundary.metrics],
        "by": None if boundary.breakdown is None else _breakdown(boundary.breakdown),
        "ranking": None if boundary.ranking is None else records(ranking_table(boundary.ranking, every_k=True)),
        "samples": [_sample_fact(fact) for fact in boundary.sample_facts],
        "notes": [*doubts(boundary), *notes(boundary)],
        "sources": [asdict(account) for account in accounts(boundary)],
    }


def _breakdown(breakdown: Breakdown) -> dict[str, Any]:
    models: dict[str, list[dict[str, Any]]] = {}
    for name in dict.fromkeys(name for _, name in breakdown.comparisons):
        table = breakdown_table(breakdown, name, every_k=True)
        models[name] = records(replace(table, columns=(Column("group"), *table.columns[1:])))
    return {"column": breakdown.column, "left_out": list(breakdown.left_out), "models": models}


def _sample_fact(fact: SampleFact) -> dict[str, Any]:
    differences = [
        {"estimate": finite(one.value), "low": finite(one.low), "high": finite(one.high)} for one in fact.differences
    ]
    return {"fact": fact.name, "values": list(map(finite, fact.values)), "differences": differences}


def _model(boundary: Boundary, name: str) -> dict[str, Any]:
    comparison = boundary.comparisons[name]
    return {
        "model": name,
        "conclusion": conclusion(boundary, name),
        "scope": comparison.scope,
        "level": comparison.level,
        "rows": records(curve_table(boundary, name)),
        "crossover": _crossover(comparison.crossover, comparison.confidence),
        "moves": {"classes": SUCCESS_CLASSES, "problems": boundary.moves(name).tolist()},
        "ledger": _ledger(comparison.ledger),
    }


def _crossover(crossover: Crossover, confidence: float) -> dict[str, Any]:
    low, high = crossover.interval(confidence)
    certified = None if crossover.certified is None else list(crossover.certified)
    return {
        "k": crossover.k,
        "low": low,
        "high": high,
        "certified": certified,
        "never": finite(crossover.never),
        "up_to": crossover.up_to,
    }


def _ledger(ledger: Ledger) -> dict[str, Any]:
    return {
        "k": ledger.k,
        "eps": ledger.eps,
        "certainty": ledger.certainty,
        "counts": {status: ledger.count(status) for status in STATUSES},
        "rates": {
            name: {part: _interval(getattr(rate, part)) for part in ("observed", "null", "difference")}
            for name, rate in ledger.rates.items()
        },
        "status": dict(zip(ledger.problems, ledger.status_P, strict=True)),
    }


def _interval(interval: Interval) -> dict[str, float | None]:
    return {part: finite(getattr(interval, part)) for part in ("estimate", "low", "high")}
