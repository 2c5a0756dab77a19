"""The page of an experiment: one HTML file that needs no network. Charts come first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import altair as alt

from rlvrscope import config
from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.prompt_changes import prompt_pairs
from rlvrscope.report import html
from rlvrscope.report.experiment.tables import (
    environment_table,
    graded_tables,
    prompts_table,
    result_tables,
    stages_table,
    times_table,
)
from rlvrscope.report.experiment.words import (
    CAPTIONS,
    equal_gain_notes,
    scope,
    sentences,
    setting,
    training_note,
    training_sentences,
)
from rlvrscope.report.table import Table

OPENING_SENTENCES = 3


@dataclass(frozen=True)
class TrainingSection:
    """The results on training prompts."""

    note: str
    sentences: list[str]
    tables: list[Table]


def render(findings: Findings, charts: Mapping[str, alt.TopLevelMixin]) -> str:
    """The whole page as text."""
    experiment, every = findings.experiment, sentences(findings)
    return html.render(
        "experiment.html.j2",
        charts,
        chart_titles=False,
        title=f"Where the mass went: {experiment.recipe.name}",
        opening=every[:OPENING_SENTENCES],
        more=every[OPENING_SENTENCES:],
        figures=html.figures(charts, CAPTIONS),
        setting=setting(findings),
        scope=scope(findings),
        failed=experiment.failed,
        num_runs=len(experiment.runs) + len(experiment.tabular) + len(experiment.failed),
        tables=result_tables(findings),
        equal_gain_notes=equal_gain_notes(findings),
        graded=graded_tables(findings),
        training=_training(findings.on_training) if findings.on_training else None,
        prompts=prompts_table([pair for gain in (None, *findings.gains) for pair in prompt_pairs(findings, gain)]),
        environment=environment_table(experiment),
        stages=stages_table(findings.stages),
        times=times_table(experiment),
        recipe=config.dumps(experiment.recipe),
    )


def _training(findings: Findings) -> TrainingSection:
    return TrainingSection(training_note(findings), training_sentences(findings), result_tables(findings))
