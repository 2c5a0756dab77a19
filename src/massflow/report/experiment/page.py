"""The page of an experiment: one HTML file that needs no network."""

from __future__ import annotations

from typing import Any

import altair as alt

from massflow import config
from massflow.report import html
from massflow.report.experiment.findings import RESAMPLES, Findings, Model, Number
from massflow.report.experiment.results import Experiment

HEADINGS = {
    "frontier": (
        "The frontier",
        "Equal steps flatter a slow objective, which has paid less because it has gained less. Read up and down at "
        "one pass@1: the higher curve kept more of the boundary for the same gain. The base model merely cooled "
        "(diamonds) costs no training at all: a curve that does not rise above it has gained nothing by RL.",
    ),
    "pass-at-k": (
        "pass@k",
        "Where the solid curve runs below the dashed one, training has made the model worse at k samples.",
    ),
    "training": (
        "Over training",
        "The actor entropy loss is the token entropy on the completions an update was made from, those of nonzero "
        "advantage; reward is the share of right rollouts on training prompts.",
    ),
    "mass-flow": (
        "Mass flow",
        "Dominant: the base's most likely right answer of each prompt. Rare: right answers below 1/256 under the "
        "base, which 256 samples would probably miss. What happens to the rare curve decides the boundary.",
    ),
}
HEADS = (
    "",
    "pass@1",
    "change in pass@1",
    "pass@256",
    "change in pass@256",
    "pass@256 at matched pass@1",
    "greedy",
    "entropy",
    "distinct",
    "rare mass",
)
Cell = dict[str, str]
PHASES = ("sample", "reference", "update", "evaluate")


def render(findings: Findings, charts: dict[str, alt.TopLevelMixin]) -> str:
    """The whole page as text."""
    experiment = findings.experiment
    return html.render(
        "experiment.html.j2",
        charts,
        title=f"Where the mass went: {experiment.recipe.name}",
        lead=_lead(experiment),
        sentences=findings.sentences,
        scope=_scope(experiment),
        table=_table(findings),
        figures=[{"name": name, "heading": HEADINGS[name][0], "caption": HEADINGS[name][1]} for name in charts],
        environment=_environment(experiment),
        times=_times(experiment),
        recipe=config.dumps(experiment.recipe),
    )


def _lead(experiment: Experiment) -> str:
    recipe, compare = experiment.recipe, experiment.recipe.compare
    assert compare is not None
    return (
        f"A {recipe.model.layers}-layer transformer, trained from scratch on the {recipe.task.name} task, then by "
        f"RLVR for {recipe.train.steps} steps with {len(compare.labels)} arms; "
        f"{recipe.evaluate.prompts} held-out prompts. Every right answer of a prompt can be listed, so success "
        "probabilities, pass@k and the mass on each answer are exact: no sampling noise."
    )


def _scope(experiment: Experiment) -> str:
    compare = experiment.recipe.compare
    assert compare is not None
    bases, seeds = len(compare.bases), len(compare.seeds)
    return (
        "In brackets: 95 % intervals. They resample the held-out prompts, paired, each comparison by itself. They do "
        f"not cover the choice of base ({bases} here) or of RL seed ({seeds} a base, averaged): this page speaks of "
        "these models."
    )


def _table(findings: Findings) -> dict[str, Any]:
    nothing = {"text": "–"}
    rows = [_table_row(findings.base, nothing, nothing, nothing)]
    for outcome in findings.outcomes:
        matched = _number_cell(outcome.matched, ".3f") if outcome.matched else nothing
        changes = (_number_cell(outcome.pass_at_1, "+.3f"), _number_cell(outcome.pass_at_256, "+.3f"))
        rows.append(_table_row(outcome.model, *changes, matched))
    note = (
        "Changes are from the base, with 95 % intervals. Matched: where pass@1 (made to rise by isotonic regression) "
        f"had risen by {findings.gain:.2f}, run by run; left out where under 95 % of the resamples get there. "
        "Entropy: token entropy in nats at temperature 1. Distinct: expected number of different right answers in 256 "
        "samples of a prompt. "
        "Rare mass: of the right answers that were below 1/256 under the base."
    )
    return {"heads": HEADS, "rows": rows, "note": note}


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


def _number_cell(number: Number, form: str) -> Cell:
    return {"text": f"{number.value:{form}}", "range": f"[{number.low:{form}}, {number.high:{form}}]"}


def _environment(experiment: Experiment) -> dict[str, Any]:
    compare = experiment.recipe.compare
    assert compare is not None
    facts = [(name.replace("_", " "), str(value)) for name, value in experiment.environment.items()]
    seeds = f"bases {list(compare.bases)}, RL {list(compare.seeds)}; bootstrap 0, {RESAMPLES:,} resamples"
    rows = [[{"text": name}, {"text": value, "wrap": True}] for name, value in (("seeds", seeds), *facts)]
    return {"heads": (), "rows": rows}


def _times(experiment: Experiment) -> dict[str, Any]:
    rows = []
    for run in experiment.runs:
        sums = [sum(row.get(phase, 0.0) for row in run.timing) for phase in PHASES]
        texts = [run.name, *(f"{seconds:.1f}" for seconds in sums), f"{sum(sums):.1f}"]
        rows.append([{"text": text} for text in texts])
    return {"heads": ("run", *PHASES, "all"), "rows": rows}
