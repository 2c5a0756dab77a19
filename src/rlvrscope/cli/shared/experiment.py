"""Run an experiment and report it: shared by `rlvrscope demo` and `rlvrscope lab compare`."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from rlvrscope import config
from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json
from rlvrscope.extras import needs_extra
from rlvrscope.runs import RunFolder

# Late: torch and the charts take a second or two.
with needs_extra("lab", "the lab"):
    from rlvrscope.cli.shared.progress import ExperimentTable, duration
    from rlvrscope.experiment.estimate import estimated_seconds
    from rlvrscope.experiment.plan import Plan, PlannedRun
    from rlvrscope.experiment.runner import raise_failures, run_experiment
    from rlvrscope.experiment.tuning import Tuning
    from rlvrscope.lab.device import check_device
    from rlvrscope.lab.recipe import Recipe
with needs_extra("report", "the report"):
    from rlvrscope.experiment.findings import Findings
    from rlvrscope.report.experiment.tables import graded_tables, result_tables
    from rlvrscope.report.experiment.words import sentences
    from rlvrscope.report.experiment.write import summary, write_report
    from rlvrscope.report.table import to_rich


def run_and_report(recipe: Recipe, out: Path, workers: int, device: str, as_json: bool) -> None:
    """Do the missing runs, write the report and print its tables. Exits with 1 if a run failed."""
    started = time.monotonic()
    check_device(device)
    RunFolder(out).claim(config.dumps(recipe))
    plan = Plan.of(recipe, out)
    todo = _announced(plan, workers, device)
    with ExperimentTable({run.name: run.recipe.train.steps for run in todo}) as table:
        failures = run_experiment(recipe, out, workers, device, table.on_event)
    runs = plan.runs()
    if not any(run.folder.done for run in runs):
        raise_failures(failures, len(runs), "runs")
    with MESSAGES.status("writing the report"):
        findings = write_report(out)
    _warn_of_edges(out / "tuning.json")
    if as_json:
        print_json(summary(findings))
    else:
        _print(findings)
        OUTPUT.print(f"Report: {out / 'report.html'} ({time.monotonic() - started:.0f} s)")
    for failure in failures:
        MESSAGES.print(f"failed: {failure.job.name}: {failure.error}", style="red")
    if failures:
        MESSAGES.print("Finished runs are kept; run the same command again to retry the failed ones.")
        raise typer.Exit(1)


def _announced(plan: Plan, workers: int, device: str) -> list[PlannedRun]:
    """Return the runs to do, after printing their number and the estimated time."""
    runs = plan.runs()
    if all(run.folder.done for run in runs):
        return []
    todo = [run for run in [*plan.tuning_runs, *runs] if not run.folder.done]
    with MESSAGES.status("timing a step"):
        seconds = estimated_seconds(todo, workers, device)
    num_tuning = sum(run in todo for run in plan.tuning_runs)
    tuning = f" ({num_tuning} of them to tune learning rates)" if plan.tuning else ""
    plural = "s" if workers > 1 else ""
    MESSAGES.print(f"{len(todo)} runs to do{tuning}: about {duration(seconds)} with {workers} worker{plural}.")
    return todo


def _warn_of_edges(path: Path) -> None:
    for arm, rates in Tuning.read(path).arms.items() if path.exists() else ():
        if rates.edge:
            MESSAGES.print(
                f"{arm}: the {rates.edge} learning rate of the grid was best, so a rate beyond the grid may be better",
                highlight=False,
            )


def _print(findings: Findings) -> None:
    tables = [*result_tables(findings), *graded_tables(findings)]
    if findings.on_training:
        tables += result_tables(findings.on_training)
    for table in tables:
        OUTPUT.print(to_rich(table))
        OUTPUT.print()
    for sentence in sentences(findings):
        OUTPUT.print(f"- {sentence}")
