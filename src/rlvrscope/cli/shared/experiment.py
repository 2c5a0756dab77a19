"""What `rlvrscope demo` and `rlvrscope lab compare` share: run an experiment, report it, say what failed."""

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
    from rlvrscope.report.experiment.tables import (
        graded_table,
        pairs_table,
        ranking_table,
        summary_table,
        targets_table,
    )
    from rlvrscope.report.experiment.write import write_report


def run_and_report(recipe: Recipe, out: Path, workers: int, device: str, as_json: bool) -> None:
    """Run what is not done yet, write the page, print what was found. Exits with 1 if a run failed."""
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
        print_json(findings.as_dict())
    else:
        _print(findings)
        OUTPUT.print(f"\nThe page: {out / 'report.html'} ({time.monotonic() - started:.0f} s)")
    for failure in failures:
        MESSAGES.print(f"failed: {failure.job.name}: {failure.error}", style="red")
    if failures:
        MESSAGES.print("The others are kept; the same command tries these again.")
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
    _print_tables(findings)
    for found in (findings.on_training, findings):
        if found and found.graded:
            OUTPUT.print(f"\nCommon and optimal answers, {found.experiment.prompts}:")
            OUTPUT.print(graded_table(found))
    if findings.on_training:
        OUTPUT.print("\nThe same on training prompts:")
        _print_tables(findings.on_training)
    for sentence in findings.sentences:
        OUTPUT.print(f"- {sentence}")


def _print_tables(findings: Findings) -> None:
    OUTPUT.print(summary_table(findings))
    OUTPUT.print("\nAt equal pass@1, change from the base, mean over one common range of gains:")
    OUTPUT.print(ranking_table(findings))
    if findings.equal.pairs:
        OUTPUT.print("\nPairs at equal pass@1, each over its own range of gains:")
        OUTPUT.print(pairs_table(findings))
    OUTPUT.print("\nWhere pass@1 had risen by each declared gain:")
    OUTPUT.print(targets_table(findings))
