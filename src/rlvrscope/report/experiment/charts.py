"""The charts of an experiment: one Altair definition each, from which page, PNG and SVG are made."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.outcomes import label
from rlvrscope.experiment.results import Experiment
from rlvrscope.report.experiment.equal_chart import at_equal_pass
from rlvrscope.report.experiment.frontier_charts import envelopes, frontier
from rlvrscope.report.experiment.graded_chart import graded
from rlvrscope.report.experiment.prompts_chart import prompts
from rlvrscope.report.style import BASE_COLOUR, COLOURS, by_model, number, styled, title
from rlvrscope.runs.run import Run

KS = [2**power for power in range(11)]
WINDOW = 10
"""Steps averaged into one point of a telemetry curve."""

MASS_KINDS = {
    "dominant": "right, dominant at the start",
    "other": "right, other",
    "rare": "right, rare at the start (< 1/256)",
    "wrong": "wrong",
}
MASS_COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#999999")
MASS_DASHES = ((1, 0), (6, 3), (3, 2), (1, 3))


def charts(findings: Findings) -> dict[str, alt.TopLevelMixin]:
    """Every chart by the name of its file."""
    experiment = findings.experiment
    made = {"frontier": frontier(experiment)}
    beside = at_equal_pass(findings)
    if beside is not None:
        made["equal-pass"] = beside
    if len(experiment.recipe.evaluate.temperatures) > 1:
        made["envelopes"] = envelopes(experiment)
    made["prompts"] = prompts(findings)
    if any(run.graded for run in experiment.runs):
        made["graded"] = graded(experiment)
    made["pass-at-k"] = pass_at_k_curves(findings)
    made["training"] = training_curves(experiment)
    made["mass-flow"] = mass_flow(experiment)
    return {name: styled(chart) for name, chart in made.items()}


def pass_at_k_curves(findings: Findings) -> Any:
    """pass@k over k: the base against each arm after training, with 95 % intervals."""
    names = findings.experiment.arms
    panels = []
    for index, name in enumerate(names):
        rows = [
            {"model": model, "k": k, "pass": float(estimate), "low": float(low), "high": float(high)}
            for model, arm in (("BASE", None), (label(name), name))
            for k, estimate, low, high in _curve_points(findings, arm)
        ]
        colour = alt.Color(
            "model:N",
            scale=alt.Scale(domain=["BASE", label(name)], range=[BASE_COLOUR, COLOURS[index % len(COLOURS)]]),
            legend=None,
        )
        dash = alt.StrokeDash(
            "model:N", scale=alt.Scale(domain=["BASE", label(name)], range=[[4, 3], [1, 0]]), legend=None
        )
        x = alt.X("k:Q", title="k (samples)", scale=alt.Scale(type="log", base=2), axis=alt.Axis(values=KS[::2]))
        y_title = "pass@k" if index % 3 == 0 else None
        chart = alt.Chart(alt.Data(values=rows)).encode(x=x, color=colour)
        band = chart.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title=y_title, scale=_PASS_SCALE), y2="high:Q")
        line = chart.mark_line(strokeWidth=2).encode(
            y=alt.Y("pass:Q", title=y_title, scale=_PASS_SCALE),
            strokeDash=dash,
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("k:Q"),
                number("pass"),
                number("low"),
                number("high"),
            ],
        )
        panels.append((band + line).properties(width=225, height=190, title=f"{label(name)} (solid), base (dashed)"))
    return (
        alt.concat(*panels, columns=3)
        .resolve_scale(color="independent", strokeDash="independent")
        .properties(
            title=title(
                "pass@k after training against the base",
                f"Exact on {findings.prompts} {findings.experiment.prompts}; bands: pointwise 95 %, for what the "
                "intervals in the tables speak of.",
            )
        )
    )


_PASS_SCALE = alt.Scale(zero=False, domainMax=1.0)


def training_curves(experiment: Experiment) -> Any:
    """pass@1, greedy accuracy, entropies and reward over steps, in the manner of the paper's Figure 2."""
    panels = {
        "pass@1 (held out)": lambda run: _evaluated(run, lambda row, score: score.pass_at_1),
        "greedy accuracy (held out)": lambda run: _evaluated(run, lambda row, score: row.greedy_accuracy),
        "pass@256 (held out)": lambda run: _evaluated(run, lambda row, score: score.pass_at_k),
        "token entropy, nats (held out)": lambda run: _evaluated(run, lambda row, score: row.entropy),
        "actor entropy loss, nats (training)": lambda run: _logged(run, "actor_entropy"),
        "reward (training)": lambda run: _logged(run, "reward"),
    }
    colour, dash = by_model([label(name) for name in experiment.arms])
    drawn = []
    for heading, series in panels.items():
        rows = [
            {"model": label(name), "step": step, "value": value}
            for name in experiment.arms
            for step, value in _mean_series([series(run) for run in experiment.of(name)])
        ]
        chart = alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=2)
        drawn.append(
            chart.encode(
                x=alt.X("step:Q", title="RL step"),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
                color=colour,
                strokeDash=dash,
                tooltip=[alt.Tooltip("model:N"), alt.Tooltip("step:Q"), number("value")],
            ).properties(width=225, height=150, title=heading)
        )
    return alt.concat(*drawn, columns=3).properties(
        title=title("Over training", f"Mean over runs; training curves are means over {WINDOW} steps.")
    )


