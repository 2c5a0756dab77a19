"""The charts of a boundary: one Altair definition each, from which page, PNG and SVG are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from rlvrscope.experiment.boundary import RATES, Boundary
from rlvrscope.report.boundary.words import crosses, crossing_range
from rlvrscope.report.style import BASE_COLOUR, COLOURS, number, styled, title
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
"""Else the second model has the colour and the dashes of the base."""


def charts(boundary: Boundary) -> dict[str, alt.TopLevelMixin]:
    """Every chart by the name of its file."""
    return {"boundary": styled(curves(boundary)), "moves": styled(moves(boundary))}


def curves(boundary: Boundary) -> Any:
    """pass@k of the base and of each trained model with bands, and below it their difference with its verdicts."""
    width = WIDE if len(boundary.trained) == 1 else NARROW
    panels = [_panel(boundary, index, name, width) for index, name in enumerate(boundary.trained)]
    simultaneous = "simultaneous" if boundary.question.simultaneous else "pointwise"
    runs = max(len(model.counts.runs) for model in (boundary.base, *boundary.trained.values()))
    target = "problems and training runs" if runs > 1 else "problems"
    if boundary.question.target != NEW_PROBLEMS:
        target = "samples of these problems"
    return _beside(
        panels,
        f"pass@k: what training did to {one_line(boundary.base.name, 2 * MAX_NAME)}",
        [
            f"{boundary.problems} problems, {boundary.fewest} samples of each or more; bands: {simultaneous} "
            f"{boundary.question.confidence:.0%}, over {target}.",
            "Grey bar: differences within the margin. Hollow: the band may be too narrow. Shaded: k above a quarter of "
            "the samples.",
        ],
    )


def moves(boundary: Boundary) -> Any:
    """How many problems went from where to where: solved never, rarely, often or always."""
    panels = [_matrix(boundary, name) for name in boundary.trained]
    return _beside(
        panels,
        "How problems moved",
        "Number of problems by how often they are solved; rarely: under half of the samples. Diagonal: as before.",
    )


def _beside(panels: Sequence[Any], heading: str, below: str | list[str]) -> Any:
    """Two a row, each with colours of its own."""
    return alt.concat(*panels, columns=2, title=title(heading, below), resolve=OWN_COLOURS)


def _panel(boundary: Boundary, index: int, name: str, width: int) -> Any:
    found, colour = boundary.comparisons[name], COLOURS[index % len(COLOURS)]
    over = [f"{_name(name)} (solid)", f"{_name(boundary.base.name)} (dashed)"]
    upper = alt.layer(*_curves(boundary, found, colour), width=width, height=240, title=over)
    lower = alt.layer(*_difference(boundary, found, colour), width=width, height=150)
    return alt.vconcat(upper, lower, spacing=14, resolve=OWN_COLOURS)


def _x(boundary: Boundary, label: str | None) -> alt.X:
    first, last = boundary.ks[0], boundary.ks[-1]
    domain = [first, last] if last > first else [first / 2, first * 2]
    scale = alt.Scale(type="log", base=2, domain=domain, nice=False)
    axis = alt.Axis(values=_ticks(boundary.ks), format="d", labelFlush=False)
    return alt.X("k:Q", title=label, scale=scale, axis=axis)


def _ticks(ks: Sequence[int]) -> list[int]:
    """Those that stand apart on the axis."""
    apart = math.log2(ks[-1] / ks[0]) / MAX_TICKS
    kept = [ks[0]]
    for k in ks[1:]:
        if math.log2(k / kept[-1]) >= apart:
            kept.append(k)
    return kept


def _curves(boundary: Boundary, found: Comparison, colour: str) -> list[alt.Chart]:
    curves = {"base": found.base, "trained": found.trained}
    rows = [row for model, curve in curves.items() for row in _curve_rows(model, curve)]
    colours = alt.Color("model:N", scale=alt.Scale(domain=list(curves), range=[BASE_COLOUR, colour]), legend=None)
    dashes = alt.StrokeDash("model:N", scale=alt.Scale(domain=list(curves), range=[[5, 3], [1, 0]]), legend=None)
    y = alt.Y("pass:Q", title="pass@k (mean over problems)", scale=alt.Scale(zero=False))
    data = alt.Chart(alt.Data(values=rows)).encode(x=_x(boundary, "k (samples)"))
    band = _band(data, found.trained).encode(y=alt.Y("low:Q", scale=alt.Scale(zero=False)), y2="high:Q", color=colours)
    tips = [
        alt.Tooltip("model:N"),
        alt.Tooltip("k:Q"),
        number("pass"),
        number("low"),
        number("high"),
        alt.Tooltip("reliable:N"),
    ]
    line = data.mark_line(strokeWidth=2).encode(y=y, color=colours, strokeDash=dashes)
    dots = data.mark_circle(size=30, opacity=1).encode(y=y, color=colours, tooltip=tips)
    return [_shade(boundary), band, line, dots, *_crossover(boundary, found)]


def _band(data: alt.Chart, curve: Curve | Interval) -> alt.Chart:
    """An area; where one k alone has a band, a bar, the base's the wider."""
    if np.isfinite(curve.low).sum() > 1:
        return data.mark_area(opacity=0.22)
    return data.mark_rule(opacity=0.4).encode(size=alt.condition("datum.model == 'base'", alt.value(24), alt.value(8)))


def _curve_rows(model: str, curve: Curve) -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "k": k,
            "pass": float(m),
            "low": _finite(low),
            "high": _finite(high),
            "reliable": bool(reliable),
        }
        for k, m, low, high, reliable in zip(
            curve.ks, curve.estimate, curve.low, curve.high, curve.reliable, strict=True
        )
        if m == m
    ]


