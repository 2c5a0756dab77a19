"""One HTML file that needs no network: a template, charts as data, and the code that draws them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup

from rlvrscope.report.table import Table

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("rlvrscope.report", "."), autoescape=True, undefined=jinja2.StrictUndefined
)


def to_html(table: Table) -> Markup:
    """A table's title, cells and note; templates call it as `grid(table)`."""
    return Markup(_TEMPLATES.get_template("table.html.j2").render(table=table))


_TEMPLATES.globals["grid"] = to_html


def render(template: str, charts: Mapping[str, alt.TopLevelMixin], **facts: Any) -> str:
    """The whole page as text; everything in `facts` is escaped."""
    made = {name: chart.to_dict() for name, chart in charts.items()}
    specs = json.dumps(made, separators=(",", ":")).replace("<", "\\u003c")
    return _TEMPLATES.get_template(template).render(
        bundle=Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")), specs=Markup(specs), **facts
    )
