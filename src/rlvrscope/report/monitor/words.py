"""Sentences, tables and JSON of a monitored log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rlvrscope.monitor.alarms import ADVICE
from rlvrscope.monitor.timeline import Span
from rlvrscope.monitor.trend import MIN_WINDOW
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.report.table import Column, Table
from rlvrscope.report.text import number

FORMAT_VERSION = 1
MEANING = {
    "not enough yet": "nothing has risen or fallen clearly so far",
    "exploitation": "common right answers gain mass; rare ones lose it, or nothing shows that they gain",
    "saturated": "the entropy has stopped falling, and nothing has turned up so far",
    "exploration": "rare right answers gain mass",
}
"""Meaning of each stage."""
LABELS = {
    "reward": "reward",
    "entropy": "token entropy",
    "equal_reward_share": "equal groups",
    "sampler_kl": "sampler KL",
    "pass_at_group": "pass@G",
    "top_at_group": "top reward@G",
    "rare_log_mass": "rare log-mass",
}
"""Short names of the signals, at most 13 characters."""


def summary(monitored: MonitoredLog) -> str:
    """The current stage with its evidence, and the alarms that hold."""
    reading = monitored.timeline.reading
    if reading is None:
        return "No step has been logged yet."
    basis = "" if reading.basis is None else f", judged by the {reading.basis}"
    since = "" if reading.stage == "not enough yet" else f" since step {reading.since}"
    alarms = "".join(f" ALARM {alarm.name}: {alarm.evidence}." for alarm in reading.alarms)
    return f"{reading.stage}{since}{basis}: {reading.evidence}.{alarms}"


def missing(monitored: MonitoredLog) -> str:
    """Signals whose lack makes the reading less sure; empty if there are none."""
    reading = monitored.timeline.reading
    return "" if reading is None or not reading.missing else f"Not logged: {', '.join(reading.missing)}."


def steps(span: Span, holds: bool) -> str:
    """The steps of a span, in words.

    >>> steps(Span("saturated", 40, 90, ""), holds=True)
    '40 to 90, now'
    """
    ends = f"{span.first:,}" if span.first == span.last else f"{span.first:,} to {span.last:,}"
    return f"{ends}, now" if holds else ends


def stage_table(monitored: MonitoredLog) -> Table:
    """Every stage, in order."""
    timeline = monitored.timeline
    columns = (
        Column("stage", align="left"), Column("steps", align="left"), Column("evidence", align="left", wrap=True)
    )  # fmt: skip
    rows = [(span.name, steps(span, timeline.holds(span)), span.evidence) for span in timeline.stages]
    return Table(columns, rows, note="Evidence: at the last step of each stage.")


def alarm_table(monitored: MonitoredLog) -> Table:
    """Every alarm with its evidence, what to do, and where the effect is described."""
    timeline = monitored.timeline
    heads = ("alarm", "steps", "evidence", "what to do", "described in")
    columns = [Column(head, align="left", wrap=index > 1) for index, head in enumerate(heads)]
    rows = []
    for span in timeline.alarms:
        advice = ADVICE[span.name]  # type: ignore[reportArgumentType]  # the names of alarms are its keys
        rows.append((span.name, steps(span, timeline.holds(span)), span.evidence, advice.action, advice.reference))
    return Table(columns, rows)


def ends(monitored: MonitoredLog, name: str) -> str:
    """Means of a signal over its first and its last rows, in three digits."""
    values = [row[name] for row in monitored.timeline.rows if name in row]
    first, last = fmean(values[:MIN_WINDOW]), fmean(values[-MIN_WINDOW:])
    return f"{number(first, '.3g')} → {number(last, '.3g')}"


def signals(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Signals that some row has, in the order of LABELS; of two that are equal, as for binary rewards, the first."""
    names = [name for name in LABELS if any(name in row for row in rows)]
    alike = all(row.get("top_at_group") == row.get("pass_at_group") for row in rows)
    return [name for name in names if name != "top_at_group" or not alike]


def as_dict(monitored: MonitoredLog) -> dict[str, Any]:
    """The timeline for machines."""
    timeline, reading = monitored.timeline, monitored.timeline.reading
    return {
        "format_version": FORMAT_VERSION,
        "source": str(monitored.path),
        "read": monitored.log.account,
        "notes": monitored.log.notes,
        "reading": None
        if reading is None
        else {
            "step": reading.step,
            "stage": reading.stage,
            "since": reading.since,
            "basis": reading.basis,
            "evidence": reading.evidence,
            "missing": list(reading.missing),
            "alarms": [alarm.name for alarm in reading.alarms],
        },
        "stages": [_span(span, timeline.holds(span)) for span in timeline.stages],
        "alarms": [
            _span(span, timeline.holds(span))
            | {"action": ADVICE[span.name].action, "reference": ADVICE[span.name].reference}  # type: ignore[reportArgumentType]
            for span in timeline.alarms
        ],
    }


def _span(span: Span, holds: bool) -> dict[str, Any]:
    return {"name": span.name, "first": span.first, "last": span.last, "evidence": span.evidence, "now": holds}