def _difference(boundary: Boundary, found: Comparison, colour: str) -> list[alt.Chart]:
    d = found.difference
    rows = [
        {
            "k": k,
            "difference": float(m),
            "low": _finite(low),
            "high": _finite(high),
            "verdict": verdict,
            "reliable": bool(ok),
        }
        for k, m, low, high, verdict, ok in zip(
            found.ks, d.estimate, d.low, d.high, found.verdicts, found.reliable, strict=True
        )
        if m == m
    ]
    y = alt.Y("difference:Q", title="difference in pass@k", axis=alt.Axis(format="+.4~f"), scale=_same_scale(boundary))
    data = alt.Chart(alt.Data(values=rows)).encode(x=_x(boundary, "k (samples)"))
    band = _band(data, d).encode(y=alt.Y("low:Q"), y2="high:Q", color=alt.value(colour))
    line = data.mark_line(strokeWidth=2, color=colour).encode(y=y)
    tips = [alt.Tooltip("k:Q"), number("difference", "+.3f"), number("low", "+.3f"), number("high", "+.3f")]
    scale = alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))
    legend = alt.Legend(
        orient="bottom", title=None, symbolFillColor=BASE_COLOUR, symbolStrokeColor=BASE_COLOUR, symbolSize=90
    )
    marks = data.mark_point(size=90, stroke=colour, strokeWidth=1.5, opacity=1).encode(
        y=y,
        fill=alt.condition("datum.reliable", alt.value(colour), alt.value("transparent")),
        shape=alt.Shape("verdict:N", scale=scale, legend=legend),
        tooltip=[*tips, alt.Tooltip("verdict:N"), alt.Tooltip("reliable:N")],
    )
    zero = alt.Chart(alt.Data(values=[{"low": -found.margin, "high": found.margin, "zero": 0.0}]))
    margin = zero.mark_rect(color=BASE_COLOUR, opacity=0.25).encode(y="low:Q", y2="high:Q")
    rule = zero.mark_rule(color=BASE_COLOUR).encode(y="zero:Q")
    return [_shade(boundary), margin, rule, band, line, marks]


def _same_scale(boundary: Boundary) -> alt.Scale:
    """One for the differences of all models, so that a small one looks small."""
    ends = [
        (found.difference.low, found.difference.high, [-found.margin, found.margin])
        for found in boundary.comparisons.values()
    ]
    values = np.concatenate([part for parts in ends for part in parts])
    values = values[np.isfinite(values)]
    return alt.Scale(domain=[float(values.min()), float(values.max())])


def _shade(boundary: Boundary) -> Any:
    """k above n / 4: few disjoint draws of k stand behind the estimate."""
    start, end = max(boundary.fewest / MIN_SAMPLES_PER_K, boundary.ks[0]), boundary.ks[-1]
    rows = [{"k": start, "end": end}] if start < end else []
    return (
        alt.Chart(alt.Data(values=rows))
        .mark_rect(color=BASE_COLOUR, opacity=0.1)
        .encode(x=_x(boundary, "k (samples)"), x2="end:Q")
    )


def _crossover(boundary: Boundary, found: Comparison) -> tuple[alt.Chart, alt.Chart]:
    """A rule where the curves cross, if they do."""
    crossing = found.crossover
    low, high = crossing_range(found)
    label = f"cross at k = {crossing.k}\n({low} to {high})"
    right = crossing.k is not None and crossing.k**2 > boundary.ks[0] * boundary.ks[-1]
    rows = [{"k": crossing.k, "label": label}] if crosses(found) else []
    mark = alt.Chart(alt.Data(values=rows)).encode(x=_x(boundary, "k (samples)"))
    text = mark.mark_text(
        align="right" if right else "left", dx=-6 if right else 6, baseline="top", color=BASE_COLOUR, lineBreak="\n"
    ).encode(y=alt.value(208), text="label:N")
    return mark.mark_rule(color=BASE_COLOUR, strokeDash=[2, 2]), text


def _matrix(boundary: Boundary, name: str) -> Any:
    table = boundary.moves(name)
    rows = [
        {
            "base": base,
            "trained": trained,
            "problems": int(table[i, j]),
            "dark": bool(table[i, j] > 0.4 * table.max()),
            "description": f"solved {base} before, {trained} after: {table[i, j]} problems",
        }
        for i, base in enumerate(RATES)
        for j, trained in enumerate(RATES)
    ]
    data = alt.Chart(alt.Data(values=rows)).encode(
        description="description:N",  # without it Vega-Lite makes one, of the axes' titles, as an unescaped expression
        x=alt.X(
            "trained:N",
            sort=list(RATES),
            title=f"by {_name(name)}",
            axis=alt.Axis(orient="top", labelAngle=0, grid=False),
        ),
        y=alt.Y(
            "base:N", sort=list(reversed(RATES)), title=f"by {_name(boundary.base.name)}", axis=alt.Axis(grid=False)
        ),
    )
    fill = alt.Color("problems:Q", scale=alt.Scale(range=["#f3f6f9", "#0b4a75"], type="sqrt"), legend=None)
    ink = alt.condition("datum.dark", alt.value("white"), alt.value("#222222"))
    cells = data.mark_rect(stroke="#ffffff").encode(color=fill, tooltip=["base:N", "trained:N", "problems:Q"])
    words = data.mark_text(fontSize=13).encode(text="problems:Q", color=ink)
    return alt.layer(cells, words, width=300, height=200)


def _name(model: str) -> str:
    return one_line(model, MAX_NAME)


def _finite(value: float) -> float | None:
    return float(value) if value == value else None
