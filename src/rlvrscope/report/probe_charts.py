"""The chart of a mass probe: where training moved the mass of stored completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from rlvrscope.monitor.mass_probe import KINDS
from rlvrscope.report.style import COLOURS, styled, title
from rlvrscope.report.table import finite
from rlvrscope.runs.rows import ProbeRow


def masses(rows: Sequence[ProbeRow]) -> Any:
    """Mean log-mass of each class of stored completions by training step, with two standard errors."""
    values = [
        {
            "step": row.step, "class": kind, "log": mass.log_mass,
            "low": finite(mass.log_mass - 2 * mass.log_mass_error),
            "high": finite(mass.log_mass + 2 * mass.log_mass_error),
        }
        for row in rows
        for kind, mass in row.classes.items()
    ]  # fmt: skip
    present = [kind for kind in KINDS if any(value["class"] == kind for value in values)]
    colour = alt.Color(
        "class:N",
        title="stored completions",
        sort=present,
        scale=alt.Scale(domain=present, range=COLOURS[: len(present)]),
    )
    data = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("step:Q", title="training step", axis=alt.Axis(format="d", tickMinStep=1)), color=colour
    )
    y = alt.Y("log:Q", title="mean log-mass per prompt (nats)", scale=alt.Scale(zero=False))
    area = data.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", scale=alt.Scale(zero=False)), y2="high:Q")
    line = data.mark_line(strokeWidth=2, point=True).encode(y=y)
    heading = title(
        "Where training moved the mass", ["Stored completions of the base, scored; area: two standard errors."]
    )
    return styled(alt.layer(area, line, width=560, height=320, title=heading))
