"""The page of a monitored log: one offline file, or a page that fetches its own changes from the monitor's server."""

from __future__ import annotations

import rlvrscope
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.report import html
from rlvrscope.report.monitor.charts import charts
from rlvrscope.report.monitor.words import MEANING, alarm_table, missing, stage_table, summary
from rlvrscope.report.table import facts_table
from rlvrscope.report.text import one_line

CAPTION = (
    "Bands: the stage that was read at each step, from the steps up to it alone. A stage is read once it is clear, so "
    "that its band begins later than the stage itself."
)


def render(monitored: MonitoredLog, *, live: bool = False, part: bool = False) -> str:
    """The page as text. live: it fetches its own changes. part: without the code of charts, for such a change."""
    drawn = charts(monitored) if monitored.timeline.rows else {}
    facts = [("source", one_line(str(monitored.path))), ("read", monitored.log.account)]
    return html.render(
        "monitor.html.j2",
        drawn,
        chart_titles=False,
        with_code=not part,
        title=f"Stage of {one_line(monitored.path.name, 80)}",
        summary=summary(monitored),
        missing=missing(monitored),
        notes=monitored.log.notes,
        meanings=[(name, MEANING[name]) for name in MEANING if name != "not enough yet"],
        figures=html.figures(drawn, {"timeline": CAPTION}),
        stages=stage_table(monitored),
        alarms=alarm_table(monitored),
        facts=facts_table([*facts, ("rlvrscope", rlvrscope.__version__)]),
        live=live,
        version=monitored.version,
    )
