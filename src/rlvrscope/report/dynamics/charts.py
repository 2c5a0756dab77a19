"""The charts of the dynamics: one Altair definition each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from rlvrscope.report.dynamics.numbers import FLOOR, Row
from rlvrscope.report.style import BASE_COLOUR, by_model, number, title

PANEL = {"width": 250, "height": 170}
WIDE = {"width": 620, "height": 280}


def masses(
    panels: Mapping[tuple[str, ...], Sequence[Row]], columns: int, heading: str, below: list[str], x: str = "step"
) -> Any:
    """A panel for each title: the median mass of each action over steps, with 10 to 90 % of the seeds shaded."""
    size = PANEL if len(panels) > 1 else WIDE
    least = min(max(row["median"], FLOOR) for rows in panels.values() for row in rows)
    floor = 10.0 ** min(-2, math.floor(math.log10(least)))
    drawn = [_mass_panel(rows, floor, x).properties(title=_panel_title(name), **size) for name, rows in panels.items()]
    return alt.concat(*drawn, columns=columns, title=title(heading, below))


def _panel_title(lines: tuple[str, ...]) -> alt.TitleParams:
    return alt.TitleParams(list(lines), fontSize=11, anchor="start")


def _step_axis(title: str) -> alt.X:
    axis = alt.Axis(labelFlush=False, tickCount=5, labelOverlap="greedy")
    return alt.X("step:Q", title=title, scale=alt.Scale(nice=False), axis=axis)


def _mass_panel(rows: Sequence[Row], floor: float, x: str) -> Any:
    shown = [{**row, **{key: max(row[key], FLOOR) for key in ("low", "median", "high")}} for row in rows]
    colour, dash = by_model(list(dict.fromkeys(row["action"] for row in rows)), "action")
    legend = alt.Legend(orient="bottom", title=None, symbolOpacity=1, symbolType="stroke", symbolSize=400)
    colour, dash = colour.legend(legend), dash.legend(legend)
    scale = alt.Scale(type="log", domain=[floor, 1.0], clamp=True, nice=False)
    axis = alt.Axis(format="~g", tickCount=5)
    data = alt.Chart(alt.Data(values=shown)).encode(x=_step_axis(x))
    band = data.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q", color=colour)
    tips = [alt.Tooltip("action:N"), alt.Tooltip("step:Q"), *(number(key, ".4f") for key in ("low", "median", "high"))]
    y = alt.Y("median:Q", title="mass (log)", scale=scale, axis=axis)
    line = data.mark_line(strokeWidth=2).encode(y=y, color=colour, strokeDash=dash, tooltip=tips)
    return alt.layer(band, line)


def passages(rows: Sequence[Row], steps: int, heading: str, below: list[str]) -> Any:
    """A line for each objective: when 10, 50 and 90 % of its seeds are there; at the right, the share that never is."""
    order = [row["objective"] for row in rows]
    rows_scale = alt.Scale(domain=order)
    y = alt.Y(
        "objective:N",
        sort=order,
        scale=rows_scale,
        title=None,
        axis=alt.Axis(grid=True, labelLimit=260, labelFontSize=12),
    )
    scale = alt.Scale(type="log", domain=[max(1, min(100, steps // 10)), steps], nice=False, clamp=True)
    words = "steps until the best action has more than the threshold (log)"
    x = alt.X("steps_50:Q", title=words, scale=scale)
    shown = [
        {**row, "from": row["steps_10"] or steps, "to": row["steps_90"] or steps, "text": _never_text(row)}
        for row in rows
    ]
    data = alt.Chart(alt.Data(values=shown)).encode(y=y)
    tips = [alt.Tooltip(f"{key}:Q") for key in ("steps_10", "steps_50", "steps_90")]
    there = data.transform_filter("datum.steps_10 != null")
    bar = there.mark_rule(strokeWidth=5, opacity=0.35, color="#0072B2").encode(
        x=alt.X("from:Q", scale=scale, title=words), x2="to:Q"
    )
    dot = there.transform_filter("datum.steps_50 != null").mark_circle(size=90, opacity=1, color="#0072B2")
    right = alt.Chart(alt.Data(values=shown)).mark_text(align="left", color=BASE_COLOUR, fontSize=12)
    text = right.encode(y=alt.Y("objective:N", sort=order, scale=rows_scale, axis=None), text="text:N", x=alt.value(0))
    main = alt.layer(bar, dot.encode(x=x, tooltip=tips)).properties(width=470, height=30 * len(rows))
    side = text.properties(
        width=210,
        height=30 * len(rows),
        title=alt.TitleParams(
            "never there · lowest mass on the way (median)", fontSize=11, fontWeight="normal", anchor="start"
        ),
        view=alt.ViewConfig(stroke=None),
    )
    return alt.hconcat(main, side, title=title(heading, below), spacing=14)


def _never_text(row: Row) -> str:
    return f"{row['never']:.0%} never · lowest {row['lowest']:.2g}"


def shares(panels: Mapping[tuple[str, ...], Sequence[Row]], columns: int, heading: str, below: list[str]) -> Any:
    """A histogram for each title: the share of the second right answer, a count of seeds in each of 21 bins."""
    drawn = [
        alt.Chart(alt.Data(values=list(rows)))
        .mark_bar(color="#0072B2")
        .encode(
            x=alt.X(
                "share:Q",
                bin=alt.Bin(extent=[0, 1], step=1 / 21),
                title="share of the second",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(values=[0, 0.5, 1], format="~g"),
            ),
            y=alt.Y("count():Q", title="seeds", axis=alt.Axis(minExtent=28, tickCount=4)),
        )
        .properties(title=_panel_title(name), width=140, height=110)
        for name, rows in panels.items()
    ]
    return alt.concat(*drawn, columns=columns, title=title(heading, below))


def phase(rows: Sequence[Row], x: tuple[str, str], y: tuple[str, str], heading: str, below: list[str]) -> Any:
    """A map: median steps by colour, over two knobs (field, title); grey where half of the seeds never are there."""
    values = {name: list(dict.fromkeys(row[name] for row in rows)) for name in (x[0], y[0])}
    shown = [
        {
            **row,
            "text": "never" if row["steps_50"] is None else _short(row["steps_50"]),
            "description": "a cell of the map",
        }
        for row in rows
    ]
    data = alt.Chart(alt.Data(values=shown)).encode(
        description="description:N",
        x=alt.X(f"{x[0]}:O", title=x[1], sort=values[x[0]], axis=alt.Axis(format=".3~g", labelAngle=0)),
        y=alt.Y(f"{y[0]}:O", title=y[1], sort=values[y[0]][::-1], axis=alt.Axis(format=".3~g")),
    )
    legend = alt.Legend(title="median steps", format="~s")
    colour = alt.Color("steps_50:Q", scale=alt.Scale(type="log", scheme="viridis", reverse=True), legend=legend)
    tips = [alt.Tooltip(f"{key}:Q") for key in (x[0], y[0], "steps_10", "steps_50", "steps_90", "never")]
    cells = data.transform_filter("datum.steps_50 != null").mark_rect().encode(color=colour, tooltip=tips)
    never = data.transform_filter("datum.steps_50 == null").mark_rect(color="#cccccc").encode(tooltip=tips)
    late = sorted(row["steps_50"] for row in rows if row["steps_50"] is not None)
    middle = math.sqrt(max(late[0], 1) * late[-1]) if late else 0  # of the logarithmic colours
    text = data.mark_text(fontSize=10).encode(
        text="text:N",
        color=alt.condition(
            f"datum.steps_50 != null && datum.steps_50 > {middle}", alt.value("white"), alt.value("black")
        ),
    )
    size = {"width": max(240, 52 * len(values[x[0]])), "height": max(160, 32 * len(values[y[0]]))}
    return alt.layer(never, cells, text).properties(title=title(heading, below), **size)


def _short(steps: int) -> str:
    return f"{steps / 1000:.3g}k" if steps >= 1000 else str(steps)
