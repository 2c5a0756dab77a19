"""One table, three renderings: every cell by hand, and hostile text."""

from __future__ import annotations

import csv
import io

from rich.console import Console

from rlvrscope.experiment.outcomes import Bounded, Estimate
from rlvrscope.report.html import to_html
from rlvrscope.report.table import Column, Table, facts_table, records, to_csv, to_rich

NAN = float("nan")
TABLE = Table(
    columns=(
        Column("", align="left", max_cells=8),
        Column("runs"),
        Column("change", form="+.3f"),
        Column("score", terminal="value"),
        Column("note", terminal="hidden"),
    ),
    rows=[
        ("grpo", 1024, Estimate(0.05, -0.01, 0.11), Estimate(0.5, 0.4, 0.6), "x"),
        ("a-very-long-name", None, Bounded(0.1, 0.2, -0.00001, 0.3), NAN, "x"),
        ("e", 3, Bounded(-0.00001, -0.00001, -0.3, 0.3), Estimate(0.5, NAN, NAN), "x"),
        ("f", 3, Estimate(NAN, NAN, NAN), 0.25, "x"),
    ],
    title="A title",
)


def printed(table: Table, width: int = 80) -> list[str]:
    text = io.StringIO()
    Console(width=width, file=text).print(to_rich(table))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_a_terminal_shows_values_with_intervals():
    assert printed(TABLE) == [
        "A title",
        "           runs                             change  score",
        "grpo      1,024            +0.050 [-0.010, +0.110]  0.500",
        "a-v…name      –  +0.100 to +0.200 [-0.000, +0.300]      –",
        "e             3             0.000 [-0.300, +0.300]  0.500",
        "f             3                                  –  0.250",
    ]


def test_a_page_shows_intervals_below_values():
    text = to_html(TABLE)
    assert "<h3>A title</h3>" in text
    assert '<td class="right">+0.050<br><span class="range">[-0.010, +0.110]</span></td>' in text
    assert '<td class="left">a-very-long-name</td><td class="right">–</td>' in text
    assert '<td class="right">0.500<br><span class="range">no interval</span></td>' in text
    assert text.count('<td class="right">x</td>') == 4, "columns hidden in a terminal are on the page"


def test_csv_holds_every_number_in_full():
    rows = list(csv.DictReader(io.StringIO(to_csv(Table(TABLE.columns[1:4], [TABLE.rows[0][1:4]])))))
    assert rows == [
        {
            "runs": "1024",
            "change": "0.05",
            "change_low": "-0.01",
            "change_high": "0.11",
            "score": "0.5",
            "score_low": "0.4",
            "score_high": "0.6",
        }
    ]


def test_records_hold_none_for_what_is_undefined():
    (row,) = records(Table((Column("a"), Column("b")), [(Estimate(0.5, NAN, NAN), NAN)]))
    assert row == {"a": 0.5, "a_low": None, "a_high": None, "b": None}


def test_facts_have_no_header():
    assert printed(facts_table([("python", "3.11")])) == ["python  3.11"]
    assert "<thead>" not in to_html(facts_table([("python", "3.11")]))


def test_hostile_cells_stay_text():
    evil = "[bold]x[/] [/] <script>\x1b[31m\nnext"
    table = Table((Column("a", align="left"),), [(evil,)])
    assert printed(table) == ["a", "[bold]x[/] [/] <script>\\x1b[31m\\nnext"]
    assert "&lt;script&gt;\\x1b[31m" in to_html(table)


def test_a_cell_that_a_spreadsheet_would_run_is_quoted():
    names = ["=cmd|' /C calc'!A1", "+1", "-x", "@SUM(A1)", "\t=1", "plain", "1=1"]
    table = Table((Column("=name"), Column("n")), [(name, -1.5) for name in names])
    header, *rows = csv.reader(io.StringIO(to_csv(table)))
    assert header == ["'=name", "n"]
    assert [row[0] for row in rows] == [f"'{name}" for name in names[:5]] + names[5:]
    assert {row[1] for row in rows} == {"-1.5"}
