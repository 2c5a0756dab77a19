"""Tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.outcomes import Entry, Graded, Model, label, shown
from rlvrscope.report.text import one_line
from rlvrscope.stats.frontier import Seconds

COLUMNS = ("", "pass@1", "greedy", "entropy", "distinct", "pass@256", "change in pass@256")
NAME_WIDTH, WIDE_NAME = 14, 30


def summary_table(findings: Findings) -> Table:
    """The base and every arm after training."""
    table = _table(COLUMNS)
    table.add_row(*_scores(findings.base), "")
    for outcome in findings.outcomes:
        table.add_row(*_scores(outcome.model), shown(outcome.pass_at_256.value, "+.3f"))
    for arm in findings.experiment.missing_arms:
        table.add_row(one_line(label(arm), NAME_WIDTH), *["–"] * (len(COLUMNS) - 1))
    return table


def ranking_table(findings: Findings) -> Table:
    """Every arm and baseline by one number: the change in pass@256 over the common range of gains."""
    common = findings.equal.common
    table = _table(("", f"pass@256, gains\n{common}" if common else "pass@256", "95 % interval", "reached"))
    for entry in ranked(findings.equal.entries):
        change = entry.change
        cells = ("–", "–") if change is None else (change.text("+.3f"), change.ends("+.3f"))
        reached = "–" if entry.reached is None else f"{entry.reached}/{entry.runs}"
        table.add_row(one_line(entry.label, WIDE_NAME), *cells, reached)
    for arm in findings.experiment.missing_arms:
        table.add_row(one_line(label(arm), WIDE_NAME), "–", "–", "–")
    return table


def pairs_table(findings: Findings) -> Table:
    """The stated pairs, each over its own range of gains."""
    table = _table(("", "pass@256", "95 % interval", "gains"))
    for pair in findings.equal.pairs:
        own = pair.own
        cells = (
            (shown(own.difference.value, "+.3f"), own.difference.ends("+.3f"), str(own.span))
            if own
            else ("–", "–", "–")
        )
        table.add_row(one_line(pair.label, WIDE_NAME), *cells)
    return table


def targets_table(findings: Findings) -> Table:
    """Every arm, and the cooled base, at each declared gain."""
    table = _table(("", "gain", "reached", "pass@256", "CPU s"))
    for entry in findings.equal.entries:
        for index, target in enumerate(entry.targets if entry.of is None else ()):
            name = one_line(entry.label, WIDE_NAME) if index == 0 else ""
            reached = f"{target.reached}/{target.runs}"
            seconds = seconds_text(target.seconds, ".0f")
            table.add_row(name, f"+{target.gain:g}", reached, target.pass_at_256.text(".3f"), seconds)
    return table


def ranked(entries: Sequence[Entry]) -> list[Entry]:
    """By the change over the common range, the largest first; those that are only bounded at the end."""
    return sorted(
        entries, key=lambda entry: (1, 0.0) if not (entry.change and entry.change.known) else (0, -entry.change.most)
    )


def seconds_text(seconds: Seconds | None, form: str) -> str:
    """A median of CPU seconds, or its bound."""
    return "–" if seconds is None else f"{'' if seconds.known else '≥ '}{seconds.least:{form}}"


GRADED_HEADS = ("", "common", "optimal", "lowest", "at step", "pass@256\nof optimal", "over-\ntaken", "extinct")


def graded_table(findings: Findings) -> Table:
    """What became of common and of optimal answers, where rewards are graded: masses, then shares of prompts."""
    table = _table(GRADED_HEADS)
    for graded in findings.graded:
        table.add_row(one_line(label(graded.arm), NAME_WIDTH), *graded_cells(graded))
    return table


def graded_cells(graded: Graded) -> tuple[str, ...]:
    (common, common_end), (start, lowest, end) = graded.common, graded.optimal
    return (
        f"{common:.2f}>{common_end:.2f}",
        f"{start:.3f}>{end:.3f}",
        f"{lowest:.3f}",
        str(graded.lowest_step),
        ">".join(f"{value:.2f}" for value in graded.boundary),
        f"{graded.overtaken:.2f}",
        f"{graded.extinct:.2f}",
    )


def _table(columns: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table


def _scores(model: Model) -> tuple[str, ...]:
    values = (model.pass_at_1, model.greedy_accuracy, model.token_entropy)
    return (
        one_line(model.label, NAME_WIDTH),
        *("–" if value is None else f"{value:.3f}" for value in values),
        f"{model.distinct_correct:.1f}",
        f"{model.pass_at_256:.3f}",
    )
