"""Files of a study: PNG, SVG, one self-contained page, CSV, and a trajectory as Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlvrscope.dynamics import Trajectory
from rlvrscope.dynamics.studies.study import Row, Study
from rlvrscope.extras import needs_extra
from rlvrscope.report import html
from rlvrscope.report.dynamics.study_charts import study_chart
from rlvrscope.report.style import save
from rlvrscope.report.table import Column, Table, facts_table, to_csv
from rlvrscope.runs import write_atomic

HEADERS = {
    "steps_10": "10 %\nreached",
    "steps_50": "50 %\nreached",
    "steps_90": "90 %\nreached",
    "reached": "50 %\nreached",
    "flow_reached": "flow\nreached",
    "flow_lowest": "flow\nlowest",
    "ratio": "mean\n|ratio - 1|",
    "final_entropy": "entropy",
    "learning_rate": "η",
    "mean_share": "mean share",
    "right": "mass of right answers",
}
"""Headers in the summary; other columns keep their name."""


def write_study(study: Study, folder: Path, facts: Mapping[str, str]) -> list[Path]:
    """Write a study's files, each atomically, and return their paths. facts: versions and machine, for the page."""
    chart = study_chart(study)
    png, svg, page, numbers = (folder / f"{study.name}.{kind}" for kind in ("png", "svg", "html", "csv"))
    save(chart, png)
    save(chart, svg)
    write_atomic(page, study_page(study, chart, facts))
    write_atomic(numbers, to_csv(rows_table(study.rows)))
    return [png, svg, page, numbers]


def study_page(study: Study, chart: Any, facts: Mapping[str, str]) -> str:
    """The page as text; it needs no network."""
    return html.render(
        "dynamics.html.j2",
        {study.name: chart},
        title=study.heading,
        lead=" ".join(study.setting),
        figure=html.Figure(study.name, "The figure", study.caption),
        summary=summary_table(study),
        facts=facts_table(list(facts.items())),
    )


def summary_table(study: Study) -> Table:
    """The summary for people, without columns that the setting states: a common objective or number of seeds."""
    rows = study.summary
    common = {name for name in ("objective", "seeds") if len({row.get(name) for row in rows}) == 1}
    names = [name for name in rows[0] if name not in common]
    columns = [
        Column(HEADERS.get(name, name), ".3g", "left" if is_text else "right", wrap=is_text)
        for name, is_text in ((name, isinstance(rows[0][name], str)) for name in names)
    ]
    return Table(columns, [[row[name] for name in names] for row in rows])


def rows_table(rows: Sequence[Row]) -> Table:
    """Rows with their field names as headers, for CSV."""
    return Table([Column(name) for name in rows[0]], [list(row.values()) for row in rows])


def write_parquet(folder: Path, trajectory: Trajectory) -> Path:
    """Write simulate.parquet, a row per seed and recorded step: entropy, watched masses, probabilities if recorded."""
    with needs_extra("parquet", "writing Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    seeds, steps = len(trajectory.seeds), len(trajectory.steps_T)
    columns: dict[str, Any] = {
        "seed": np.repeat(trajectory.seeds, steps),
        "step": np.tile(trajectory.steps_T, seeds),
        "entropy": trajectory.entropy_ST.ravel(),
        **{f"mass_{name}": mass_ST.ravel() for name, mass_ST in trajectory.masses.items()},
    }
    if trajectory.probs_STV is not None:
        actions = trajectory.probs_STV.shape[2]
        columns |= {f"p{v + 1}": trajectory.probs_STV[:, :, v].ravel() for v in range(actions)}
    content = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata({"format_version": "1"}), content)
    path = folder / "simulate.parquet"
    write_atomic(path, content.getvalue())
    return path
