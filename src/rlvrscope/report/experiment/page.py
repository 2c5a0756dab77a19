"""The page of an experiment: one HTML file that needs no network."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from rlvrscope import config
from rlvrscope.experiment.baselines import COOLED
from rlvrscope.experiment.findings import FRONTIER_RESAMPLES, RESAMPLES, Findings
from rlvrscope.experiment.outcomes import AtGain, Bounded, Entry, Estimate, Model, label, shown
from rlvrscope.experiment.results import Experiment
from rlvrscope.report import html
from rlvrscope.report.experiment.captions import GRADED_NOTE, HEADINGS, matched_note, scope, table_note, trained_note
from rlvrscope.report.experiment.tables import GRADED_HEADS, graded_cells, ranked, seconds_text
from rlvrscope.runs.run import HELD_OUT

Cell = dict[str, Any]
NOTHING: Cell = {"text": "–"}
HEADS = (
    *("", "pass@1", "change in pass@1", "pass@256", "change in pass@256"),
    *("greedy", "entropy", "distinct", "rare mass"),
)
HELD_OUT_HEADS = ("greedy", "entropy")
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
        failed=[{"name": failure.run, "reason": failure.reason} for failure in experiment.failed],
        table=_models(findings),
        matched=_at_equal_gain(findings),
        trained=_trained(findings.on_training) if findings.on_training else None,
        graded_note=GRADED_NOTE,
        graded=[_graded(found) for found in (findings.on_training, findings) if found and found.graded],
        matched_note=matched_note(findings),
        figures=[{"name": name, "heading": HEADINGS[name][0], "caption": HEADINGS[name][1]} for name in charts],
        environment=_environment(experiment),
        times=_times(experiment),
        recipe=config.dumps(experiment.recipe),
    )


def _lead(findings: Findings) -> str:
    experiment, recipe = findings.experiment, findings.experiment.recipe
    arms = len(experiment.arms) + len(experiment.missing_arms)
    models = "A" if len(findings.bases) == 1 else f"{len(findings.bases)} bases: a"
    return (
        f"{models} {recipe.model.layers}-layer transformer, trained from scratch on the {recipe.task.name} task, then "
        f"by RLVR for {recipe.train.steps} steps with {arms} {'arm' if arms == 1 else 'arms'}; "
        f"{findings.prompts} {experiment.prompts}. Every right answer of a prompt can be listed, so success "
        "probabilities, pass@k and the mass on each answer are exact: no sampling noise."
    )


def _models(findings: Findings) -> dict[str, Any]:
    """The base and every arm after training; what is known on held-out prompts only is left out elsewhere."""
    held_out = findings.experiment.prompts == HELD_OUT
    heads = HEADS if held_out else tuple(head for head in HEADS if head not in HELD_OUT_HEADS)
    rows = [_model_row(findings.base, NOTHING, NOTHING)]
    for outcome in findings.outcomes:
        rows.append(_model_row(outcome.model, _number_cell(outcome.pass_at_1), _number_cell(outcome.pass_at_256)))
    return {"heads": heads, "rows": [*rows, *_untold(findings, len(heads))], "note": table_note(held_out)}


def _model_row(model: Model, first: Cell, boundary: Cell) -> list[Cell]:
    known = (model.greedy_accuracy, model.token_entropy)
    return [
        {"text": model.label},
        {"text": f"{model.pass_at_1:.3f}"},
        first,
        {"text": f"{model.pass_at_256:.3f}"},
        boundary,
        *({"text": f"{value:.3f}"} for value in known if value is not None),
        {"text": f"{model.distinct_correct:.1f}"},
        {"text": f"{model.rare_mass:.4f}"},
    ]


def _untold(findings: Findings, columns: int) -> list[list[Cell]]:
    """A row for each arm of which nothing is known on these prompts."""
    return [[{"text": label(arm)}, *[NOTHING] * (columns - 1)] for arm in findings.experiment.missing_arms]


def _number_cell(number: Estimate) -> Cell:
    return {"text": shown(number.value, "+.3f"), "range": number.ends("+.3f")}


def _bounded_cell(value: Bounded | None, form: str = "+.3f") -> Cell:
    return NOTHING if value is None else {"text": value.text(form), "range": value.ends(form)}


def _at_equal_gain(findings: Findings) -> list[dict[str, Any]]:
    return [
        _ranking(findings),
        _pairs(findings),
        *(_at_target(findings, index) for index in range(len(findings.gains))),
    ]


def _ranking(findings: Findings) -> dict[str, Any]:
    common = findings.equal.common
    if common is None:
        return {"rows": []}
    heads = ("", "change in pass@256", "runs that reach all of it", *_baseline_heads(findings))
    rows = [
        [
            {"text": entry.label},
            _bounded_cell(entry.change),
            {"text": f"{entry.reached} of {entry.runs}"},
            *_against_baselines(findings, entry),
        ]
        for entry in ranked(findings.equal.entries)
    ]
    name = f"Over one common range: change from the base, mean over gains in pass@1 of {common}"
    return {"name": name, "heads": heads, "rows": [*rows, *_untold(findings, len(heads))]}


def _pairs(findings: Findings) -> dict[str, Any]:
    common = findings.equal.common
    heads = (
        *("", "over its own range", f"over gains {common}" if common else "over a common range"),
        *(f"at a gain of {gain:g}" for gain in findings.gains),
    )
    rows = [
        [
            {"text": pair.label},
            {**_number_cell(pair.own.difference), "note": f"gains {pair.own.span}"} if pair.own else NOTHING,
            _bounded_cell(pair.common),
            *map(_bounded_cell, pair.targets),
        ]
        for pair in findings.equal.pairs
    ]
    return {"name": "Pairs: difference in pass@256 at equal pass@1", "heads": heads, "rows": rows}


def _at_target(findings: Findings, index: int) -> dict[str, Any]:
    heads = ("", "runs that got there", "pass@256 there", *_baseline_heads(findings), "CPU seconds")
    rows = [_target_row(findings, entry.label, entry.targets[index]) for entry in findings.equal.entries]
    name = f"Where pass@1 had risen by {findings.gains[index]:g}"
    return {"name": name, "heads": heads, "rows": [*rows, *_untold(findings, len(heads))]}


def _target_row(findings: Findings, name: str, target: AtGain) -> list[Cell]:
    return [
        {"text": name},
        {"text": f"{target.reached} of {target.runs}"},
        _bounded_cell(target.pass_at_256, ".3f"),
        *_against_baselines(findings, target),
        {"text": seconds_text(target.seconds, ".1f")},
    ]


def _baseline_heads(findings: Findings) -> list[str]:
    """Of the differences from those baselines that there are."""
    cooled, wise = _baselines(findings)
    return [*(["minus the cooled base"] if cooled else []), *(["minus its WiSE"] if wise else [])]


def _against_baselines(findings: Findings, found: Entry | AtGain) -> list[Cell]:
    pairs = zip(_baselines(findings), (found.minus_cooled, found.minus_wise), strict=True)
    return [_bounded_cell(difference) for there, difference in pairs if there]


def _baselines(findings: Findings) -> tuple[bool, bool]:
    """Whether there is a cooled base, and a WiSE."""
    entries = findings.equal.entries
    return any(entry.name == COOLED for entry in entries), any(entry.of for entry in entries)


def _trained(findings: Findings) -> dict[str, Any]:
    """The section on training prompts."""
    return {
        "note": trained_note(findings),
        "sentences": [*findings.sentences[1:3], *findings.sentences[4:]],
        "table": _models(findings),
        "matched": _at_equal_gain(findings),
    }


def _graded(findings: Findings) -> dict[str, Any]:
    heads = (
        *(head.replace("-\n", "").replace("\n", " ") for head in GRADED_HEADS),
        "change in optimal",
        "change in pass@256 of optimal",
    )
    rows = []
    for graded in findings.graded:
        cells = [{"text": text.replace(">", " → ")} for text in (label(graded.arm), *graded_cells(graded))]
        rows.append([*cells, _number_cell(graded.optimal_change), _number_cell(graded.boundary_change)])
    return {"name": f"On {findings.experiment.prompts}", "heads": heads, "rows": rows}


def _environment(experiment: Experiment) -> dict[str, Any]:
    compare = experiment.compare
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
        sums = [float(np.nansum([getattr(row, phase) for row in run.timing])) for phase in PHASES]
        cpu_S = run.cpu_seconds_S
        cpu = "–" if cpu_S is None else f"{cpu_S[-1]:.1f}"
        rows.append([{"text": text} for text in (run.name, *(f"{s:.1f}" for s in sums), f"{sum(sums):.1f}", cpu)])
    return {"heads": ("run", *PHASES, "all", "CPU, training"), "rows": rows}
