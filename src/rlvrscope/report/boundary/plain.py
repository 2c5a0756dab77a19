"""The comparison as plain values: for JSON and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from rlvrscope.experiment.boundary import RATES, Boundary
from rlvrscope.report.boundary.words import conclusion, notes
from rlvrscope.stats import Crossover, Interval, Ledger
from rlvrscope.stats.ledger import STATUSES

PARTS = ("estimate", "low", "high")


def as_dict(boundary: Boundary) -> dict[str, Any]:
    """Everything; what is undefined is None."""
    question = boundary.question
    return {
        "format_version": 1,
        "base": boundary.base.name,
        "problems": boundary.problems,
        "fewest_samples": boundary.fewest,
        "confidence": question.confidence,
        "target": question.target,
        "simultaneous": question.simultaneous,
        "margin": question.margin,
        "seed": question.seed,
        "resamples": question.resamples,
        "models": [_model(boundary, name) for name in boundary.trained],
        "beside": [{"metric": metric.name, "values": list(map(_plain, metric.values))} for metric in boundary.metrics],
        "notes": notes(boundary),
    }


def as_csv(boundary: Boundary) -> str:
    """One row a model and k."""
    rows = [row for name in boundary.trained for row in curve_rows(boundary, name)]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def curve_rows(boundary: Boundary, name: str) -> list[dict[str, Any]]:
    """One row a k: both curves, the difference, the verdict."""
    found = boundary.comparisons[name]
    columns = {"base": found.base, "trained": found.trained, "difference": found.difference}
    return [
        {
            "model": name,
            "k": k,
            **{
                key if part == "estimate" else f"{key}_{part}": _plain(getattr(value, part)[index])
                for key, value in columns.items()
                for part in PARTS
            },
            "p_value": _plain(found.p_values[index]),
            "verdict": found.verdicts[index],
            "reliable": bool(found.reliable[index]),
            "problems_defined": int(min(found.base.num_defined[index], found.trained.num_defined[index])),
        }
        for index, k in enumerate(found.ks)
    ]


def _model(boundary: Boundary, name: str) -> dict[str, Any]:
    found = boundary.comparisons[name]
    return {
        "model": name,
        "conclusion": conclusion(boundary, name),
        "scope": found.scope,
        "level": found.level,
        "rows": curve_rows(boundary, name),
        "crossover": _crossover(found.crossover, found.confidence),
        "moves": {"rates": RATES, "problems": boundary.moves(name).tolist()},
        "ledger": _ledger(found.ledger),
    }


def _crossover(crossover: Crossover, confidence: float) -> dict[str, Any]:
    low, high = crossover.interval(confidence)
    return {"k": crossover.k, "low": low, "high": high, "never": crossover.never, "up_to": crossover.up_to}


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
    return {part: _plain(getattr(interval, part)) for part in PARTS}


def _plain(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