def mass_flow(experiment: Experiment) -> Any:
    """Where the mass goes: right answers by what they were under the base, and wrong ones, over steps."""
    panels = []
    domain = list(MASS_KINDS.values())
    for index, name in enumerate(experiment.arms):
        rows = [
            {"kind": words, "step": step, "mass": mass}
            for kind, words in MASS_KINDS.items()
            for step, mass in _mean_series([_mass(run, kind) for run in experiment.of(name)])
        ]
        legend = alt.Legend(
            orient="bottom",
            columns=2,
            title=None,
            symbolType="stroke",
            symbolStrokeWidth=2,
            symbolSize=400,
            labelLimit=260,
        )
        panels.append(
            alt.Chart(alt.Data(values=rows))
            .mark_line(strokeWidth=2)
            .encode(
                x=alt.X("step:Q", title="RL step"),
                y=alt.Y(
                    "mass:Q",
                    title="probability mass (log scale)" if index % 3 == 0 else None,
                    scale=alt.Scale(type="log", domainMax=1.0),
                    axis=alt.Axis(format="~g", values=[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]),
                ),
                color=alt.Color("kind:N", scale=alt.Scale(domain=domain, range=list(MASS_COLOURS)), legend=legend),
                strokeDash=alt.StrokeDash(
                    "kind:N", scale=alt.Scale(domain=domain, range=list(MASS_DASHES)), legend=legend
                ),
                tooltip=[alt.Tooltip("kind:N"), alt.Tooltip("step:Q"), alt.Tooltip("mass:Q", format=".4f")],
            )
            .properties(width=225, height=190, title=label(name))
        )
    return (
        alt.concat(*panels, columns=3)
        .resolve_scale(y="shared")
        .properties(
            title=title(
                "Mass flow: where the probability goes",
                "Mean over held-out prompts and runs; every right answer is listed, its mass is exact.",
            )
        )
    )


def _curve_points(findings: Findings, arm: str | None) -> zip[tuple[int, float, float, float]]:
    curve = findings.pass_curve(arm, KS)
    return zip(KS, curve.estimate, curve.low, curve.high, strict=True)


def _evaluated(run: Run, value: Any) -> list[tuple[int, float]]:
    return [(row.step, value(row, score)) for row, score in zip(run.evaluation, run.scores(), strict=True)]


def _logged(run: Run, name: str) -> list[tuple[int, float]]:
    """Telemetry, averaged over windows of steps; a window without a value (no row was trained on) is left out."""
    points = []
    for start in range(0, len(run.telemetry), WINDOW):
        rows = run.telemetry[start : start + WINDOW]
        values = np.array([getattr(row, name) for row in rows])
        if not np.isnan(values).all():
            points.append((rows[-1].step, float(np.nanmean(values))))
    return points


def _mass(run: Run, kind: str) -> list[tuple[int, float]]:
    mass_SP = 1.0 - run.success_SP() if kind == "wrong" else run.mass_SP(kind)
    return list(zip(run.evaluation_steps, map(float, mass_SP.mean(axis=1)), strict=True))


def _mean_series(series: list[list[tuple[int, float]]]) -> list[tuple[int, float]]:
    """Mean over runs at the steps that all of them have."""
    tables = [dict(points) for points in series]
    shared = [step for step in tables[0] if all(step in table for table in tables)]
    return [(step, float(np.mean([table[step] for table in tables]))) for step in shared]
