"""`rlvrscope trl`: train a real model with TRL's GRPOTrainer, by a recipe, into a run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvrscope.cli.shared.console import MESSAGES, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import DeviceOption, JsonOption, OutOption, SetOption
from rlvrscope.cli.shared.progress import duration
from rlvrscope.cli.shared.recipes import load_to_run
from rlvrscope.extras import needs_extra

if TYPE_CHECKING:
    from rlvrscope.adapters.trl.run import OnStep


@guarded
def trl(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe.")],
    out: OutOption,
    overrides: SetOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train with TRL by a recipe. Resumable: after a kill the same command continues from the last checkpoint.

    For several processes: torchrun --nproc_per_node 2 -m rlvrscope trl RECIPE --out DIR
    """
    from rlvrscope.adapters.trl.recipe import TrlRecipe
    from rlvrscope.cli.shared.training_prompts import training_prompts

    settings = load_to_run(recipe, TrlRecipe, overrides or ())
    with needs_extra("trl", "training with TRL"):
        from rlvrscope.adapters.trl.run import train
        from rlvrscope.lab.device import check_device

        check_device(device)
        with training_prompts(settings.task.model_dump()) as prompts:
            train(settings, prompts, out, device, _reporter())
    if as_json:
        print_json({"format_version": 1, "run": str(out), "model": str(out / "final")})
        return
    say(f"Run folder: {out}")
    say(f"Stages and alarms: rlvrscope monitor {out}")
    if settings.evaluate is not None:
        say(f"Boundary: rlvrscope boundary {out}@0 {out}")
    say(f"All of it on a page: rlvrscope report {out} --html page.html")


def _reporter() -> OnStep:
    """Print a line for each step with what it showed, and the time left."""
    from rlvrscope.runs.rows import ADAPTER_PREFIX

    started: list[float] = []

    def report(step: int, total: int, logs: Mapping[str, Any]) -> None:
        started.append(time.monotonic())
        seconds = (started[-1] - started[0]) / max(1, len(started) - 1)
        left = f", about {duration(seconds * (total - step))} left" if len(started) > 1 and step < total else ""
        named = {"reward": "reward", "pass@G": f"{ADAPTER_PREFIX}pass_at_group", "entropy": "entropy"}
        shown = [f"{name} {logs[key]:.3f}" for name, key in named.items() if logs.get(key) is not None]
        MESSAGES.print(f"step {step} of {total}: {', '.join(shown)}{left}")

    return report
