"""The chart of a study: one Altair definition for each kind of figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import altair as alt

from rlvrscope.dynamics.studies.study import (
    LINE_WIDTH,
    MassCurves,
    MassPanel,
    PassageTimes,
    PhaseMap,
    ShareHistograms,
    SharePanel,
    Study,
)
from rlvrscope.report.style import BASE_COLOUR, by_model, number, styled, title

PANEL_SIZE = {"width": 250, "height": 170}
SINGLE_SIZE = {"width": 620, "height": 280}
MIN_MASS = 1e-5
"""Lowest mass on a logarithmic axis."""
BLUE = "#0072B2"


def study_chart(study: Study) -> Any:
    """The figure under the study's heading, setting and caption."""
    match study.figure:
        case MassCurves():
            chart = _mass_curves(study.figure)
        case PassageTimes():
            chart = _passage_times(study.figure)
        case ShareHistograms():
            chart = _share_histograms(study.figure)
        case PhaseMap():
            chart = _phase_map(study.figure)
    return styled(
        chart.properties(title=title(study.heading, [*study.setting, *textwrap.wrap(study.caption, LINE_WIDTH)]))
    )


def _panel_title(lines: Sequence[str]) -> alt.TitleParams:
    return alt.TitleParams(list(lines), fontSize=11, anchor="start")


def _mass_curves(figure: MassCurves) -> Any:
    """The median mass of each action over steps, with 10 to 90 % of the seeds shaded."""
    size = PANEL_SIZE if len(figure.panels) > 1 else SINGLE_SIZE
    lowest = min(max(point.median, MIN_MASS) for panel in figure.panels for point in panel.points)
    axis_start = 10.0 ** min(-2, math.floor(math.log10(lowest)))
    panels = [
        _mass_panel(panel, axis_start, figure.x_title).properties(title=_panel_title(panel.title), **size)
        for panel in figure.panels
    ]
    return alt.concat(*panels, columns=figure.columns)


def _mass_panel(panel: MassPanel, axis_start: float, x_title: str) -> Any:
    rows = [
        point._replace(**{key: max(getattr(point, key), MIN_MASS) for key in ("low", "median", "high")})._asdict()
        for point in panel.points
    ]
    colour, dash = by_model(list(dict.fromkeys(point.action for point in panel.points)), "action")
    legend = alt.Legend(orient="bottom", title=None, symbolOpacity=1, symbolType="stroke", symbolSize=400)
    colour, dash = colour.legend(legend), dash.legend(legend)
    x_axis = alt.Axis(labelFlush=False, tickCount=5, labelOverlap="greedy")
    x = alt.X("step:Q", title=x_title, scale=alt.Scale(nice=False), axis=x_axis)
    scale = alt.Scale(type="log", domain=[axis_start, 1.0], clamp=True, nice=False)
    y = alt.Y("median:Q", title="mass (log)", scale=scale, axis=alt.Axis(format="~g", tickCount=5))
    tips = [alt.Tooltip("action:N"), alt.Tooltip("step:Q"), *(number(key, ".4f") for key in ("low", "median", "high"))]
    data = alt.Chart(alt.Data(values=rows)).encode(x=x)
    band = data.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q", color=colour)
    line = data.mark_line(strokeWidth=2).encode(y=y, color=colour, strokeDash=dash, tooltip=tips)
    return alt.layer(band, line)


def _passage_times(figure: PassageTimes) -> Any:
    """A line per objective: steps by which 10, 50 and 90 % of the seeds passed, and the share that never did."""
    rows = [
        {
            **passage._asdict(),
            "from": passage.steps_10 or figure.steps,
            "to": passage.steps_90 or figure.steps,
            "text": f"{passage.never:.0%} never · lowest {passage.lowest:.2g}",
        }
        for passage in figure.passages
    ]
    data, height = alt.Chart(alt.Data(values=rows)), 30 * len(rows)
    order = [passage.objective for passage in figure.passages]
    y_axis = alt.Axis(grid=True, labelLimit=260, labelFontSize=12)
    y = alt.Y("objective:N", sort=order, scale=alt.Scale(domain=order), title=None)
    times = _time_bars(data.encode(y=y.axis(y_axis)), figure.steps).properties(width=470, height=height)
    text = data.mark_text(align="left", color=BASE_COLOUR, fontSize=12)
    text = text.encode(y=y.axis(None), text="text:N", x=alt.value(0))
    words = "never reached · lowest mass on the path"
    never = text.properties(
        width=210,
        height=height,
        title=alt.TitleParams(words, fontSize=11, fontWeight="normal", anchor="start"),
        view=alt.ViewConfig(stroke=None),
    )
    return alt.hconcat(times, never, spacing=14)


