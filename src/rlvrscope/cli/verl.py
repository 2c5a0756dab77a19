"""`rlvrscope verl`: train on a cluster with verl, from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rlvrscope.cli.shared.console import MESSAGES, say
from rlvrscope.cli.shared.guard import guarded, on_interrupt
from rlvrscope.cli.shared.options import SetOption
from rlvrscope.cli.shared.recipes import load_to_run


@guarded
def verl(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe of a verl run.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OVERRIDE]...", help="Overrides of verl's configuration: trainer.nnodes=2."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder; the same command continues in it.")] = None,
    changes: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print verl's configuration, validated by verl, and stop.")
    ] = False,
) -> None:
    """Train with verl: Ray, FSDP and its rollout engine. Needs its own environment (docs: verl).

    Checks the recipe, the plug-in and the machine before Ray starts. The folder then has verl's metrics, one file per
    attempt (rlvrscope monitor), its samples (rlvrscope boundary) and its checkpoints (rlvrscope probe).
    """
    from rlvrscope.adapters.verl import launch
    from rlvrscope.adapters.verl.configuration import as_yaml
    from rlvrscope.adapters.verl.recipe import VerlRecipe

    settings = launch.with_overrides(load_to_run(recipe, VerlRecipe, changes or ()), overrides or [])
    folder = out or Path("out") / settings.name
    if dry_run:
        say(as_yaml(launch.resolved(settings, folder)))
        return
    MESSAGES.print(f"run folder: {folder}; follow it: rlvrscope monitor {folder} --follow")
    with on_interrupt():
        launch.run(settings, folder)
    say(f"Run folder: {folder}")
