"""`rlvrscope demo`: rival objectives on a tiny language model, in minutes."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import DeviceOption, JsonOption, OutOption, SetOption, WorkersOption
from rlvrscope.cli.shared.recipes import load_to_run


@guarded
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="A smaller base, two objectives, one seed.")] = False,
    out: OutOption = Path("rlvrscope-demo"),
    overrides: SetOption = None,
    workers: WorkersOption = 2,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train a tiny language model with rival objectives, and report what happened to its boundary.

    Writes a run folder with report.html, charts (PNG, SVG) and all numbers.
    """
    from rlvrscope.cli.shared.experiment import run_and_report
    from rlvrscope.lab.recipe import Recipe

    with as_file(files("rlvrscope") / "recipes" / ("demo-quick.toml" if quick else "demo.toml")) as path:
        recipe = load_to_run(path, Recipe, overrides or ())
    run_and_report(recipe, out, workers, device, as_json)
