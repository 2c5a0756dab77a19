"""How every chart looks, and how a chart becomes a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from rlvrscope.errors import InputError
from rlvrscope.runs import write_atomic

# Okabe and Ito's colours, told apart by the colour-blind; dashes tell them apart in grey.
BASE_COLOUR = "#777777"
"""Readable on white and on black."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#8C6D1F", "#7A4FA3")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (4, 2), (10, 4), (1, 3), (12, 3, 3, 3))
LEGEND = alt.Legend(orient="bottom", title=None, symbolType="stroke", symbolStrokeWidth=2, symbolSize=400, columns=5)
PNG_SCALE = 2.0


def by_model(names: Sequence[str], field: str = "model") -> tuple[alt.Color, alt.StrokeDash]:
    """A colour and a dash for each model, in the order given."""
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(names))]
    dashes = [DASHES[index % len(DASHES)] for index in range(len(names))]
    return (
        alt.Color(f"{field}:N", scale=alt.Scale(domain=list(names), range=colours), legend=LEGEND),
        alt.StrokeDash(f"{field}:N", scale=alt.Scale(domain=list(names), range=dashes), legend=LEGEND),
    )


def number(field: str, form: str = ".3f") -> alt.Tooltip:
    return alt.Tooltip(f"{field}:Q", format=form)


def title(text: str, subtitle: str | list[str]) -> alt.TitleParams:
    return alt.TitleParams(text, subtitle=subtitle, anchor="start", fontSize=15, offset=14)


def styled(chart: Any) -> Any:
    """Colours of text and lines stand here alone: the page replaces them for a dark screen."""
    return chart.configure(
        font="sans-serif",
        background="white",
        view=alt.ViewConfig(stroke="#cccccc"),
        title=alt.TitleConfig(color="#222222", subtitleColor="#555555"),
        axis=alt.AxisConfig(gridColor="#eeeeee", labelFontSize=11, titleFontSize=11, titleFontWeight="normal"),
        legend=alt.LegendConfig(labelFontSize=12),
    )


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write a picture, PNG or SVG by the path's suffix. Raises InputError for another one, WorkError if it can't be."""
    spec = chart.to_json()
    if path.suffix == ".png":
        write_atomic(path, vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))
    elif path.suffix == ".svg":
        write_atomic(path, vl_convert.vegalite_to_svg(spec))
    else:
        raise InputError(f"a picture is .png or .svg; got {path}")
