"""Charts in the plane of pass@1 and the boundary: the frontier, envelopes over decoding, and prompts one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from rlvrscope.experiment.curves import ENVELOPE_KINDS, Envelope, Frontier, Point
from rlvrscope.experiment.prompt_changes import BASE, SUCCESS_BINS, PromptPair, success_bin
from rlvrscope.report.experiment.words import BOUNDARY, arm_label
from rlvrscope.report.style import BASE_COLOUR, COLOURS, by_model, line_legend, number, panel_title, title

Rows = list[dict[str, Any]]
PANELS_PER_ROW = 3
BIN_COLOURS = ("#D55E00", "#E69F00", "#009E73", "#56B4E9", "#0072B2")
ENVELOPE_DASHES = ([1, 0], [7, 3], [2, 3])
MAX_LEFT_SHARE = 0.2
"""Distance left of the curves up to which a heated base is drawn, in widths of the curves."""


def frontier_chart(frontier: Frontier, gains: Sequence[float], prompts: str, over: str) -> Any:
    """One curve per arm, with the base at other temperatures, interpolated weights, and the declared gains."""
    rows = [
        {**_row(point, "step"), "model": arm_label(arm), "last": point is points[-1]}
        for arm, points in frontier.arms.items()
        for point in points
    ]
    x, y = _axes(f"pass@1 (mean over {prompts})", 8)
    colour, dash = by_model([arm_label(arm) for arm in frontier.arms])
    no_legend = colour.legend(None)
    details = ["model:N", "step:Q", number("first"), number("boundary")]
    along = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, order=alt.Order("step:Q"))
    line = along.mark_line(strokeWidth=2).encode(color=colour, strokeDash=dash)
    dot = along.mark_circle(size=32, opacity=1).encode(color=no_legend, tooltip=details)
    ring = along.transform_filter("datum.last").mark_point(size=150, strokeWidth=2.5, filled=False, opacity=1)
    firsts = [row["first"] for row in rows]
    left = min(firsts) - MAX_LEFT_SHARE * (max(firsts) - min(firsts))
    triangles = " Triangles: weights between base and final model." if frontier.wise else ""
    layers = [
        *_gain_rules(float(frontier.start[0]), gains, max(firsts), x),
        *_base_layers([point for point in frontier.base if point.pass_at_1 >= left], x, y),
        line,
        dot,
        ring.encode(color=no_legend, tooltip=details),
        *_wise_layers(frontier.wise, x, y, no_legend),
    ]
    return alt.layer(*layers).properties(
        width=720,
        height=400,
        title=title(
            f"The frontier: {BOUNDARY} against pass@1 along training",
            [
                f"Up and right is better. Points: evaluations, mean over {over}; rings: final models.",
                f"Diamonds: the untrained base at temperature T.{triangles} Vertical lines: declared gains in pass@1.",
            ],
        ),
    )


def envelopes_chart(envelopes: Sequence[Envelope], temperatures: Sequence[float], over: str) -> Any:
    """The best boundary at each pass@1 over checkpoints and temperatures, against that at temperature 1 alone."""
    arms = list(dict.fromkeys(envelope.arm for envelope in envelopes if envelope.arm is not None))
    panels = [
        _envelope_panel([one for one in envelopes if one.arm in (arm, None)], arm, index)
        for index, arm in enumerate(arms)
    ]
    listed = ", ".join(f"{temperature:g}" for temperature in sorted(temperatures))
    return (
        alt.concat(*panels, columns=PANELS_PER_ROW)
        .resolve_scale(color="independent", x="shared", y="shared")
        .properties(
            title=title(
                f"What decoding can undo: best {BOUNDARY} at this pass@1 or a higher one",
                f"Temperatures {listed}, neighbours joined by straight lines; mean over {over}. Grey: the base at any "
                "temperature.",
            )
        )
    )


def prompts_chart(pairs: Sequence[PromptPair]) -> Any:
    """A panel per pair: the boundary of each prompt under both models, coloured by the base's success rate."""
    size = 300 if len(pairs) < PANELS_PER_ROW else 225
    panels = [_prompt_panel(pair, size) for pair in pairs]
    return alt.concat(*panels, columns=PANELS_PER_ROW).properties(
        title=title(
            f"{BOUNDARY} of each prompt, one arm against another",
            "After training, mean over seeds. Below the diagonal: the arm on the vertical axis is worse.",
        )
    )


def _axes(x_title: str, x_ticks: int) -> tuple[alt.X, alt.Y]:
    x_scale = alt.Scale(zero=False, padding=40, nice=False)
    return (
        alt.X("first:Q", title=x_title, scale=x_scale, axis=alt.Axis(tickCount=x_ticks)),
        alt.Y("boundary:Q", title=BOUNDARY, scale=alt.Scale(zero=False, padding=16)),
    )


def _row(point: Point, name: str) -> dict[str, Any]:
    return {name: point.at, "first": point.pass_at_1, "boundary": point.pass_at_boundary}


