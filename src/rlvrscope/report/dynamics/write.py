"""A study as files: PNG, SVG, one self-contained page, and the numbers as CSV (a single path as Parquet too)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlvrscope.dynamics import Trajectory
from rlvrscope.extras import needs_extra
from rlvrscope.report import html
from rlvrscope.report.dynamics.numbers import Row
from rlvrscope.report.dynamics.studies import Study
from rlvrscope.report.style import save
from rlvrscope.runs import write_atomic

HEADS = {
    "steps_10": "10 %\nthere",
    "steps_50": "50 %\nthere",
    "steps_90": "90 %\nthere",
    "there": "50 %\nthere",
    "law_there": "law\nthere",
    "law_lowest": "law\nlowest",
    "ratio": "mean\n|ratio - 1|",
    "never": "never",
    "lowest": "lowest",
    "final": "at end",
    "final_entropy": "entropy",
    "learning_rate": "η",
    "mean_share": "mean share",
    "right": "mass of right answers",
}
"""How columns are called in tables; others by their own name."""


def write_study(study: Study, folder: Path, facts: Mapping[str, str]) -> list[Path]:
    """Into a folder, each file whole or not at all. facts: what it was made with. Returns the paths."""
    paths = [folder / f"{study.name}.{kind}" for kind in ("png", "svg", "html", "csv")]
    for path in paths[:2]:
        save(study.chart, path)
    write_atomic(paths[2], page(study, facts))
    write_atomic(paths[3], as_csv(study.rows))
    return paths


def page(study: Study, facts: Mapping[str, str]) -> str:
    """The page as text; it needs no network."""
    heads, rows = table(study.summary)
    return html.render(
        "dynamics.html.j2",
        {study.name: study.chart},
        title=study.heading,
        lead=study.lead,
        figure={"name": study.name, "heading": "The figure", "caption": study.caption},
        numbers={"heads": heads, "rows": [[{"text": cell} for cell in row] for row in rows]},
        facts={"heads": (), "rows": [[{"text": key}, {"text": value, "wrap": True}] for key, value in facts.items()]},
    )


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells for people, less what the line above says already: one objective, one count of seeds."""
    said = {head for head in ("objective", "seeds") if len({row.get(head) for row in rows}) == 1}
    heads = [head for head in (rows[0] if rows else []) if head not in said]
    return [HEADS.get(head, head) for head in heads], [[cell(row[head]) for head in heads] for row in rows]


def cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def as_csv(rows: Sequence[Row]) -> str:
    """Every number in full; empty where undefined."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_parquet(folder: Path, trajectory: Trajectory) -> Path:
    """simulate.parquet, one row a seed and recorded step: entropy, masses of watched sets, probabilities if kept."""
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
