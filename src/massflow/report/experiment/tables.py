"""Tables for a terminal."""

from __future__ import annotations

from rich.table import Table

from massflow.report.experiment.findings import Findings, Model

COLUMNS = ("", "pass@1", "greedy", "entropy", "distinct", "pass@256", "change in pass@256")


def summary_table(findings: Findings) -> Table:
    """The base and every objective after training; fits 80 columns."""
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    table.add_row(*_scores(findings.base), "")
    for outcome in findings.outcomes:
        table.add_row(*_scores(outcome.model), f"{outcome.pass_at_256:+.3f}")
    return table


def _scores(model: Model) -> tuple[str, ...]:
    values = (model.pass_at_1, model.greedy_accuracy, model.token_entropy)
    return (
        model.name,
        *(f"{value:.3f}" for value in values),
        f"{model.distinct_correct:.1f}",
        f"{model.pass_at_256:.3f}",
    )
