"""The page of an experiment: one HTML file that needs no network."""

from __future__ import annotations

from typing import Any

import altair as alt

from massflow import config
from massflow.report import html
from massflow.report.experiment.captions import GRADED_NOTE, HEADINGS, TABLE_NOTE, matched_note, scope
from massflow.report.experiment.findings import FRONTIER_RESAMPLES, RESAMPLES, Findings
from massflow.report.experiment.numbers import Bounded, Model, Number, Outcome, Target, label
from massflow.report.experiment.results import Experiment
from massflow.report.experiment.tables import GRADED_HEADS, graded_cells

Cell = dict[str, Any]
NOTHING: Cell = {"text": "–"}
HEADS = (
    *("", "pass@1", "change in pass@1", "pass@256", "change in pass@256"),
    *("greedy", "entropy", "distinct", "rare mass"),
)
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
        failed=[{"name": name, "reason": reason} for name, reason in experiment.failed],
        table=_table(findings),
        matched=_matched(findings),
        trained=_matched(findings.on_training) if findings.on_training else [],
        graded_note=GRADED_NOTE,
        graded=[_graded(found) for found in (findings.on_training, findings) if found and found.graded],
        matched_note=matched_note(findings),
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


def _table(findings: Findings) -> dict[str, Any]:
    rows = [_table_row(findings.base, NOTHING, NOTHING)]
    for outcome in findings.outcomes:
        rows.append(_table_row(outcome.model, _number_cell(outcome.pass_at_1), _number_cell(outcome.pass_at_256)))
    return {"heads": HEADS, "rows": rows, "note": TABLE_NOTE}


def _table_row(model: Model, first: Cell, boundary: Cell) -> list[Cell]:
    return [
        {"text": model.label},
        {"text": f"{model.pass_at_1:.3f}"},
        first,
        {"text": f"{model.pass_at_256:.3f}"},
        boundary,
        {"text": f"{model.greedy_accuracy:.3f}"},
        {"text": f"{model.token_entropy:.3f}"},
        {"text": f"{model.distinct_correct:.1f}"},
        {"text": f"{model.rare_mass:.4f}"},
    ]


def _number_cell(number: Number) -> Cell:
    return {"text": f"{number.value:+.3f}", "range": f"[{number.low:+.3f}, {number.high:+.3f}]"}


def _bounded_cell(value: Bounded | None, form: str) -> Cell:
    if value is None:
        return NOTHING
    return {"text": value.text(form), "range": f"[{value.low:{form}}, {value.high:{form}}]"}


def _matched(findings: Findings) -> list[dict[str, Any]]:
    return [_over_range(findings), *(_at_target(findings, index) for index in range(len(findings.gains)))]


def _graded(findings: Findings) -> dict[str, Any]:
    heads = (*(head.replace("-\n", "").replace("\n", " ") for head in GRADED_HEADS), "change in pass@256 of optimal")
    rows = []
    for graded in findings.graded:
        cells = [{"text": text.replace(">", " → ")} for text in (label(graded.arm), *graded_cells(graded))]
        rows.append([*cells, _number_cell(graded.boundary_change)])
    return {"name": f"On {findings.experiment.runs[0].prompts}", "heads": heads, "rows": rows}


def _over_range(findings: Findings) -> dict[str, Any]:
    first, *others = findings.outcomes
    rows = [_range_row(outcome) for outcome in others]
    heads = ("", f"pass@256 against {first.model.label}", "gains from 0 to")
    return {"name": "At equal pass@1, over all gains that every run of both arms reaches", "heads": heads, "rows": rows}


def _range_row(outcome: Outcome) -> list[Cell]:
    if outcome.matched is None:
        return [{"text": outcome.model.label}, NOTHING, NOTHING]
    upto = {"text": f"{outcome.matched.upto:.3f}"}
    return [{"text": outcome.model.label}, _number_cell(outcome.matched.difference), upto]


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
