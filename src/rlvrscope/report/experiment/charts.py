"""The charts of an experiment: one Altair definition each, from which page, PNG and SVG are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from rlvrscope.experiment.curves import (
    MASS_KINDS,
    TELEMETRY_WINDOW,
    MassPoint,
    StepValue,
    envelopes,
    frontier,
    graded_series,
    mass_series,
    training_series,
)
from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.outcomes import Bounded, Estimate
from rlvrscope.experiment.prompt_changes import BASE, prompt_pairs
from rlvrscope.experiment.stages import ArmStages
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.report.experiment.frontier_charts import (
    PANELS_PER_ROW,
    envelopes_chart,
    frontier_chart,
    prompts_chart,
)
from rlvrscope.report.experiment.words import BOUNDARY, arm_label, between, entry_label, pair_label
from rlvrscope.report.monitor.charts import signal_panel
from rlvrscope.report.monitor.words import signals
from rlvrscope.report.style import (
    BASE_COLOUR,
    COLOURS,
    by_model,
    lines_by,
    number,
    panel_title,
    styled,
    title,
)
from rlvrscope.report.text import number as number_text
from rlvrscope.runs.finished_run import HELD_OUT, TRAINING
from rlvrscope.stats import Interval

KS = [2**power for power in range(11)]
MASS_LABELS = {
    "dominant": "right, dominant at the start",
    "other": "right, other",
    "rare": f"right, rare at the start (< 1/{BOUNDARY_K})",
    "wrong": "wrong",
}
MASS_COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#999999")
MASS_DASHES = ((1, 0), (6, 3), (3, 2), (1, 3))
GRADED_LINES = {
    f"{name}, {prompts}": (colour, dash)
    for prompts, dash in ((TRAINING, (1, 0)), (HELD_OUT, (3, 3)))
    for name, colour in (("common", "#0072B2"), ("optimal", "#D55E00"))
}
STAGE_SIGNALS = ("reward", "entropy")
"""Signals of every arm; after them the one that decides between exploitation and exploration."""
MASS_TICKS = (1e-5, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)


def charts(findings: Findings) -> dict[str, alt.TopLevelMixin]:
    """Every chart by the name of its file, in the page's order."""
    experiment = findings.experiment
    over = "bases and RL seeds" if len(findings.bases) > 1 else "RL seeds"
    temperatures = experiment.recipe.evaluate.temperatures
    drawn = {
        "frontier": frontier_chart(frontier(experiment), findings.gains, experiment.prompts, over),
        "mass-flow": mass_chart(mass_series(experiment), experiment.prompts),
    }
    equal_pass = equal_pass_chart(findings)
    if equal_pass is not None:
        drawn["equal-pass"] = equal_pass
    if len(temperatures) > 1:
        drawn["envelopes"] = envelopes_chart(envelopes(experiment), temperatures, over)
    drawn["prompts"] = prompts_chart(prompt_pairs(findings))
    if experiment.graded:
        drawn["graded"] = graded_chart(graded_series(experiment))
    curves = {arm: findings.pass_curve(arm, KS) for arm in (None, *experiment.arms)}
    where = f"{findings.num_prompts} {experiment.prompts}"
    drawn["pass-at-k"] = pass_at_k_chart(curves, where)
    if findings.stages:
        drawn["stages"] = stages_chart(findings.stages)
    drawn["training"] = training_chart(training_series(experiment))
    return {name: styled(chart) for name, chart in drawn.items()}


def equal_pass_chart(findings: Findings) -> Any:
    """At equal pass@1: arms and baselines against the base, and the stated pairs; None if there is nothing to draw."""
    equal = findings.equal
    panels = []
    if equal.common is not None:
        rows = [_interval_row(entry_label(entry), entry.change, "") for entry in equal.ranked if entry.change]
        panels.append(_interval_panel(rows, "minus the base", f"Every arm, gains {equal.common}"))
    pairs = [
        _interval_row(f"{pair_label(pair)}, {pair.own.span}", pair.own.difference, f"gains {pair.own.span}")
        for pair in equal.pairs
        if pair.own
    ]
    if pairs:
        panels.append(_interval_panel(pairs, "difference", "Pairs, each over its own gains"))
    if not panels:
        return None
    return alt.vconcat(*panels, spacing=24).properties(
        title=title(
            f"{BOUNDARY} at equal pass@1, mean over a range of gains",
            "Dots: estimates with 95% intervals. Bars without a dot: bounds, because some run does not reach all "
            "gains. Dashed: no difference.",
        )
    )


