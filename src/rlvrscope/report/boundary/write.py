"""Write what was found into files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rlvrscope.experiment.boundary import Boundary
from rlvrscope.extras import needs_extra
from rlvrscope.report.boundary.plain import as_csv
from rlvrscope.runs import environment, write_atomic


def write_boundary(
    found: Boundary, html: Path | None, png: Path | None, csv: Path | None, sources: Mapping[str, str]
) -> None:
    """The page, the curves as a picture (.png or .svg) and the table as CSV, those that are asked for.

    sources: what the page says it was made from. Raises WorkError if a file can't be written.
    """
    if html or png:
        _write_charts(found, html, png, sources)
    if csv:
        write_atomic(csv, as_csv(found))


def _write_charts(found: Boundary, html: Path | None, png: Path | None, sources: Mapping[str, str]) -> None:
    with needs_extra("report", "a page or a picture"):
        from rlvrscope.report.boundary.charts import charts
        from rlvrscope.report.boundary.page import render
        from rlvrscope.report.style import save

    drawn = charts(found)
    if html:
        question = found.question
        made = environment(resampling=f"{question.resamples:,} resamples, seed {question.seed}")
        facts = {name.replace("_", " "): str(value) for name, value in {**sources, **made}.items()}
        write_atomic(html, render(found, drawn, facts))
    if png:
        save(drawn["boundary"], png)
