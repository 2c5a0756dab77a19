"""The page of several runs: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

import rlvrscope
from rlvrscope.report import html
from rlvrscope.report.monitor.charts import charts as stage_charts
from rlvrscope.report.monitor.page import CAPTION as STAGE_CAPTION
from rlvrscope.report.monitor.words import summary
from rlvrscope.report.probe_charts import masses
from rlvrscope.report.runs.view import RunView
from rlvrscope.report.style import by_model, number, styled, title
from rlvrscope.report.table import Column, Table, facts_table
from rlvrscope.report.text import interval, one_line
from rlvrscope.report.text import number as written
from rlvrscope.runs import write_atomic


def write_page(views: Sequence[RunView], path: Path) -> None:
    """Write the page. Raises WorkError if it can't be written."""
    drawn: dict[str, Any] = {}
    captions: dict[str, str] = {}
    evaluated = [view for view in views if view.points]
    if evaluated:
        drawn["frontier"] = frontier(evaluated)
        captions["frontier"] = (
            "Right and up is better. From its ring on, a curve that goes right and down pays for pass@1 with pass@k."
        )
    for place, view in enumerate(views):
        if view.monitored.timeline.rows:
            drawn[f"stage{place}"] = _retitled(stage_charts(view.monitored)["timeline"], f"{view.name}: stages")
            captions[f"stage{place}"] = f"{summary(view.monitored)} {STAGE_CAPTION}"
        if view.probe:
            drawn[f"masses{place}"] = _retitled(masses(view.probe), f"{view.name}: mass of stored completions")
            captions[f"masses{place}"] = "Log-masses that fall are answers that the model is unlearning."
    sources = [(view.name, view.monitored.log.account) for view in views]
    names = ", ".join(one_line(view.name, 60) for view in views)
    page = html.render(
        "runs.html.j2",
        drawn,
        chart_titles=False,
        title=f"Runs: {names}",
        figures=html.figures(drawn, captions),
        evaluations=table(evaluated),
        facts=facts_table([*sources, ("rlvrscope", rlvrscope.__version__)]),
    )
    write_atomic(path, page)


def frontier(views: Sequence[RunView]) -> Any:
    """pass@k against pass@1 along training, one curve a run, in the order of steps."""
    values = [
        {"run": view.name, "step": point.step, "x": point.pass_at_1, "y": point.pass_at_k, "low": point.low,
         "high": point.high, "first": point is view.points[0]}
        for view in views
        for point in view.points
    ]  # fmt: skip
    colour, dash = by_model([view.name for view in views], "run")
    ks = sorted({view.k for view in views})
    label = f"pass@{ks[0]}" if len(ks) == 1 else "pass@k (k differs between runs: see the table)"
    data = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("x:Q", title="pass@1", scale=alt.Scale(zero=False)), color=colour
    )
    y = alt.Y("y:Q", title=label, scale=alt.Scale(zero=False))
    lines = data.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash, order="step:O")
    bars = data.transform_filter("isValid(datum.low)").mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q")
    dots = data.mark_circle(size=45).encode(
        y=y, tooltip=["run:N", "step:Q", number("x"), number("y"), number("low"), number("high")]
    )
    base = data.transform_filter("datum.first").mark_point(size=160, strokeWidth=2).encode(y=y)
    heading = title(
        "What each run gained, and at what cost",
        f"{label} against pass@1 along training; ring: the first evaluation; bars: 95 %.",
    )
    return styled(alt.layer(bars, lines, dots, base, width=560, height=340, title=heading))


def table(views: Sequence[RunView]) -> Table:
    """pass@1 and pass@k of each evaluation."""
    rows = [
        (view.name, str(point.step), written(point.pass_at_1), str(view.k), written(point.pass_at_k),
         "exact" if point.low is None or point.high is None else interval(point.low, point.high))
        for view in views
        for point in view.points
    ]  # fmt: skip
    columns = (Column("run", align="left"), *(Column(name) for name in ("step", "pass@1", "k", "pass@k", "95 %")))
    return Table(columns, rows)


def _retitled(chart: Any, text: str) -> Any:
    chart.title.text = text
    return chart
