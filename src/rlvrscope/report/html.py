"""One HTML file that needs no network: a template, charts as data, and the code that draws them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup

from rlvrscope.report.table import Table
from rlvrscope.report.text import printable

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("rlvrscope.report", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Figure:
    """A chart's place on a page: the chart's name, a heading, a caption."""

    name: str
    heading: str
    caption: str
    subtitle: str = ""


def figures(charts: Mapping[str, Any], captions: Mapping[str, str]) -> list[Figure]:
    """The charts' own titles as headings, and their subtitles: for `render` with chart_titles=False."""
    return [
        Figure(name, chart.title.text, captions[name], " ".join(_lines(chart.title.subtitle)))
        for name, chart in charts.items()
    ]


def _lines(text: str | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else text


def to_html(table: Table) -> Markup:
    """A table's title, cells and note; templates call it as `grid(table)`."""
    return Markup(_TEMPLATES.get_template("table.html.j2").render(table=table, printable=printable))


_TEMPLATES.globals["grid"] = to_html


def render(
    template: str,
    charts: Mapping[str, alt.TopLevelMixin],
    *,
    chart_titles: bool = True,
    with_code: bool = True,
    **facts: Any,
) -> str:
    """The whole page as text; everything in `facts` is escaped.

    chart_titles: keep the titles inside the charts. with_code: include the code that draws them.
    """
    specs = {name: chart.to_dict() for name, chart in charts.items()}
    if not chart_titles:
        for spec in specs.values():
            del spec["title"]
    text = json.dumps(specs, separators=(",", ":")).replace("<", "\\u003c")
    code = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;") if with_code else ""
    return _TEMPLATES.get_template(template).render(bundle=Markup(code), specs=Markup(text), **facts)
