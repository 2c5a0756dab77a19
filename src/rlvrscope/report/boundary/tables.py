"""The comparison as tables for a terminal of 80 columns."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from rich.cells import cell_len, set_cell_size
from rich.table import Table

from rlvrscope.experiment.boundary import Boundary
from rlvrscope.readers import ModelCounts
from rlvrscope.report.boundary.words import starred
from rlvrscope.report.text import clipped, one_line
from rlvrscope.stats import Interval, Plan

MAX_CHARACTERS, MAX_TITLE = 2_000, 200
NAME_CELLS = 16


def verdict_table(boundary: Boundary, name: str) -> Table:
    """k, base, trained, difference with its band, verdict; an asterisk where the band is not reliable."""
    found = boundary.comparisons[name]
    table = Table(box=None, pad_edge=False)
    for head in ("k", _short(boundary.base.name), _short(name), "difference"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for index, k in enumerate(found.ks):
        table.add_row(
            str(k),
            _share(found.base.estimate[index]),
            _share(found.trained.estimate[index]),
            _band(found.difference, index),
            found.verdicts[index] + (" *" if starred(found, index) else ""),
        )
    return table


def plan_table(plan: Plan) -> Table:
    """What settles the difference, by samples a problem."""
    table = Table(box=None, pad_edge=False)
    for head in ("samples a problem", "problems", "samples of one model", f"settled by {plan.pilot_problems} problems"):
        table.add_column(head, justify="right")
    for option, detectable in zip(plan.options, plan.detectable, strict=True):
        table.add_row(f"{option.samples:,}", f"{option.problems:,}", f"{option.total:,}", f"{detectable:.3f}")
    return table


def answers_table(problem: str, models: Mapping[str, ModelCounts], limit: int) -> Table:
    """The right answers of models to one problem, side by side."""
    table = Table(title=one_line(problem, MAX_TITLE), show_lines=True, expand=True)
    columns = []
    for name, model in models.items():
        n_P, c_P = model.counts.pooled
        at = model.counts.problems.index(problem)
        table.add_column(f"{_short(name)}: {c_P[at]} of {n_P[at]} right", ratio=1, overflow="fold")
        columns.append([clipped(sample.text, MAX_CHARACTERS) for sample in model.texts(problem, limit, correct=True)])
    for row in itertools.zip_longest(*columns, fillvalue=""):
        table.add_row(*row)
    return table


def _band(difference: Interval, index: int) -> str:
    estimate, low, high = (values[index] for values in (difference.estimate, difference.low, difference.high))
    if estimate != estimate:
        return "undefined"
    return f"{estimate:+.3f} " + (f"[{low:+.3f}, {high:+.3f}]" if low == low else "(no band)")


def _share(value: float) -> str:
    return f"{value:.3f}" if value == value else "-"


def _short(name: str) -> str:
    """Both ends of a long name: models often differ in the last characters alone."""
    name = one_line(name, 200)
    if cell_len(name) <= NAME_CELLS:
        return name
    start = (NAME_CELLS - 1) // 2
    return f"{set_cell_size(name, start)}…{set_cell_size(name[::-1], NAME_CELLS - 1 - start)[::-1]}"
