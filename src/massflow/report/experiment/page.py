"""The page of an experiment: one HTML file that needs no network."""

from __future__ import annotations

from typing import Any

import altair as alt

from massflow import config
from massflow.report import html
from massflow.report.experiment.captions import HEADINGS, scope, table_note, targets_note
from massflow.report.experiment.findings import FRONTIER_RESAMPLES, RESAMPLES, Findings
from massflow.report.experiment.numbers import Bounded, Model, Number, Outcome, Target
from massflow.report.experiment.results import Experiment

Cell = dict[str, Any]
NOTHING: Cell = {"text": "–"}
PHASES = ("sample", "reference", "update", "evaluate")


def render(findings: Findings, charts: dict[str, alt.TopLevelMixin]) -> str:
    """The whole page as text."""
    experiment = findings.experiment
    return html.render(
        "experiment.html.j2",
        charts,
        title=f"Where the mass went: {experiment.recipe.name}",
        lead=_lead(findings),
        sentences=findings.sentences,
        scope=scope(findings),
        failed=_failed(experiment),
        table=_table(findings),
        targets=[_at_target(findings, index) for index in range(len(findings.gains))],
        targets_note=targets_note(findings),
        figures=[{"name": name, "heading": HEADINGS[name][0], "caption": HEADINGS[name][1]} for name in charts],
        environment=_environment(experiment),
        times=_times(experiment),
        recipe=config.dumps(experiment.recipe),
    )


def _lead(findings: Findings) -> str:
    recipe, arms = findings.experiment.recipe, len(findings.experiment.arms)
    models = "A" if len(findings.bases) == 1 else f"{len(findings.bases)} bases: a"
    return (
        f"{models} {recipe.model.layers}-layer transformer, trained from scratch on the {recipe.task.name} task, then "
        f"by RLVR for {recipe.train.steps} steps with {arms} {'arm' if arms == 1 else 'arms'}; "
        f"{findings.prompts} held-out prompts. Every right answer of a prompt can be listed, so success "
        "probabilities, pass@k and the mass on each answer are exact: no sampling noise."
    )


def _failed(experiment: Experiment) -> dict[str, Any] | None:
    if not experiment.failed:
        return None
    rows = [[{"text": name}, {"text": reason, "wrap": True}] for name, reason in experiment.failed]
    return {"heads": ("run", "reason"), "rows": rows}


def _table(findings: Findings) -> dict[str, Any]:
    first = findings.outcomes[0].model.label
    heads = (
        *("", "pass@1", "change in pass@1", "pass@256", "change in pass@256"),
        f"pass@256 against {first} at equal pass@1",
        *("greedy", "entropy", "distinct", "rare mass"),
    )
    rows = [_table_row(findings.base, NOTHING, NOTHING, NOTHING)]
    for outcome in findings.outcomes:
        changes = (_number_cell(outcome.pass_at_1), _number_cell(outcome.pass_at_256))
        rows.append(_table_row(outcome.model, *changes, _matched_cell(outcome)))
    return {"heads": heads, "rows": rows, "note": table_note(first)}


def _table_row(model: Model, first: Cell, boundary: Cell, matched: Cell) -> list[Cell]:
    return [
        {"text": model.label},
        {"text": f"{model.pass_at_1:.3f}"},
        first,
        {"text": f"{model.pass_at_256:.3f}"},
        boundary,
        matched,
        {"text": f"{model.greedy_accuracy:.3f}"},
        {"text": f"{model.token_entropy:.3f}"},
        {"text": f"{model.distinct_correct:.1f}"},
        {"text": f"{model.rare_mass:.4f}"},
    ]


def _number_cell(number: Number) -> Cell:
    return {"text": f"{number.value:+.3f}", "range": f"[{number.low:+.3f}, {number.high:+.3f}]"}


def _matched_cell(outcome: Outcome) -> Cell:
    if outcome.matched is None:
        return NOTHING
    cell = _number_cell(outcome.matched.difference)
    return {**cell, "range": f"{cell['range']}, gains to {outcome.matched.upto:.3f}"}


def _bounded_cell(value: Bounded | None, form: str) -> Cell:
    if value is None:
        return NOTHING
    return {"text": value.text(form), "range": f"[{value.low:{form}}, {value.high:{form}}]"}


def _at_target(findings: Findings, index: int) -> dict[str, Any]:
    first = findings.outcomes[0].model.label
    heads = ("", "runs that got there", "pass@256 there", f"against {first}", "CPU seconds")
    rows = [_target_row(outcome.model.label, outcome.targets[index]) for outcome in findings.outcomes]
    return {"name": f"Where pass@1 had risen by {findings.gains[index]:g}", "heads": heads, "rows": rows}


def _target_row(name: str, target: Target) -> list[Cell]:
    return [
        {"text": name},
        {"text": f"{target.reached} of {target.runs}"},
        _bounded_cell(target.pass_at_256, ".3f"),
        _bounded_cell(target.difference, "+.3f"),
        NOTHING if target.cpu_seconds is None else {"text": f"{target.cpu_seconds:.1f}"},
    ]


def _environment(experiment: Experiment) -> dict[str, Any]:
    compare = experiment.recipe.compare
    assert compare is not None
    facts = [(name.replace("_", " "), str(value)) for name, value in experiment.environment.items()]
    seeds = (
        f"bases {list(compare.bases)}, RL {list(compare.seeds)}; bootstrap 0, {RESAMPLES:,} resamples "
        f"({FRONTIER_RESAMPLES:,} at equal pass@1)"
    )
    rows = [[{"text": name}, {"text": value, "wrap": True}] for name, value in (("seeds", seeds), *facts)]
    return {"heads": (), "rows": rows}


def _times(experiment: Experiment) -> dict[str, Any]:
    rows = []
    for run in experiment.runs:
        sums = [sum(row.get(phase, 0.0) for row in run.timing) for phase in PHASES]
        cpu_S = run.cpu_seconds_S
        cpu = "–" if cpu_S is None else f"{cpu_S[-1]:.1f}"
        rows.append([{"text": text} for text in (run.name, *(f"{s:.1f}" for s in sums), f"{sum(sums):.1f}", cpu)])
    return {"heads": ("run", *PHASES, "all", "CPU, training"), "rows": rows}
