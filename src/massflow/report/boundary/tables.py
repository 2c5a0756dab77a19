"""The comparison as tables for a terminal of 80 columns."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from massflow.report.boundary.findings import Boundary
from massflow.sampling import ModelCounts
from massflow.stats import Plan

MOST_CHARACTERS = 2_000


def verdict_table(boundary: Boundary, name: str) -> Table:
    """k, base, trained, difference with its band, verdict; an asterisk where the band is not reliable."""
    found = boundary.comparisons[name]
    table = Table(box=None, pad_edge=False)
    for head in ("k", _short(boundary.base.name), _short(name), "difference"):
        table.add_column(escape(head), justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    d = found.difference
    for index, k in enumerate(found.ks):
        band = f"{d.estimate[index]:+.3f} [{d.low[index]:+.3f}, {d.high[index]:+.3f}]"
        table.add_row(
            str(k),
            _share(found.base.estimate[index]),
            _share(found.trained.estimate[index]),
            escape(band) if d.estimate[index] == d.estimate[index] else "undefined",
            found.verdicts[index] + ("" if found.reliable[index] else " *"),
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
    table = Table(title=escape(printable(problem)), show_lines=True, expand=True)
    columns = []
    for name, model in models.items():
        n_P, c_P = (side_UP.sum(axis=0) for side_UP in model.counts.grid)
        at = model.counts.problems.index(problem)
        table.add_column(escape(f"{_short(name)}: {c_P[at]} of {n_P[at]} right"), ratio=1, overflow="fold")
        columns.append([escape(printable(_clip(sample.text))) for sample in model.texts(problem, limit, correct=True)])
    for row in itertools.zip_longest(*columns, fillvalue=""):
        table.add_row(*row)
    return table


def printable(text: str) -> str:
    """Text that can't move the cursor or colour the screen: control and format characters as escapes."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else ascii(character)[1:-1]
        for character in text
    )


def _clip(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} [{len(text) - MOST_CHARACTERS:,} more]"


def _share(value: float) -> str:
    return f"{value:.3f}" if value == value else "-"


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= 16 else name[:15] + "…"