def pass_at_k_chart(curves: Mapping[str | None, Interval], where: str) -> Any:
    """pass@k over k with 95% intervals: the base (None) against each arm after training."""
    arms = [arm for arm in curves if arm is not None]
    panels = []
    for index, arm in enumerate(arms):
        names = [arm_label(BASE), arm_label(arm)]
        rows = [
            {"model": name, "k": k, "pass": float(estimate), "low": float(low), "high": float(high)}
            for name, curve in zip(names, (curves[None], curves[arm]), strict=True)
            for k, estimate, low, high in zip(KS, curve.estimate, curve.low, curve.high, strict=True)
        ]
        colours = alt.Scale(domain=names, range=[BASE_COLOUR, COLOURS[index % len(COLOURS)]])
        dashes = alt.Scale(domain=names, range=[[4, 3], [1, 0]])
        y = {"title": _first_in_row("pass@k", index), "scale": alt.Scale(zero=False, domainMax=1.0)}
        chart = alt.Chart(alt.Data(values=rows)).encode(
            x=alt.X("k:Q", title="k (samples)", scale=alt.Scale(type="log", base=2), axis=alt.Axis(values=KS[::2])),
            color=alt.Color("model:N", scale=colours, legend=None),
        )
        band = chart.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", **y), y2="high:Q")
        line = chart.mark_line(strokeWidth=2).encode(
            y=alt.Y("pass:Q", **y),
            strokeDash=alt.StrokeDash("model:N", scale=dashes, legend=None),
            tooltip=["model:N", "k:Q", number("pass"), number("low"), number("high")],
        )
        panels.append((band + line).properties(width=225, height=190, title=f"{arm_label(arm)} (solid), base (dashed)"))
    return (
        alt.concat(*panels, columns=PANELS_PER_ROW)
        .resolve_scale(color="independent", strokeDash="independent")
        .properties(
            title=title(
                "pass@k after training against the base",
                f"Exact on {where}. Bands: pointwise 95% intervals, of the same scope as in the tables.",
            )
        )
    )


def training_chart(series: Mapping[str, Mapping[str, Sequence[StepValue]]]) -> Any:
    """Scores and telemetry over steps, one panel per quantity, as in the paper's Figure 2."""
    arms = next(iter(series.values()))
    colour, dash = by_model([arm_label(arm) for arm in arms])
    panels = []
    for quantity, by_arm in series.items():
        rows = [
            {"model": arm_label(arm), "step": step, "value": value}
            for arm, points in by_arm.items()
            for step, value in points
        ]
        chart = alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=2)
        panels.append(
            chart.encode(
                x=alt.X("step:Q", title="RL step"),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
                color=colour,
                strokeDash=dash,
                tooltip=["model:N", "step:Q", number("value")],
            ).properties(width=225, height=150, title=quantity)
        )
    return alt.concat(*panels, columns=PANELS_PER_ROW).properties(
        title=title("Over training", f"Mean over runs; rewards and entropies of updates over {TELEMETRY_WINDOW} steps.")
    )


def stages_chart(arms: Sequence[ArmStages]) -> Any:
    """Signals of each arm over the bands of its stages: one column per arm, the deciding signal last."""
    columns = [_stages_column(arm) for arm in arms]
    return alt.concat(*columns, columns=PANELS_PER_ROW).properties(
        title=title(
            "Stages and alarms, as the monitor reads them",
            "Mean over the runs of an arm. Band: the stage of most of them. Red: steps at which half of them or more "
            "have an alarm.",
        )
    )


def _stages_column(arm: ArmStages) -> Any:
    timeline, known = arm.timeline, len(arm.runs)
    names = signals(timeline.rows)
    drawn = dict.fromkeys([name for name in (*STAGE_SIGNALS, names[-1]) if name in names])
    panels = [signal_panel(timeline, name, width=225, height=80) for name in drawn]
    alarms = dict.fromkeys(span.name for span in timeline.alarms)
    lines = [f"! {name} ({arm.alarms[name]} of {known} runs)" for name in alarms] or ["no alarm in most runs"]
    heading = alt.TitleParams(arm_label(arm.arm), subtitle=lines, anchor="start", fontSize=12)
    return alt.vconcat(*panels, spacing=6, title=heading)


