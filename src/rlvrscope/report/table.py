"""One model of a table, rendered to a terminal (`to_rich`), to a page (`html.to_html`) and to CSV (`to_csv`)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import rich.table
from rich.console import Group
from rich.text import Text

from rlvrscope.experiment.outcomes import Bounded, Estimate
from rlvrscope.report.text import fitted, interval, number, one_line, printable

Cell = str | int | float | Estimate | Bounded | None
"""None and NaN are missing."""
Plain = str | int | float | None
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Column:
    """One column.

    form: format of its floats. wrap: text may break over lines. terminal: an estimate with its interval ("full"), its
    value alone, or no column at all. max_cells: width in a terminal to which its texts are cut.
    """

    header: str
    form: str = ".3f"
    align: Literal["left", "right"] = "right"
    wrap: bool = False
    terminal: Literal["full", "value", "hidden"] = "full"
    max_cells: int | None = None

    def value(self, cell: Cell) -> str:
        """A cell without its interval."""
        match cell:
            case str():
                return printable(cell)
            case int():
                return f"{cell:,}"
            case Estimate():
                return number(cell.value, self.form) + cell.mark
            case Bounded(known=False):
                return f"{number(cell.least, self.form)} to {number(cell.most, self.form)}"
            case Bounded():
                return number(cell.least, self.form)
            case _:
                return number(cell, self.form)

    def interval(self, cell: Cell) -> str:
        """[low, high] of an estimate or a bounded value; "no interval" where it is not known; else empty."""
        if not isinstance(cell, Estimate | Bounded) or (isinstance(cell, Estimate) and math.isnan(cell.value)):
            return ""
        return "no interval" if math.isnan(cell.low) else interval(cell.low, cell.high, self.form)


@dataclass(frozen=True)
class Table:
    """Rows of typed cells. The note is for pages only."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    note: str = ""


def facts_table(facts: Sequence[tuple[str, str]]) -> Table:
    """Names and their values, without a header."""
    return Table((Column("", align="left"), Column("", align="left", wrap=True)), facts)


def to_rich(table: Table) -> Group:
    """The title and the table, for a terminal. No cell is read as markup."""
    drawn = rich.table.Table(box=None, pad_edge=False, show_header=any(column.header for column in table.columns))
    places = [(index, column) for index, column in enumerate(table.columns) if column.terminal != "hidden"]
    for _, column in places:
        drawn.add_column(
            Text(_fitted(printable(column.header), column)),
            justify=column.align,
            no_wrap=not column.wrap,
            overflow="fold" if column.wrap else "ellipsis",
        )
    for row in table.rows:
        drawn.add_row(*(Text(_terminal_cell(row[index], column)) for index, column in places))
    return Group(*([Text(table.title)] if table.title else []), drawn)


def to_csv(table: Table) -> str:
    """Every number in full; missing ones are empty. A text that a spreadsheet would run as a formula is quoted."""
    rows = [{_plain_text(key): _plain_text(value) for key, value in row.items()} for row in records(table)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _plain_text(value: Plain) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def records(table: Table) -> list[dict[str, Plain]]:
    """Rows as plain values by header; an estimate gives HEADER, HEADER_low and HEADER_high."""
    return [
        {
            key: value
            for column, cell in zip(table.columns, row, strict=True)
            for key, value in _plain(column.header, cell).items()
        }
        for row in table.rows
    ]


def _plain(header: str, cell: Cell) -> dict[str, Plain]:
    if isinstance(cell, Bounded):
        parts = {"least": cell.least, "most": cell.most, "low": cell.low, "high": cell.high}
        return {f"{header}_{part}": finite(value) for part, value in parts.items()}
    if isinstance(cell, Estimate):
        ends = {f"{header}_low": finite(cell.low), f"{header}_high": finite(cell.high)}
        return {header: finite(cell.value), **ends}
    return {header: finite(cell) if isinstance(cell, float) else cell}


def finite(value: float) -> float | None:
    """None for NaN and infinities, which JSON has not."""
    return float(value) if math.isfinite(value) else None


def _terminal_cell(cell: Cell, column: Column) -> str:
    value, ends = column.value(cell), column.interval(cell) if column.terminal == "full" else ""
    text = value if column.wrap else one_line(value)
    return _fitted(f"{text} {ends}".rstrip(), column)


def _fitted(text: str, column: Column) -> str:
    return text if column.max_cells is None else fitted(text, column.max_cells)