def _base_layers(points: Sequence[Point], x: alt.X, y: alt.Y) -> list[Any]:
    """The base at each temperature, without those so hot that they would squeeze the curves."""
    rows = [{**_row(point, "temperature"), "label": f"T = {point.at:g}"} for point in points]
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, order=alt.Order("temperature:Q"))
    details = [alt.Tooltip("label:N", title="base"), number("first"), number("boundary")]
    names = base.mark_text(align="right", dx=-7, dy=6, color=BASE_COLOUR).encode(text="label:N")
    diamonds = base.mark_point(color=BASE_COLOUR, shape="diamond", filled=True, size=60, opacity=1)
    return [base.mark_line(color=BASE_COLOUR, strokeDash=[1, 3]), diamonds.encode(tooltip=details), names]


def _wise_layers(paths: dict[str, list[Point]], x: alt.X, y: alt.Y, colour: alt.Color) -> list[Any]:
    rows = [{**_row(point, "alpha"), "model": arm_label(arm)} for arm, points in paths.items() for point in points]
    if not rows:
        return []
    chart = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour, order=alt.Order("alpha:Q"))
    details = ["model:N", number("alpha", ".2f"), number("first"), number("boundary")]
    triangles = chart.mark_point(shape="triangle-up", filled=False, size=55, opacity=1, strokeWidth=1.5)
    faint = chart.mark_line(strokeWidth=1, opacity=0.6).encode(detail="model:N")
    return [faint, triangles.encode(tooltip=details)]


def _gain_rules(start: float, gains: Sequence[float], max_first: float, x: alt.X) -> list[Any]:
    """A line at each declared gain within the chart."""
    rows = [{"first": start + gain, "label": f"+{gain:g}"} for gain in gains if start + gain <= max_first]
    if not rows:
        return []
    chart = alt.Chart(alt.Data(values=rows)).encode(x=x)
    rule = chart.mark_rule(color=BASE_COLOUR, strokeDash=[4, 4], opacity=0.7)
    text = chart.mark_text(align="left", dx=3, dy=8, color=BASE_COLOUR).encode(text="label:N", y=alt.value(0))
    return [rule, text]


def _envelope_panel(envelopes: Sequence[Envelope], arm: str, index: int) -> Any:
    rows = [
        {"model": arm_label(one.arm or BASE), "kind": one.kind, "first": round(x, 5), "boundary": round(y, 5)}
        for one in envelopes
        for x, y in one.points
    ]
    colours = alt.Scale(domain=[arm_label(arm), arm_label(BASE)], range=[COLOURS[index % len(COLOURS)], BASE_COLOUR])
    dashes = alt.Scale(domain=list(ENVELOPE_KINDS), range=list(ENVELOPE_DASHES))
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("first:Q", title="pass@1", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(tickCount=5)),
            y=alt.Y("boundary:Q", title=None if index % PANELS_PER_ROW else BOUNDARY, scale=alt.Scale(zero=False)),
            color=alt.Color("model:N", scale=colours, legend=None),
            strokeDash=alt.StrokeDash("kind:N", scale=dashes, legend=line_legend()),
            tooltip=["model:N", "kind:N", number("first"), number("boundary")],
        )
        .properties(width=225, height=190, title=arm_label(arm))
    )


def _prompt_panel(pair: PromptPair, size: int) -> Any:
    arm, against = arm_label(pair.arm), arm_label(pair.against)
    names = [name for name, _ in SUCCESS_BINS]
    unit = alt.Scale(domain=[0, 1])
    details = [*(alt.Tooltip(f"{field}:N") for field in ("base", "prompt")), number("success")]
    points = (
        alt.Chart(_prompt_data(pair))
        .mark_circle(size=30, opacity=0.6)
        .encode(
            x=alt.X("against:Q", title=f"{BOUNDARY} of {against}", scale=unit),
            y=alt.Y("arm:Q", title=f"{BOUNDARY} of {arm}", scale=unit),
            color=alt.Color(
                "bin:N",
                scale=alt.Scale(domain=names, range=list(BIN_COLOURS)),
                legend=alt.Legend(orient="bottom", title="base's P(right)", columns=5, symbolOpacity=1),
            ),
            tooltip=[*details, number("arm"), number("against")],
        )
    )
    corners = alt.Chart(alt.Data(values=[{"against": 0, "arm": 0}, {"against": 1, "arm": 1}]))
    diagonal = corners.mark_line(color=BASE_COLOUR, strokeWidth=1, strokeDash=[3, 3]).encode(x="against:Q", y="arm:Q")
    return alt.layer(diagonal, points).properties(
        width=size, height=size, title=panel_title(f"{arm} against {against}")
    )


def _prompt_data(pair: PromptPair) -> alt.InlineData:
    """A row per base and prompt, as CSV: a third of JSON's size, in a page that holds many."""
    columns = zip(pair.base_N, pair.prompt_N, pair.success_N, pair.arm_N, pair.against_N, strict=True)
    lines = [
        f"{base},{prompt},{success:.4g},{success_bin(success)},{arm:.3f},{against:.3f}"
        for base, prompt, success, arm, against in columns
        if np.isfinite(arm) and np.isfinite(against)
    ]
    types = {"base": "string", "prompt": "number", "success": "number", "bin": "string"}
    types |= {"arm": "number", "against": "number"}
    return alt.InlineData("\n".join([",".join(types), *lines]), format=alt.CsvDataFormat(type="csv", parse=types))