def mass_chart(series: Mapping[str, Sequence[MassPoint]], prompts: str) -> Any:
    """Mass of right answers by their class under the base, and of wrong ones, over steps; one panel per arm."""
    colour, dash = lines_by("kind", [MASS_LABELS[kind] for kind in MASS_KINDS], MASS_COLOURS, MASS_DASHES, columns=2)
    panels = [
        _mass_panel(arm, index, [point._replace(kind=MASS_LABELS[point.kind]) for point in points], colour, dash)
        for index, (arm, points) in enumerate(series.items())
    ]
    return _mass_panels(
        panels,
        "Mass flow: where the probability goes",
        f"Mean over {prompts} and runs. Every right answer is listed, so masses are exact.",
    )


def graded_chart(series: Mapping[str, Sequence[MassPoint]]) -> Any:
    """Mass of optimal (reward 1) and of common right answers over steps; one panel per arm."""
    drawn = [kind for kind in GRADED_LINES if any(point.kind == kind for points in series.values() for point in points)]
    lines = [GRADED_LINES[kind] for kind in drawn]
    colour, dash = lines_by("kind", drawn, [line[0] for line in lines], [line[1] for line in lines], columns=2)
    panels = [_mass_panel(arm, index, points, colour, dash) for index, (arm, points) in enumerate(series.items())]
    return _mass_panels(
        panels,
        "Common and optimal answers over training",
        "Exact masses, mean over prompts and runs. Optimal: reward 1. Common: any other right answer.",
    )


def _mass_panels(panels: Sequence[Any], heading: str, subtitle: str) -> Any:
    concat = alt.concat(*panels, columns=PANELS_PER_ROW).resolve_scale(y="shared")
    return concat.properties(title=title(heading, subtitle))


def _mass_panel(arm: str, index: int, points: Sequence[MassPoint], colour: alt.Color, dash: alt.StrokeDash) -> Any:
    """Masses over steps on a logarithmic axis, which has no place for zero."""
    rows = [point._asdict() for point in points if point.mass > 0.0]
    y = alt.Y(
        "mass:Q",
        title=_first_in_row("probability mass (log scale)", index),
        scale=alt.Scale(type="log", domainMax=1.0),
        axis=alt.Axis(format="~g", values=list(MASS_TICKS)),
    )
    chart = alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=2)
    return chart.encode(
        x=alt.X("step:Q", title="RL step"),
        y=y,
        color=colour,
        strokeDash=dash,
        tooltip=["kind:N", "step:Q", number("mass", ".4f")],
    ).properties(width=225, height=190, title=arm_label(arm))


def _interval_row(name: str, value: Estimate | Bounded, span: str) -> dict[str, Any]:
    if isinstance(value, Estimate):
        known, text = value.value, number_text(value.value, "+.3f")
    else:
        known, text = (value.least if value.known else None), between(value)
    return {"name": name, "difference": known, "low": value.low, "high": value.high, "text": text, "gains": span}


def _interval_panel(rows: Sequence[dict[str, Any]], quantity: str, heading: str) -> Any:
    """Intervals around zero. Those of bounds, which are far wider, are cut."""
    ends = [abs(end) for row in rows if row["difference"] is not None for end in (row["low"], row["high"])]
    limit = 1.1 * max(ends, default=1.0)
    scale = alt.Scale(domain=[-limit, limit], nice=False)
    names = alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=alt.Axis(labelLimit=320))
    chart = alt.Chart(alt.Data(values=list(rows))).encode(y=names)
    details = ["name:N", "text:N", "gains:N", number("low", "+.3f"), number("high", "+.3f")]
    bar = chart.mark_rule(strokeWidth=2, clip=True, color=COLOURS[0]).encode(
        x=alt.X("low:Q", title=f"{BOUNDARY} {quantity}", scale=scale, axis=alt.Axis(tickCount=5)),
        x2="high:Q",
        tooltip=details,
    )
    dot = chart.transform_filter("isValid(datum.difference)").mark_circle(size=60, opacity=1, color=COLOURS[0])
    zero = alt.Chart(alt.Data(values=[{"low": 0.0}])).mark_rule(color=BASE_COLOUR, strokeDash=[4, 4])
    return alt.layer(
        zero.encode(x=alt.X("low:Q", scale=scale)),
        bar,
        dot.encode(x=alt.X("difference:Q", scale=scale), tooltip=details),
    ).properties(width=420, height=alt.Step(20), title=panel_title(heading))


def _first_in_row(text: str, index: int) -> str | None:
    """The title of an axis that a row of panels shares."""
    return None if index % PANELS_PER_ROW else text
