"""The page of a boundary: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np

from rlvrscope.experiment.boundary import Boundary
from rlvrscope.readers import ModelCounts
from rlvrscope.report import html
from rlvrscope.report.boundary.words import MAX_NAME, conclusion, notes, starred
from rlvrscope.report.text import clipped, one_line, printable
from rlvrscope.stats.ledger import GAINED, LOST, STATUSES
from rlvrscope.stats.standard_errors import NEW_PROBLEMS

MAX_PROBLEMS, MAX_TEXTS, MAX_CHARACTERS, MAX_ID = 20, 2, 4_000, 200
"""On the page: problems whose texts are shown, right texts of each model, characters of a text, of a problem's id."""
FIGURES = {
    "boundary": (
        "pass@k",
        "Above: the chance that k samples hold a right one. Below: the difference, with its verdict at each k. "
        "Expanded: the band lies above 0. Shrunk: below. Unchanged: within the grey bar. Else undecided.",
    ),
    "moves": (
        "Who moved",
        "Left of the diagonal: solved less often than by the base. Right of it: more often.",
    ),
}
Cell = dict[str, Any]


def render(boundary: Boundary, charts: Mapping[str, alt.TopLevelMixin], facts: Mapping[str, str]) -> str:
    """The whole page as text. facts: what it was made from and with."""
    return html.render(
        "boundary.html.j2",
        charts,
        title=f"What training did to {_name(boundary.base.name)}",
        lead=_lead(boundary),
        moves_note=_moves_note(boundary),
        sentences=[conclusion(boundary, name) for name in boundary.trained],
        notes=notes(boundary),
        tables=[{"name": _name(name), **_verdicts(boundary, name)} for name in boundary.trained],
        figures=[{"name": name, "heading": FIGURES[name][0], "caption": FIGURES[name][1]} for name in charts],
        ledgers=[_ledger(boundary, name) for name in boundary.trained],
        beside=_beside(boundary),
        facts={"heads": (), "rows": [[{"text": k}, {"text": printable(v), "wrap": True}] for k, v in facts.items()]},
    )


def _lead(boundary: Boundary) -> str:
    question = boundary.question
    kind = "simultaneous over k" if question.simultaneous else "pointwise"
    over = (
        "over other problems of the same kind (and other training runs, where there are several)"
        if question.target == NEW_PROBLEMS
        else "over other samples of these problems"
    )
    return (
        f"{boundary.problems} problems, at least {boundary.fewest} samples of each from every model. In brackets: "
        f"{question.confidence:.0%} bands, {kind}, {over}; differences are paired on problems. Unchanged means within "
        f"{question.margin:g}."
    )


def _moves_note(boundary: Boundary) -> str:
    """Of how many samples "never" is none: with other numbers it is not the same for both models."""
    models = {boundary.base.name: boundary.base, **boundary.trained}
    ranges = {name: (int(model.counts.n.min()), int(model.counts.n.max())) for name, model in models.items()}
    if len(set(ranges.values())) == 1:
        return ""
    texts = [f"{_name(name)} {low if low == high else f'{low} to {high}'}" for name, (low, high) in ranges.items()]
    return f'Samples of a problem: {", ".join(texts)}. With unequal numbers "never" is not the same for all models.'


def _verdicts(boundary: Boundary, name: str) -> dict[str, Any]:
    found = boundary.comparisons[name]
    rows = []
    for index, k in enumerate(found.ks):
        rows.append(
            [
                {"text": str(k)},
                _interval(found.base, index, ".3f"),
                _interval(found.trained, index, ".3f"),
                _interval(found.difference, index, "+.3f"),
                {"text": found.verdicts[index] + (" *" if starred(found, index) else "")},
            ]
        )
    return {"heads": ("k", _name(boundary.base.name), _name(name), "difference", "verdict"), "rows": rows}


def _interval(value: Any, index: int, form: str) -> Cell:
    parts = [getattr(value, part)[index] for part in ("estimate", "low", "high")]
    if parts[0] != parts[0]:
        return {"text": "undefined"}
    if parts[1] != parts[1]:
        return {"text": f"{parts[0]:{form}}", "range": "no band"}
    return {"text": f"{parts[0]:{form}}", "range": f"[{parts[1]:{form}}, {parts[2]:{form}}]"}


def _ledger(boundary: Boundary, name: str) -> dict[str, Any]:
    ledger = boundary.comparisons[name].ledger
    rates = [
        [{"text": rate}, _single(value.observed), _single(value.null), _single(value.difference, "+.3f")]
        for rate, value in ledger.rates.items()
    ]
    counts = ", ".join(f"{ledger.count(status)} {status}" for status in STATUSES)
    return {
        "name": _name(name),
        "certainty": f"{ledger.certainty:g}",
        "summary": (
            f"{counts}. Within reach: a success probability above {ledger.eps:.4f}, at which {ledger.k} samples hold a "
            f"right one 95 % of the time; a rare success alone is not within reach. A problem is given "
            f"a status if its posterior probability is above {ledger.certainty:g}; training runs are put together."
        ),
        "rates": {
            "heads": (f"at k = {ledger.k}", _name(name), f"{_name(boundary.base.name)} sampled twice", "difference"),
            "rows": rates,
        },
        "moved": _moved(boundary, name),
    }


def _single(interval: Any, form: str = ".3f") -> Cell:
    estimate, low, high = (float(getattr(interval, part)) for part in ("estimate", "low", "high"))
    if estimate != estimate:
        return {"text": "undefined"}
    return {"text": f"{estimate:{form}}", "range": f"[{low:{form}}, {high:{form}}]"}


def _moved(boundary: Boundary, name: str) -> list[dict[str, Any]]:
    """The problems most surely gained or lost, with right answers of both models where there are texts."""
    ledger, trained = boundary.comparisons[name].ledger, boundary.trained[name]
    chance_P = ledger.probability_PS[:, [STATUSES.index(GAINED), STATUSES.index(LOST)]]
    order = np.argsort(-chance_P.max(axis=1), kind="stable")[: max(1, MAX_PROBLEMS // len(boundary.trained))]
    shown = [int(index) for index in order if chance_P[index].max() > 0.5]
    problems = [ledger.problems[index] for index in shown]
    models = {boundary.base.name: boundary.base, name: trained}
    most = MAX_CHARACTERS // len(boundary.trained)
    sides = [(label, _rates(model), model.texts_of(problems, MAX_TEXTS, True)) for label, model in models.items()]
    return [
        {
            "problem": one_line(problem, MAX_ID),
            "what": (GAINED, LOST)[int(chance_P[index].argmax())],
            "probability": f"{chance_P[index].max():.3f}",
            "decided": ledger.status_P[index] in (GAINED, LOST),
            "sides": [
                {
                    "model": _name(label),
                    "rate": rate[problem],
                    "texts": [clipped(sample.text, most) for sample in texts[problem]],
                }
                for label, rate, texts in sides
            ],
        }
        for index, problem in zip(shown, problems, strict=True)
    ]


def _rates(model: ModelCounts) -> dict[str, str]:
    n_P, c_P = model.counts.pooled
    return {problem: f"{c} of {n}" for problem, n, c in zip(model.counts.problems, n_P, c_P, strict=True)}


def _name(model: str) -> str:
    return one_line(model, MAX_NAME)


def _beside(boundary: Boundary) -> dict[str, Any]:
    rows = [
        [{"text": metric.name}, *({"text": f"{value:.3f}" if value == value else "–"} for value in metric.values)]
        for metric in boundary.metrics
    ]
    return {"heads": ("", *map(_name, (boundary.base.name, *boundary.trained))), "rows": rows}
