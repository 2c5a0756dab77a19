"""The charts of a boundary: one Altair definition each, from which page, PNG and SVG are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from rlvrscope.experiment.boundary import SUCCESS_CLASSES, Boundary
from rlvrscope.experiment.one_model import OneModel
from rlvrscope.report.boundary.words import band, crosses, crossing_range
from rlvrscope.report.style import BASE_COLOUR, COLOURS, number, styled, title
from rlvrscope.report.table import finite
from rlvrscope.report.text import one_line
from rlvrscope.stats import Comparison, Curve, Interval
from rlvrscope.stats.comparison import EXPANDED, SHRUNK, UNCHANGED, UNDECIDED
from rlvrscope.stats.curve import MIN_SAMPLES_PER_K
from rlvrscope.stats.standard_errors import NEW_PROBLEMS

SHAPES = {EXPANDED: "triangle-up", SHRUNK: "triangle-down", UNCHANGED: "square", UNDECIDED: "cross"}
WIDE, NARROW = 560, 330
MAX_NAME = 32
"""Characters of a model's name that fit over a panel."""
MAX_TICKS = 12
OWN_COLOURS = alt.Resolve(scale=alt.ScaleResolveMap(color="independent", strokeDash="independent"))
"""Scales per panel: shared ones would give the second model the base's colour and dashes."""


def charts(boundary: Boundary) -> dict[str, alt.TopLevelMixin]:
    """Every chart by the name of its file."""
    return {"boundary": styled(curves(boundary)), "moves": styled(moves(boundary))}


def curves(boundary: Boundary) -> Any:
    """pass@k of the base and of each trained model with bands; below, their difference with its verdicts."""
    width = WIDE if len(boundary.trained) == 1 else NARROW
    panels = [_panel(boundary, index, name, width) for index, name in enumerate(boundary.trained)]
    simultaneous = "simultaneous" if boundary.question.simultaneous else "pointwise"
    runs = max(len(model.counts.runs) for model in boundary.models)
    target = "new problems and training runs" if runs > 1 else "new problems"
    if boundary.question.target != NEW_PROBLEMS:
        target = "new samples of these problems"
    return _concat(
        panels,
        f"pass@k: what training did to {one_line(boundary.base.name, 2 * MAX_NAME)}",
        [
            f"{boundary.num_problems} problems, at least {boundary.min_samples} samples of each; bands: {simultaneous} "
            f"{boundary.question.confidence:.0%}, for {target}.",
            "Grey bar: the margin. Hollow mark: the band may be too narrow. Shaded: k above a quarter of the samples.",
        ],
    )


def one_curve(one: OneModel) -> Any:
    """pass@k of one model with its band."""
    rows = _curve_rows("model", one.curve)
    y = alt.Y("pass:Q", title="pass@k (mean over problems)", scale=alt.Scale(zero=False))
    data = alt.Chart(alt.Data(values=rows)).encode(x=_x(one, "k (samples)"), color=alt.value(COLOURS[0]))
    area = _band(data, one.curve).encode(y=alt.Y("low:Q", scale=alt.Scale(zero=False)), y2="high:Q")
    tips = ["k:Q", number("pass"), number("low"), number("high"), "reliable:N"]
    line = data.mark_line(strokeWidth=2).encode(y=y)
    dots = data.mark_circle(size=30, opacity=1).encode(y=y, tooltip=tips)
    heading = title(
        f"pass@k of {one_line(one.model.name, 2 * MAX_NAME)}",
        [f"{one.num_problems} problems, at least {one.min_samples} samples of each.", f"Area: {band(one.question)}."],
    )
    return styled(alt.layer(_shade(one), area, line, dots, width=WIDE, height=300, title=heading))


def moves(boundary: Boundary) -> Any:
    """Number of problems by success class under the base and after training."""
    panels = [_matrix(boundary, name) for name in boundary.trained]
    return _concat(
        panels,
        "Problems by success rate, before and after",
        "Number of problems. Rarely: under half of the samples are right. Diagonal: no change.",
    )


def _concat(panels: Sequence[Any], heading: str, below: str | list[str]) -> Any:
    """Two panels per row."""
    return alt.concat(*panels, columns=2, title=title(heading, below), resolve=OWN_COLOURS)


