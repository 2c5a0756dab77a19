"""Tasks whose right answers earn different rewards: the two stages, read off exact masses."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.experiment.outcomes import label
from rlvrscope.experiment.results import Experiment, mean_over_bases
from rlvrscope.report.style import LEGEND, title
from rlvrscope.runs.run import Run

KINDS = {
    "common, training prompts": ("#0072B2", (1, 0)),
    "optimal, training prompts": ("#D55E00", (1, 0)),
    "common, held-out prompts": ("#0072B2", (3, 3)),
    "optimal, held-out prompts": ("#D55E00", (3, 3)),
}


def graded(experiment: Experiment) -> Any:
    """The mass of right answers with reward 1, and of the other right ones, over steps; a panel an arm."""
    panels = [_panel(experiment, arm, index) for index, arm in enumerate(experiment.arms)]
    return (
        alt.concat(*panels, columns=3)
        .resolve_scale(y="shared")
        .properties(
            title=title(
                "Common and optimal answers over training",
                "Mean masses over prompts and runs, exact. Optimal: reward 1. Common: any other right answer.",
            )
        )
    )


def _panel(experiment: Experiment, arm: str, index: int) -> Any:
    rows = []
    for looked_at in (experiment.on_training(), experiment):
        runs = looked_at.of(arm) if looked_at else []
        if runs:
            masses_S2 = mean_over_bases(runs, [_masses(run) for run in runs])
            for step, (common, optimal) in zip(runs[0].evaluation_steps, masses_S2.tolist(), strict=True):
                rows.append({"kind": f"common, {runs[0].prompts}", "step": step, "mass": common})
                rows.append({"kind": f"optimal, {runs[0].prompts}", "step": step, "mass": optimal})
    shown = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    legend = alt.Legend(**{**LEGEND.to_dict(), "columns": 2, "labelLimit": 260})
    colours = alt.Scale(domain=shown, range=[KINDS[kind][0] for kind in shown])
    dashes = alt.Scale(domain=shown, range=[list(KINDS[kind][1]) for kind in shown])
    y = alt.Y(
        "mass:Q",
        title="probability mass (log scale)" if index % 3 == 0 else None,
        scale=alt.Scale(type="log", domainMax=1.0),
        axis=alt.Axis(format="~g", values=[1e-5, 1e-4, 0.001, 0.01, 0.03, 0.1, 0.3, 1]),
    )
    return (
        alt.Chart(alt.Data(values=[row for row in rows if row["mass"] > 0.0]))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("step:Q", title="RL step"),
            y=y,
            color=alt.Color("kind:N", scale=colours, legend=legend),
            strokeDash=alt.StrokeDash("kind:N", scale=dashes, legend=legend),
            tooltip=[alt.Tooltip("kind:N"), alt.Tooltip("step:Q"), alt.Tooltip("mass:Q", format=".4f")],
        )
        .properties(width=225, height=190, title=label(arm))
    )


def _masses(run: Run) -> Floats:
    """(S, 2): the mass of common and of optimal answers at each evaluation, mean over prompts."""
    optimal_S = run.optimal_SP().mean(axis=1)
    return np.stack([run.success_SP().mean(axis=1) - optimal_S, optimal_S], axis=1)
