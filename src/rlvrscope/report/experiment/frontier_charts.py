"""The frontier: pass@256 against pass@1 along training, its baselines, and what decoding can undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.experiment.curves import (
    best_at,
    decoded_base,
    envelope_gains,
    interpolated,
    mean_curve,
    start,
    trained,
)
from rlvrscope.experiment.outcomes import label
from rlvrscope.experiment.results import Experiment
from rlvrscope.report.style import BASE_COLOUR, COLOURS, LEGEND, by_model, number, title

Rows = list[dict[str, Any]]
X = alt.X(
    "pass@1:Q",
    title="pass@1 (mean over held-out prompts)",
    scale=alt.Scale(zero=False, padding=24, nice=False),
    axis=alt.Axis(tickCount=8),
)
Y = alt.Y("pass@256:Q", title="pass@256", scale=alt.Scale(zero=False, padding=16))
ENVELOPES = {
    "any checkpoint, any temperature": (slice(1, None), True),
    "final model, any temperature": (slice(-1, None), True),
    "any checkpoint, T = 1": (slice(1, None), False),
}
"""Which evaluations, the start apart, and whether at all temperatures."""
LEFT_SHARE = 0.2
"""How far left of the curves a heated base is still shown, in widths of the curves."""


def frontier(experiment: Experiment) -> Any:
    """One curve an arm, with the base cooled and heated, interpolated weights, and the declared targets."""
    points = _trained_points(experiment)
    details = [alt.Tooltip("model:N"), alt.Tooltip("step:Q"), number("pass@1"), number("pass@256")]
    colour, dash = by_model([label(arm) for arm in experiment.arms])
    along = alt.Chart(alt.Data(values=points)).encode(x=X, y=Y, order=alt.Order("step:Q"))
    line = along.mark_line(strokeWidth=2).encode(color=colour, strokeDash=dash)
    dot = along.mark_circle(size=32, opacity=1).encode(color=colour.legend(None), tooltip=details)
    final = along.transform_filter("datum.last").mark_point(size=150, strokeWidth=2.5, filled=False, opacity=1)
    final = final.encode(color=colour.legend(None), tooltip=details)
    targets = _targets(experiment, max(row["pass@1"] for row in points))
    left = _left_edge([row["pass@1"] for row in points])
    line_of_base, diamonds, names = _base_layers(experiment, left)
    wise = _wise_layers(experiment, colour)
    layers = [*targets, line_of_base, diamonds, line, dot, final, *wise, names]
    return alt.layer(*layers).properties(
        width=600,
        height=400,
        title=title(
            "Along training: what pass@1 costs at pass@256",
            [
                f"Up and right is better. Points: evaluations, mean over {_over(experiment)}; rings: the final models.",
                f"Diamonds: the untrained base at temperatures T.{_wise_words(experiment)} Vertical: declared gains.",
            ],
        ),
    )


def envelopes(experiment: Experiment) -> Any:
    """The best pass@256 at each pass@1 over checkpoints and temperatures, against that at temperature 1 alone."""
    temperatures, gains_X = experiment.recipe.evaluate.temperatures, envelope_gains(experiment)
    rows: Rows = []
    for arm in experiment.arms:
        for kind, (evaluations, hot) in ENVELOPES.items():
            best = best_at(temperatures if hot else (1.0,), gains_X, evaluations)
            rows += _rows(mean_curve(experiment, experiment.of(arm), best), model=label(arm), kind=kind)
    base = mean_curve(experiment, experiment.runs, best_at(temperatures, gains_X, slice(0, 1)))
    rows += _rows(base, model="BASE", kind=next(iter(ENVELOPES)))
    panels = [
        _envelope_panel([row for row in rows if row["model"] in (label(arm), "BASE")], arm, index)
        for index, arm in enumerate(experiment.arms)
    ]
    listed = ", ".join(f"{temperature:g}" for temperature in sorted(temperatures))
    return (
        alt.concat(*panels, columns=3)
        .resolve_scale(color="independent", x="shared", y="shared")
        .properties(
            title=title(
                "What decoding can undo: the best pass@256 at this pass@1 or a higher one",
                f"Temperatures {listed}, neighbours joined by straight lines; mean over {_over(experiment)}. "
                "Grey: the base at any temperature.",
            )
        )
    )


def _envelope_panel(rows: Rows, arm: str, index: int) -> Any:
    scale = alt.Scale(domain=[label(arm), "BASE"], range=[COLOURS[index % len(COLOURS)], BASE_COLOUR])
    dash = alt.Scale(domain=list(ENVELOPES), range=[[1, 0], [7, 3], [2, 3]])
    chart = alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=2)
    return chart.encode(
        x=alt.X("pass@1:Q", title="pass@1", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(tickCount=5)),
        y=alt.Y("pass@256:Q", title="pass@256" if index % 3 == 0 else None, scale=alt.Scale(zero=False)),
        color=alt.Color("model:N", scale=scale, legend=None),
        strokeDash=alt.StrokeDash("kind:N", scale=dash, legend=alt.Legend(**{**LEGEND.to_dict(), "labelLimit": 260})),
        tooltip=[alt.Tooltip("model:N"), alt.Tooltip("kind:N"), number("pass@1"), number("pass@256")],
    ).properties(width=225, height=190, title=label(arm))


def _rows(curve_X2: Floats, **facts: str) -> Rows:
    """The points of an envelope, up to where some run has none."""
    return [
        {**facts, "pass@1": round(x, 5), "pass@256": round(y, 5)}
        for x, y in curve_X2[np.isfinite(curve_X2[:, 1])].tolist()
    ]


def _trained_points(experiment: Experiment) -> Rows:
    rows: Rows = []
    for arm in experiment.arms:
        runs = experiment.of(arm)
        for step, (x, y) in zip(runs[0].evaluation_steps, mean_curve(experiment, runs, trained).tolist(), strict=True):
            rows.append(
                {
                    "model": label(arm),
                    "pass@1": x,
                    "pass@256": y,
                    "step": step,
                    "last": step == runs[0].evaluation_steps[-1],
                }
            )
    return rows


def _left_edge(xs: Sequence[float]) -> float:
    return min(xs) - LEFT_SHARE * (max(xs) - min(xs))


def _base_layers(experiment: Experiment, left: float) -> list[Any]:
    """The base at each temperature of the recipe, but for those so hot that they would push the curves aside."""
    temperatures = sorted(experiment.recipe.evaluate.temperatures)
    decoded = {temperature: decoded_base(experiment, temperature).tolist() for temperature in temperatures}
    rows = [
        {"temperature": temperature, "pass@1": x, "pass@256": y, "label": f"T = {temperature:g}"}
        for temperature, (x, y) in decoded.items()
        if x >= left
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(x=X, y=Y, order=alt.Order("temperature:Q"))
    details = [alt.Tooltip("label:N", title="base"), number("pass@1"), number("pass@256")]
    names = base.mark_text(align="left", dx=2, dy=-10).encode(text="label:N")
    diamonds = base.mark_point(color=BASE_COLOUR, shape="diamond", filled=True, size=60, opacity=1)
    return [base.mark_line(color=BASE_COLOUR, strokeDash=[1, 3]), diamonds.encode(tooltip=details), names]


def _wise_layers(experiment: Experiment, colour: alt.Color) -> list[Any]:
    """From the base to each arm's final models, through the weights between them."""
    rows: Rows = []
    for arm in experiment.arms:
        runs = [run for run in experiment.of(arm) if len(run.interpolated_AP())]
        if runs:
            alphas = [row.alpha for row in runs[0].interpolation]
            curve = mean_curve(experiment, runs, interpolated).tolist()
            rows += [
                {"model": label(arm), "alpha": alpha, "pass@1": x, "pass@256": y}
                for alpha, (x, y) in zip(alphas, curve, strict=True)
            ]
    if not rows:
        return []
    chart = alt.Chart(alt.Data(values=rows)).encode(x=X, y=Y, color=colour.legend(None), order=alt.Order("alpha:Q"))
    details = [alt.Tooltip("model:N"), number("alpha", ".2f"), number("pass@1"), number("pass@256")]
    triangles = chart.mark_point(shape="triangle-up", filled=False, size=55, opacity=1, strokeWidth=1.5)
    faint = chart.mark_line(strokeWidth=1, opacity=0.6).encode(detail="model:N")
    return [faint, triangles.encode(tooltip=details)]


def _targets(experiment: Experiment, most: float) -> list[Any]:
    """A line at each declared gain that the chart has room for."""
    compare = experiment.recipe.compare
    assert compare is not None
    at = float(start(experiment)[0])
    rows = [{"pass@1": at + gain, "label": f"+{gain:g}"} for gain in compare.gains if at + gain <= most]
    if not rows:
        return []
    chart = alt.Chart(alt.Data(values=rows)).encode(x=X)
    rule = chart.mark_rule(color=BASE_COLOUR, strokeDash=[4, 4], opacity=0.7)
    text = chart.mark_text(align="left", dx=3, dy=8, color=BASE_COLOUR).encode(text="label:N", y=alt.value(0))
    return [rule, text]


def _wise_words(experiment: Experiment) -> str:
    return (
        " Triangles: weights between base and final model." if any(run.interpolation for run in experiment.runs) else ""
    )


def _over(experiment: Experiment) -> str:
    return "bases and RL seeds" if len({run.base for run in experiment.runs}) > 1 else "RL seeds"