def _panel(boundary: Boundary, index: int, name: str, width: int) -> Any:
    comparison, colour = boundary.comparisons[name], COLOURS[index % len(COLOURS)]
    over = [f"{_name(name)} (solid)", f"{_name(boundary.base.name)} (dashed)"]
    upper = alt.layer(*_curves(boundary, comparison, colour), width=width, height=240, title=over)
    lower = alt.layer(*_difference(boundary, comparison, colour), width=width, height=150)
    return alt.vconcat(upper, lower, spacing=14, resolve=OWN_COLOURS)


def _x(boundary: Boundary | OneModel, label: str | None) -> alt.X:
    first, last = boundary.ks[0], boundary.ks[-1]
    domain = [first, last] if last > first else [first / 2, first * 2]
    scale = alt.Scale(type="log", base=2, domain=domain, nice=False)
    axis = alt.Axis(values=_ticks(boundary.ks), format="d", labelFlush=False)
    return alt.X("k:Q", title=label, scale=scale, axis=axis)


def _ticks(ks: Sequence[int]) -> list[int]:
    """The ks that leave room for each other's label."""
    min_distance = math.log2(ks[-1] / ks[0]) / MAX_TICKS
    ticks = [ks[0]]
    for k in ks[1:]:
        if math.log2(k / ticks[-1]) >= min_distance:
            ticks.append(k)
    return ticks


def _curves(boundary: Boundary, comparison: Comparison, colour: str) -> list[alt.Chart]:
    curves = {"base": comparison.base, "trained": comparison.trained}
    rows = [row for model, curve in curves.items() for row in _curve_rows(model, curve)]
    colours = alt.Color("model:N", scale=alt.Scale(domain=list(curves), range=[BASE_COLOUR, colour]), legend=None)
    dashes = alt.StrokeDash("model:N", scale=alt.Scale(domain=list(curves), range=[[5, 3], [1, 0]]), legend=None)
    y = alt.Y("pass:Q", title="pass@k (mean over problems)", scale=alt.Scale(zero=False))
    data = alt.Chart(alt.Data(values=rows)).encode(x=_x(boundary, "k (samples)"))
    band = _band(data, comparison.trained).encode(
        y=alt.Y("low:Q", scale=alt.Scale(zero=False)), y2="high:Q", color=colours
    )
    tips = ["model:N", "k:Q", number("pass"), number("low"), number("high"), "reliable:N"]
    line = data.mark_line(strokeWidth=2).encode(y=y, color=colours, strokeDash=dashes)
    dots = data.mark_circle(size=30, opacity=1).encode(y=y, color=colours, tooltip=tips)
    return [_shade(boundary), band, line, dots, *_crossover(boundary, comparison)]


def _band(data: alt.Chart, curve: Curve | Interval) -> alt.Chart:
    """An area, or a bar where only one k has a band: a wider one for the base."""
    if np.isfinite(curve.low).sum() > 1:
        return data.mark_area(opacity=0.22)
    return data.mark_rule(opacity=0.4).encode(size=alt.condition("datum.model == 'base'", alt.value(24), alt.value(8)))


def _curve_rows(model: str, curve: Curve) -> list[dict[str, Any]]:
    columns = zip(curve.ks, curve.estimate, curve.low, curve.high, curve.reliable, strict=True)
    return [
        {"model": model, "k": k, "pass": float(m), "low": finite(low), "high": finite(high), "reliable": bool(reliable)}
        for k, m, low, high, reliable in columns
        if not np.isnan(m)
    ]


def _difference(boundary: Boundary, comparison: Comparison, colour: str) -> list[alt.Chart]:
    d = comparison.difference
    columns = zip(comparison.ks, d.estimate, d.low, d.high, comparison.verdicts, comparison.reliable, strict=True)
    rows = [
        {"k": k, "difference": float(m), "low": finite(low), "high": finite(high), "verdict": v, "reliable": bool(ok)}
        for k, m, low, high, v, ok in columns
        if not np.isnan(m)
    ]
    y = alt.Y("difference:Q", title="difference in pass@k", axis=alt.Axis(format="+.4~f"), scale=_same_scale(boundary))
    data = alt.Chart(alt.Data(values=rows)).encode(x=_x(boundary, "k (samples)"))
    band = _band(data, d).encode(y=alt.Y("low:Q"), y2="high:Q", color=alt.value(colour))
    line = data.mark_line(strokeWidth=2, color=colour).encode(y=y)
    tips = ["k:Q", *(number(field, "+.3f") for field in ("difference", "low", "high")), "verdict:N", "reliable:N"]
    scale = alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))
    legend = alt.Legend(
        orient="bottom", title=None, symbolFillColor=BASE_COLOUR, symbolStrokeColor=BASE_COLOUR, symbolSize=90
    )
    marks = data.mark_point(size=90, stroke=colour, strokeWidth=1.5, opacity=1).encode(
        y=y,
        fill=alt.condition("datum.reliable", alt.value(colour), alt.value("transparent")),
        shape=alt.Shape("verdict:N", scale=scale, legend=legend),
        tooltip=tips,
    )
    zero = alt.Chart(alt.Data(values=[{"low": -comparison.margin, "high": comparison.margin, "zero": 0.0}]))
    margin = zero.mark_rect(color=BASE_COLOUR, opacity=0.25).encode(y="low:Q", y2="high:Q")
    rule = zero.mark_rule(color=BASE_COLOUR).encode(y="zero:Q")
    return [_shade(boundary), margin, rule, band, line, marks]


