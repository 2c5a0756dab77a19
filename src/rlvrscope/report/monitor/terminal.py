"""The timeline for a terminal of 80 columns or more: stage, signals as bars of characters, alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from rlvrscope.monitor.alarms import ADVICE
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.report.monitor.words import LABELS, MEANING, ends, missing, signals, steps, summary

MARKS = {"not enough yet": "·", "exploitation": "▼", "saturated": "=", "exploration": "▲"}
"""One character for each stage."""
STYLES = {"not enough yet": "dim", "exploitation": "yellow", "saturated": "dim", "exploration": "green"}
BARS = "▁▂▃▄▅▆▇█"
LABEL_CELLS, ENDS_CELLS = 15, 20
MAX_CELLS = 120
"""Widest chart, in characters."""


def to_terminal(monitored: MonitoredLog, width: int) -> RenderableType:
    """The whole view. width: columns of the terminal."""
    cells = max(10, min(MAX_CELLS, width - LABEL_CELLS - ENDS_CELLS - 2))
    parts: list[RenderableType] = [
        Text(monitored.log.account, style="dim"),
        *(Text(note, style="yellow") for note in monitored.log.notes),
        Text(summary(monitored), style="bold"),
        *([Text(missing(monitored), style="dim")] if missing(monitored) else []),
        Text(),
        *_chart(monitored, cells),
        Text(),
        *_stages(monitored),
        *_alarms(monitored),
    ]
    return Group(*parts)


def _chart(monitored: MonitoredLog, cells: int) -> list[Text]:
    rows = monitored.timeline.rows
    first, last = rows[0]["step"], rows[-1]["step"]
    cells = min(cells, len(rows))
    places = [_place(row["step"], first, last, cells) for row in rows]
    lines = [_line("stage", _stage_marks(monitored, first, last, cells))]
    for name in signals(rows):
        pairs = [(place, row[name]) for place, row in zip(places, rows, strict=True) if name in row]
        lines.append(_line(LABELS[name], Text(bars(pairs, cells)), ends(monitored, name)))
    gap = " " * max(1, cells - len(f"{first:,}") - len(f"{last:,}"))
    return [*lines, _line("step", Text(f"{first:,}" if first == last else f"{first:,}{gap}{last:,}", style="dim"))]


def bars(pairs: Sequence[tuple[int, float]], cells: int) -> str:
    """A bar for the mean of the values at each place, from the smallest mean to the largest; blank without values.

    >>> bars([(0, 1.0), (1, 2.0), (1, 4.0), (3, 5.0)], 4)
    '▁▅ █'
    """
    at_C: list[list[float]] = [[] for _ in range(cells)]
    for place, value in pairs:
        at_C[place].append(value)
    means = [math.fsum(values) / len(values) if values else math.nan for values in at_C]
    known = [mean for mean in means if mean == mean]
    low, high = min(known), max(known)
    spread = (high - low) or 1.0
    return "".join(" " if mean != mean else BARS[round((mean - low) / spread * (len(BARS) - 1))] for mean in means)


def _place(step: int, first: int, last: int, cells: int) -> int:
    return 0 if last == first else min(cells - 1, (step - first) * cells // (last - first))


def _stage_marks(monitored: MonitoredLog, first: int, last: int, cells: int) -> Text:
    """The stage at each place; where a place has several, the later one."""
    names = ["not enough yet"] * cells
    for span in monitored.timeline.stages:
        start, end = _place(span.first, first, last, cells), _place(span.last, first, last, cells)
        names[start : end + 1] = [span.name] * (end + 1 - start)
        names[end + 1 :] = [span.name] * (cells - end - 1)
    text = Text()
    for name in names:
        text.append(MARKS[name], style=STYLES[name])
    return text


def _line(label: str, chart: Text, end: str = "") -> Text:
    return Text.assemble(f"{label:<{LABEL_CELLS}}", chart, f"  {end}" if end else "")


def _stages(monitored: MonitoredLog) -> list[Text]:
    timeline = monitored.timeline
    return [
        Text(f"{MARKS[span.name]} {span.name}, {steps(span, timeline.holds(span))}: {MEANING[span.name]}")
        for span in timeline.stages
    ]


def _alarms(monitored: MonitoredLog) -> list[Text]:
    timeline = monitored.timeline
    if not timeline.alarms:
        return [Text("no alarms", style="dim")]
    lines = []
    for span in timeline.alarms:
        holds = timeline.holds(span)
        advice = ADVICE[span.name]  # type: ignore[reportArgumentType]  # the names of alarms are its keys
        heading = f"! {span.name}, steps {steps(span, holds)}: {span.evidence}"
        lines.append(Text(heading, style="bold red" if holds else "dim"))
        if holds:
            lines.append(Text(f"  {advice.action} ({advice.reference})"))
    return lines
