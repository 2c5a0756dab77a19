"""At equal pass@1, with intervals: one number an arm over the common range, one a pair over its own range."""

from __future__ import annotations

from typing import Any

import altair as alt

from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.outcomes import Bounded, Estimate, shown
from rlvrscope.report.experiment.tables import ranked
from rlvrscope.report.style import BASE_COLOUR, COLOURS, title

Rows = list[dict[str, Any]]


def at_equal_pass(findings: Findings) -> Any:
    """Two panels: arms and baselines against the base, and the stated pairs; None if there is nothing to draw."""
    equal = findings.equal
    panels = []
    if equal.common is not None:
        entries = [(entry.label, entry.change) for entry in ranked(equal.entries) if entry.change]
        rows = [_row(name, change, "") for name, change in entries]
        panels.append(_panel(rows, "minus the base", f"Every arm, gains {equal.common}"))
    pairs = [
        _row(f"{pair.label}, {pair.own.span}", pair.own.difference, f"gains {pair.own.span}")
        for pair in equal.pairs
        if pair.own
    ]
    if pairs:
        panels.append(_panel(pairs, "minus the other", "Pairs, each over its own gains"))
    if not panels:
        return None
    return alt.hconcat(*panels, spacing=30).properties(
        title=title(
            "pass@256 at equal pass@1, mean over a range of gains",
            "Dots: estimates with 95 % intervals. Without a dot: some run falls short, only bounds are known, and the "
            "bar holds them. Dashed: no difference.",
        )
    )


def _row(name: str, value: Estimate | Bounded, span: str) -> dict[str, Any]:
    known = value.value if isinstance(value, Estimate) else value.least if value.known else None
    text = shown(value.value, "+.3f") if isinstance(value, Estimate) else value.text("+.3f")
    return {"name": name, "difference": known, "low": value.low, "high": value.high, "text": text, "gains": span}


def _panel(rows: Rows, words: str, heading: str) -> Any:
    """Where an interval is far wider than the others, it is cut: those of bounds are."""
    ends = [abs(end) for row in rows if row["difference"] is not None for end in (row["low"], row["high"])]
    most = 1.1 * max(ends, default=1.0)
    scale = alt.Scale(domain=[-most, most], nice=False)
    names = alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=alt.Axis(labelLimit=320))
    chart = alt.Chart(alt.Data(values=rows)).encode(y=names)
    details = [alt.Tooltip(f"{field}:N") for field in ("name", "text", "gains")]
    details += [alt.Tooltip(f"{end}:Q", format="+.3f") for end in ("low", "high")]
    bar = chart.mark_rule(strokeWidth=2, clip=True, color=COLOURS[0]).encode(
        x=alt.X("low:Q", title=f"pass@256 {words}", scale=scale, axis=alt.Axis(tickCount=5)),
        x2="high:Q",
        tooltip=details,
    )
    dot = chart.transform_filter("isValid(datum.difference)").mark_circle(size=60, opacity=1, color=COLOURS[0])
    zero = alt.Chart(alt.Data(values=[{"low": 0.0}])).mark_rule(color=BASE_COLOUR, strokeDash=[4, 4])
    return alt.layer(
        zero.encode(x=alt.X("low:Q", scale=scale)),
        bar,
        dot.encode(x=alt.X("difference:Q", scale=scale), tooltip=details),
    ).properties(width=260, height=alt.Step(20), title=alt.TitleParams(heading, fontSize=12, anchor="start"))