def _time_bars(data: alt.Chart, steps: int) -> Any:
    scale = alt.Scale(type="log", domain=[max(1, min(100, steps // 10)), steps], nice=False, clamp=True)
    x_title = "steps until the best action's mass exceeds the threshold (log)"
    tips = [alt.Tooltip(f"{key}:Q") for key in ("steps_10", "steps_50", "steps_90")]
    passed = data.transform_filter("datum.steps_10 != null")
    bar = passed.mark_rule(strokeWidth=5, opacity=0.35, color=BLUE).encode(
        x=alt.X("from:Q", scale=scale, title=x_title), x2="to:Q"
    )
    dot = passed.transform_filter("datum.steps_50 != null").mark_circle(size=90, opacity=1, color=BLUE)
    return alt.layer(bar, dot.encode(x=alt.X("steps_50:Q", title=x_title, scale=scale), tooltip=tips))


def _share_histograms(figure: ShareHistograms) -> Any:
    return alt.concat(*(_share_panel(panel) for panel in figure.panels), columns=figure.columns)


def _share_panel(panel: SharePanel) -> Any:
    """The share of the second right answer: number of seeds in each of 21 bins."""
    x = alt.X(
        "share:Q",
        bin=alt.Bin(extent=[0, 1], step=1 / 21),
        title="share of the second",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=[0, 0.5, 1], format="~g"),
    )
    y = alt.Y("count():Q", title="seeds", axis=alt.Axis(minExtent=28, tickCount=4))
    data = alt.Chart(alt.Data(values=[share._asdict() for share in panel.shares]))
    return data.mark_bar(color=BLUE).encode(x=x, y=y).properties(title=_panel_title(panel.title), width=140, height=110)


def _phase_map(figure: PhaseMap) -> Any:
    """Median steps by colour over two knobs; grey where half of the seeds never reach the threshold."""
    x, y = figure.x, figure.y
    x_values = list(dict.fromkeys(cell.x for cell in figure.cells))
    y_values = list(dict.fromkeys(cell.y for cell in figure.cells))
    medians = sorted(steps for cell in figure.cells if (steps := cell.passage.steps_50) is not None)
    middle = math.sqrt(max(medians[0], 1) * medians[-1]) if medians else 0  # of the logarithmic colours
    rows = [
        {
            x.knob: cell.x,
            y.knob: cell.y,
            **cell.passage._asdict(),
            "text": _steps_text(cell.passage.steps_50),
            "description": "a cell of the map",
        }
        for cell in figure.cells
    ]
    data = alt.Chart(alt.Data(values=rows)).encode(
        description="description:N",
        x=alt.X(f"{x.knob}:O", title=x.title, sort=x_values, axis=alt.Axis(format=".3~g", labelAngle=0)),
        y=alt.Y(f"{y.knob}:O", title=y.title, sort=y_values[::-1], axis=alt.Axis(format=".3~g")),
    )
    legend = alt.Legend(title="median steps", format="~s")
    colour = alt.Color("steps_50:Q", scale=alt.Scale(type="log", scheme="viridis", reverse=True), legend=legend)
    tips = [alt.Tooltip(f"{key}:Q") for key in (x.knob, y.knob, "steps_10", "steps_50", "steps_90", "never")]
    cells = data.transform_filter("datum.steps_50 != null").mark_rect().encode(color=colour, tooltip=tips)
    never = data.transform_filter("datum.steps_50 == null").mark_rect(color="#cccccc").encode(tooltip=tips)
    is_dark = f"datum.steps_50 != null && datum.steps_50 > {middle}"
    text_colour = alt.condition(is_dark, alt.value("white"), alt.value("black"))
    text = data.mark_text(fontSize=10).encode(text="text:N", color=text_colour)
    size = {"width": max(240, 52 * len(x_values)), "height": max(160, 32 * len(y_values))}
    return alt.layer(never, cells, text).properties(**size)


def _steps_text(steps: int | None) -> str:
    if steps is None:
        return "never"
    return f"{steps / 1000:.3g}k" if steps >= 1000 else str(steps)