def _same_scale(boundary: Boundary) -> alt.Scale:
    """One scale for the differences of all models, so that small ones look small."""
    ends = [
        (comparison.difference.low, comparison.difference.high, [-comparison.margin, comparison.margin])
        for comparison in boundary.comparisons.values()
    ]
    values = np.concatenate([part for parts in ends for part in parts])
    values = values[np.isfinite(values)]
    return alt.Scale(domain=[float(values.min()), float(values.max())])


def _shade(boundary: Boundary | OneModel) -> Any:
    """k above n / 4, where an estimate rests on few disjoint draws of k."""
    start, end = max(boundary.min_samples / MIN_SAMPLES_PER_K, boundary.ks[0]), boundary.ks[-1]
    rows = [{"k": start, "end": end}] if start < end else []
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_rect(color=BASE_COLOUR, opacity=0.1)
        .encode(x=_x(boundary, "k (samples)"), x2="end:Q")
    )


def _crossover(boundary: Boundary, comparison: Comparison) -> tuple[alt.Chart, alt.Chart]:
    """A rule where the curves cross, if they cross."""
    crossing = comparison.crossover
    low, high = crossing_range(comparison)
    label = f"cross at k = {crossing.k}\n({low} to {high})"
    right = crossing.k is not None and crossing.k**2 > boundary.ks[0] * boundary.ks[-1]
    rows = [{"k": crossing.k, "label": label}] if crosses(comparison) else []
    mark = alt.Chart(alt.Data(values=rows)).encode(x=_x(boundary, "k (samples)"))
    text = mark.mark_text(
        align="right" if right else "left", dx=-6 if right else 6, baseline="top", color=BASE_COLOUR, lineBreak="\n"
    ).encode(y=alt.value(208), text="label:N")
    return mark.mark_rule(color=BASE_COLOUR, strokeDash=[2, 2]), text


def _matrix(boundary: Boundary, name: str) -> Any:
    table, classes = boundary.moves(name), list(SUCCESS_CLASSES)
    top = alt.Axis(orient="top", labelAngle=0, grid=False)
    rows = [
        {
            "base": base,
            "trained": trained,
            "problems": int(table[i, j]),
            "dark": bool(table[i, j] > 0.4 * table.max()),
            "description": f"solved {base} before, {trained} after: {table[i, j]} problems",
        }
        for i, base in enumerate(SUCCESS_CLASSES)
        for j, trained in enumerate(SUCCESS_CLASSES)
    ]
    data = alt.Chart(alt.Data(values=rows)).encode(
        description="description:N",  # Vega-Lite's own would hold the axis titles as an unescaped expression
        x=alt.X("trained:N", sort=classes, title=f"by {_name(name)}", axis=top),
        y=alt.Y("base:N", sort=classes[::-1], title=f"by {_name(boundary.base.name)}", axis=alt.Axis(grid=False)),
    )
    fill = alt.Color("problems:Q", scale=alt.Scale(range=["#f3f6f9", "#0b4a75"], type="sqrt"), legend=None)
    ink = alt.condition("datum.dark", alt.value("white"), alt.value("#222222"))
    cells = data.mark_rect(stroke="#ffffff").encode(color=fill, tooltip=["base:N", "trained:N", "problems:Q"])
    words = data.mark_text(fontSize=13).encode(text="problems:Q", color=ink)
    return alt.layer(cells, words, width=300, height=200)


def _name(model: str) -> str:
    return one_line(model, MAX_NAME)
