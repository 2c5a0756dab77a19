"""The look of every chart, and charts as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from rlvrscope.errors import InputError
from rlvrscope.runs import write_atomic

# Okabe and Ito's colours, distinguishable for colour-blind readers; dashes distinguish curves in grey.
BASE_COLOUR = "#777777"
"""Readable on white and on black."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#8C6D1F", "#7A4FA3")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (4, 2), (10, 4), (1, 3), (12, 3, 3, 3))
PNG_SCALE = 2.0


def line_legend(columns: int = 5) -> alt.Legend:
    """A legend below the chart, of line symbols."""
    return alt.Legend(
        orient="bottom",
        title=None,
        symbolType="stroke",
        symbolStrokeWidth=2,
        symbolSize=400,
        columns=columns,
        labelLimit=260,
    )


def by_model(names: Sequence[str], field: str = "model") -> tuple[alt.Color, alt.StrokeDash]:
    """A colour and a dash for each model, in order."""
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(names))]
    return lines_by(field, names, colours, [DASHES[index % len(DASHES)] for index in range(len(names))])


def lines_by(
    field: str, names: Sequence[str], colours: Sequence[str], dashes: Sequence[Sequence[int]], columns: int = 5
) -> tuple[alt.Color, alt.StrokeDash]:
    """Colour and dash of lines by a field, in one legend."""
    legend = line_legend(columns)
    return (
        alt.Color(f"{field}:N", scale=alt.Scale(domain=list(names), range=list(colours)), legend=legend),
        alt.StrokeDash(f"{field}:N", scale=alt.Scale(domain=list(names), range=list(map(list, dashes))), legend=legend),
    )


def number(field: str, form: str = ".3f") -> alt.Tooltip:
    """A number in a tooltip."""
    return alt.Tooltip(f"{field}:Q", format=form)


def title(text: str, subtitle: str | list[str]) -> alt.TitleParams:
    return alt.TitleParams(text, subtitle=subtitle, anchor="start", fontSize=15, offset=14)


def panel_title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, fontSize=12, anchor="start")


def styled(chart: Any) -> Any:
    """A chart with the colours of text and lines, which a page replaces on a dark screen."""
    return chart.configure(
        font="sans-serif",
        background="white",
        view=alt.ViewConfig(stroke="#cccccc"),
        title=alt.TitleConfig(color="#222222", subtitleColor="#555555"),
        axis=alt.AxisConfig(gridColor="#eeeeee", labelFontSize=11, titleFontSize=11, titleFontWeight="normal"),
        legend=alt.LegendConfig(labelFontSize=12),
    )


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write a picture, PNG or SVG by the path's suffix. Raises InputError for other suffixes, WorkError on failure."""
    spec = chart.to_json()
    if path.suffix == ".png":
        write_atomic(path, vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))
    elif path.suffix == ".svg":
        write_atomic(path, vl_convert.vegalite_to_svg(spec))
    else:
        raise InputError(f"a picture is .png or .svg; got {path}")
