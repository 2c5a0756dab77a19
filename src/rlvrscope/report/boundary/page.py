"""The page of a boundary: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import altair as alt
import numpy as np

from rlvrscope.experiment.boundary import Boundary
from rlvrscope.readers import ModelCounts
from rlvrscope.report import html
from rlvrscope.report.boundary.tables import (
    breakdown_tables,
    metrics_table,
    ranking_table,
    rates_table,
    sample_table,
    verdict_table,
)
from rlvrscope.report.boundary.words import RANKING_NOTE, band, breakdown_note, conclusion, doubts, model_label, notes
from rlvrscope.report.table import Table, facts_table
from rlvrscope.report.text import clipped, one_line
from rlvrscope.stats.ledger import GAINED, LOST, STATUSES

MAX_PROBLEMS = 20
"""Gained or lost problems on the page, over all models."""
MAX_TEXTS = 2
"""Right answers shown per problem and model."""
MAX_CHARACTERS = 4_000
"""Characters of an answer, over all models."""
MAX_ID = 200
"""Characters of a problem's id."""
CAPTIONS = {
    "boundary": (
        "Above: the probability that at least one of k samples is right. Below: the difference, with a verdict at each "
        "k. Expanded: the band is above 0. Shrunk: below 0. Unchanged: within the grey bar. Otherwise undecided."
    ),
    "moves": "Left of the diagonal: solved less often than by the base. Right of it: more often.",
}


@dataclass(frozen=True)
class Side:
    """One model's answers to a problem."""

    model: str
    rate: str
    texts: list[str]


@dataclass(frozen=True)
class MovedProblem:
    """A problem that was probably gained or lost; decided: its posterior probability is above the certainty."""

    problem: str
    status: str
    probability: str
    decided: bool
    sides: list[Side]


@dataclass(frozen=True)
class LedgerSection:
    """One trained model's part of the ledger."""

    name: str
    summary: str
    certainty: str
    rates: Table
    moved: list[MovedProblem]


def render(boundary: Boundary, charts: Mapping[str, alt.TopLevelMixin], facts: Mapping[str, str]) -> str:
    """The whole page as text. facts: sources, versions and settings."""
    return html.render(
        "boundary.html.j2",
        charts,
        chart_titles=False,
        title=f"What training did to {model_label(boundary.base.name)}",
        sentences=[conclusion(boundary, name) for name in boundary.trained],
        notes=[*doubts(boundary), *notes(boundary)],
        figures=html.figures(charts, CAPTIONS),
        setting=_setting(boundary),
        verdicts=[verdict_table(boundary, name) for name in boundary.trained],
        moves_note=_moves_note(boundary),
        ledgers=[_ledger(boundary, name) for name in boundary.trained],
        metrics=metrics_table((boundary.base.name, *boundary.trained), boundary.metrics),
        samples=[sample_table(boundary, name) for name in boundary.trained] if boundary.sample_facts else [],
        breakdowns=breakdown_tables(boundary, every_k=True),
        breakdown_note=breakdown_note(boundary.breakdown) if boundary.breakdown else "",
        ranking=ranking_table(boundary.ranking, every_k=True) if boundary.ranking else None,
        ranking_note=RANKING_NOTE,
        facts=facts_table(list(facts.items())),
    )


def _setting(boundary: Boundary) -> str:
    question = boundary.question
    return (
        f"{boundary.num_problems} problems, at least {boundary.min_samples} samples of each from every model. In "
        f"brackets: {band(question)}; differences are paired by problem. Margin of "
        f'"unchanged": {question.margin:g}.'
    )


def _moves_note(boundary: Boundary) -> str:
    """A caveat where models have different numbers of samples; else empty."""
    models = {boundary.base.name: boundary.base, **boundary.trained}
    ranges = {name: (int(model.counts.n.min()), int(model.counts.n.max())) for name, model in models.items()}
    if len(set(ranges.values())) == 1:
        return ""
    texts = [
        f"{model_label(name)} {low if low == high else f'{low} to {high}'}" for name, (low, high) in ranges.items()
    ]
    return f'Samples per problem: {", ".join(texts)}. With unequal numbers, "never" means less for some models.'


def _ledger(boundary: Boundary, name: str) -> LedgerSection:
    ledger = boundary.comparisons[name].ledger
    counts = ", ".join(f"{ledger.count(status)} {status}" for status in STATUSES)
    summary = (
        f"{counts}. Within reach: success probability above {ledger.eps:.4f}, so that {ledger.k} samples hold a right "
        f"one 95% of the time; one rare success is not enough. A problem gets a status if its posterior probability "
        f"is above {ledger.certainty:g}. Training runs are pooled. "
        "A rate has no interval where fewer than ten problems are at stake in it (lost, of SRR; gained, of NDR)."
    )
    rates = rates_table(boundary, name)
    return LedgerSection(model_label(name), summary, f"{ledger.certainty:g}", rates, _moved(boundary, name))


def _moved(boundary: Boundary, name: str) -> list[MovedProblem]:
    """The problems most likely gained or lost, with right answers of both models where texts are known."""
    ledger, trained = boundary.comparisons[name].ledger, boundary.trained[name]
    chance_P = ledger.probability_PS[:, [STATUSES.index(GAINED), STATUSES.index(LOST)]]
    order = np.argsort(-chance_P.max(axis=1), kind="stable")[: max(1, MAX_PROBLEMS // len(boundary.trained))]
    indices = [int(index) for index in order if chance_P[index].max() > 0.5]
    problems = [ledger.problems[index] for index in indices]
    models = {boundary.base.name: boundary.base, name: trained}
    max_characters = MAX_CHARACTERS // len(boundary.trained)
    sides = [(label, _rates(model), model.texts_of(problems, MAX_TEXTS, True)) for label, model in models.items()]
    return [
        MovedProblem(
            problem=one_line(problem, MAX_ID),
            status=(GAINED, LOST)[int(chance_P[index].argmax())],
            probability=f"{chance_P[index].max():.3f}",
            decided=ledger.status_P[index] in (GAINED, LOST),
            sides=[
                Side(
                    model_label(label),
                    rates[problem],
                    [clipped(sample.text, max_characters) for sample in texts[problem]],
                )
                for label, rates, texts in sides
            ],
        )
        for index, problem in zip(indices, problems, strict=True)
    ]


def _rates(model: ModelCounts) -> dict[str, str]:
    n_P, c_P = model.counts.pooled
    return {problem: f"{c} of {n}" for problem, n, c in zip(model.counts.problems, n_P, c_P, strict=True)}
