"""`massflow demo`: the whole idea on a real, tiny language model, in minutes."""

from __future__ import annotations

import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from massflow import config
from massflow.cli.guard import (
    MESSAGES,
    OUTPUT,
    DeviceOption,
    JsonOption,
    OutOption,
    SetOption,
    WorkersOption,
    guarded,
    print_json,
)
from massflow.extras import needs_extra


@guarded
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="A smaller base, two objectives, one seed.")] = False,
    out: OutOption = Path("massflow-demo"),
    overrides: SetOption = None,
    workers: WorkersOption = 2,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train a tiny language model with rival objectives; show what happened to its boundary.

    Leaves a run folder with report.html, charts (PNG, SVG) and every number.
    """
    with needs_extra("lab", "the lab"):
        from massflow.cli.progress import ExperimentTable
        from massflow.lab.experiment import run_experiment
        from massflow.lab.recipe import Recipe
    with needs_extra("report", "the report"):
        from massflow.report.experiment.tables import summary_table
        from massflow.report.experiment.write import write_report

    started = time.monotonic()
    with as_file(files("massflow") / "recipes" / ("demo-quick.toml" if quick else "demo.toml")) as path:
        recipe = config.load(path, Recipe, overrides or ())
    with ExperimentTable(MESSAGES) as table:
        run_experiment(recipe, out, workers, device, table.on_event)
    with MESSAGES.status("writing the report"):
        findings = write_report(out)
    if as_json:
        print_json(findings.as_dict())
    else:
        OUTPUT.print(summary_table(findings))
        for sentence in findings.sentences:
            OUTPUT.print(f"- {sentence}", highlight=False)
        OUTPUT.print(f"\nThe page: {out / 'report.html'} ({time.monotonic() - started:.0f} s)", highlight=False)
