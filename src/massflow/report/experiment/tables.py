"""Tables for a terminal of 80 columns."""

from __future__ import annotations

from rich.table import Table

from massflow.report.experiment.findings import Findings
from massflow.report.experiment.numbers import Graded, Model, Outcome, Target, label
from massflow.report.text import one_line

COLUMNS = ("", "pass@1", "greedy", "entropy", "distinct", "pass@256", "change in pass@256")
NAME_WIDTH = 14


def summary_table(findings: Findings) -> Table:
    """The base and every arm after training."""
    table = _table(COLUMNS)
    table.add_row(*_scores(findings.base), "")
    for outcome in findings.outcomes:
        table.add_row(*_scores(outcome.model), f"{outcome.pass_at_256:+.3f}")
    return table


def frontier_table(findings: Findings) -> Table:
    """Every arm at equal pass@1: against the first over the range all reach, and at each declared gain."""
    against = one_line(findings.outcomes[0].model.label, NAME_WIDTH)
    table = _table(("", f"against {against}", "up to", "gain", "reached", "pass@256", "CPU s"))
    for outcome in findings.outcomes:
        for index, target in enumerate(outcome.targets):
            head = _compared(outcome) if index == 0 else ("", "", "")
            table.add_row(*head, *_target(target))
    return table


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
        *(f"{value:.3f}" for value in values),
        f"{model.distinct_correct:.1f}",
        f"{model.pass_at_256:.3f}",
    )


def _compared(outcome: Outcome) -> tuple[str, ...]:
    name = one_line(outcome.model.label, NAME_WIDTH)
    if outcome.matched is None:
        return name, "", ""
    return name, f"{outcome.matched.difference:+.3f}", f"+{outcome.matched.upto:.3f}"


def _target(target: Target) -> tuple[str, ...]:
    seconds = "" if target.cpu_seconds is None else f"{target.cpu_seconds:.0f}"
    return f"+{target.gain:g}", f"{target.reached}/{target.runs}", target.pass_at_256.text(".2f"), seconds
