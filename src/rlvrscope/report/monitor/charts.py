"""Charts of signals over steps, over bands of the stages: of a monitored log, and of the arms of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from rlvrscope.monitor.timeline import Timeline
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.report.monitor.words import LABELS, signals
from rlvrscope.report.style import COLOURS, number, styled, title

STAGE_COLOURS = {
    "not enough yet": "#bbbbbb", "exploitation": "#E69F00", "saturated": "#7A4FA3", "exploration": "#009E73"
}  # fmt: skip
WIDTH, HEIGHT = 700, 90
MAX_POINTS = 1000
"""Points of a curve; longer ones are drawn as means over neighbouring rows."""
SMOOTHED_SHARE = 0.05
"""Share of the rows that the running mean covers."""
MIN_SMOOTHED = 5
Row = Mapping[str, Any]
LEVELS = "share at each reward"


def charts(monitored: MonitoredLog) -> dict[str, Any]:
    """The chart under the name of its place on the page."""
    timeline = monitored.timeline
    panels = [signal_panel(timeline, name) for name in signals(timeline.rows)]
    if any("levels" in row for row in timeline.rows):
        panels.insert(1, _levels_panel(timeline))
    heading = title(
        "Signals and stages", "Over training steps. Thin: each step. Bold: running mean. Red: steps with an alarm."
    )
    return {"timeline": styled(alt.vconcat(*panels, spacing=10, title=heading))}


def signal_panel(timeline: Timeline, name: str, width: int = WIDTH, height: int = HEIGHT) -> Any:
    """One signal over steps, over the bands of its timeline."""
    data = alt.Chart(alt.Data(values=_points(timeline.rows, name)))
    y = alt.Y(
        "value:Q",
        title=LABELS[name],
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=4, minExtent=32, labelFlush=True),
    )
    colour = COLOURS[list(LABELS).index(name) % len(COLOURS)]
    thin = data.mark_line(strokeWidth=1, opacity=0.35, color=colour).encode(x=_x(timeline), y=y)
    bold = data.mark_line(strokeWidth=2.2, color=colour).encode(
        x=_x(timeline), y=alt.Y("mean:Q"), tooltip=["step:Q", number("value", ".4g"), number("mean", ".4g")]
    )
    return alt.layer(*_bands(timeline, height), thin, bold, width=width, height=height)


def _levels_panel(timeline: Timeline) -> Any:
    levels = sorted({level for row in timeline.rows for level in row.get("levels", ())})
    rows = [
        {"level": f"{level:.3g}", **point}
        for level in levels
        for point in _points([_at_level(row, level) for row in timeline.rows if "levels" in row], "share")
    ]
    scale = alt.Scale(domain=[f"{level:.3g}" for level in levels], scheme="viridis", reverse=True)
    lines = alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=1.8)
    encoded = lines.encode(
        x=_x(timeline),
        y=alt.Y("mean:Q", title=LEVELS, axis=alt.Axis(tickCount=4)),
        color=alt.Color("level:N", scale=scale, legend=alt.Legend(title="reward", orient="right")),
        tooltip=["step:Q", "level:N", number("mean", ".3f")],
    )
    own = alt.Resolve(scale=alt.ScaleResolveMap(color="independent"))
    return alt.layer(*_bands(timeline, HEIGHT, legend=False), encoded, width=WIDTH, height=HEIGHT, resolve=own)


def _at_level(row: Row, level: float) -> Row:
    return {"step": row["step"], "share": row["levels"].get(level, 0.0)}


def _x(timeline: Timeline) -> alt.X:
    first, last = timeline.rows[0]["step"], timeline.rows[-1]["step"]
    return alt.X("step:Q", title=None, scale=alt.Scale(domain=[first, max(last, first + 1)], nice=False))


def _bands(timeline: Timeline, height: int, legend: bool = True) -> list[Any]:
    """Stages as bands that touch each other; alarms as marks along the lower edge.

    legend: the same for all panels that share a scale, of which one legend is drawn.
    """
    nexts = [span.first for span in timeline.stages[1:]] + [timeline.rows[-1]["step"]]
    stages = [
        {"stage": span.name, "step": span.first, "end": end} for span, end in zip(timeline.stages, nexts, strict=True)
    ]
    scale = alt.Scale(domain=list(STAGE_COLOURS), range=list(STAGE_COLOURS.values()))
    below = alt.Legend(title=None, orient="top", symbolOpacity=0.4) if legend else None
    band = alt.Chart(alt.Data(values=stages)).mark_rect(opacity=0.18)
    bands = band.encode(x=_x(timeline), x2="end:Q", color=alt.Color("stage:N", scale=scale, legend=below))
    alarms = [{"alarm": span.name, "step": span.first, "end": span.last} for span in timeline.alarms]
    mark = alt.Chart(alt.Data(values=alarms)).mark_rule(color="#D00000", strokeWidth=3)
    marks = mark.encode(x=_x(timeline), x2="end:Q", y=alt.value(height), tooltip=["alarm:N", "step:Q", "end:Q"])
    return [bands, *([marks] if alarms else [])]


def _points(rows: Sequence[Row], name: str) -> list[dict[str, float]]:
    """Step, value and centred running mean of a signal, at most MAX_POINTS of them."""
    known = [row for row in rows if name in row]
    value_T = np.array([row[name] for row in known], dtype=np.float64)
    step_T = np.array([row["step"] for row in known], dtype=np.float64)
    window = max(MIN_SMOOTHED, int(len(known) * SMOOTHED_SHARE))
    sum_T = np.concatenate([[0.0], (value_T - value_T[0]).cumsum()])
    start_T = np.maximum(np.arange(len(known)) - window // 2, 0)
    end_T = np.minimum(np.arange(len(known)) + window // 2 + 1, len(known))
    mean_T = value_T[0] + (sum_T[end_T] - sum_T[start_T]) / (end_T - start_T)
    parts = np.array_split(np.arange(len(known)), min(len(known), MAX_POINTS))
    return [
        {"step": float(step_T[part[-1]]), "value": float(value_T[part].mean()), "mean": float(mean_T[part[-1]])}
        for part in parts
    ]
