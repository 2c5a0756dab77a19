"""`rlvrscope wise`: interpolate between the weights of a base and a trained model, and score exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvrscope import config
from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import DeviceOption, JsonOption
from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.report.table import Column, Table, to_rich

if TYPE_CHECKING:
    from rlvrscope.runs import EvaluationRow

ALPHAS = (0.25, 0.5, 0.75)
SOURCE = "a lab checkpoint (.safetensors) or a run folder."


@guarded
def wise(
    base: Annotated[Path, typer.Argument(metavar="BASE", help=f"The model before training: {SOURCE}")],
    trained: Annotated[Path, typer.Argument(metavar="TRAINED", help=f"The model after training: {SOURCE}")],
    alpha: Annotated[
        list[float] | None, typer.Option("--alpha", help="Share of TRAINED (repeatable); default: .25, .5, .75.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="Task and evaluation, if neither is a run folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the checkpoint of one --alpha.")] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Interpolate the weights of a base and a trained model (WiSE-FT); score each mixture exactly.

    The base (alpha 0) and the trained model (alpha 1) are scored too. Scores are on the recipe's held-out prompts.
    """
    with needs_extra("lab", "the lab"):
        from rlvrscope.lab.device import check_device
        from rlvrscope.lab.recipe import Recipe
        from rlvrscope.lab.wise import check_pair, interpolate, read_source, save_mixture, score

    if out is not None and len(alpha or ()) != 1:
        raise InputError(f"--out writes one mixture, so it needs one --alpha; got {len(alpha or ())}")
    checked_device = check_device(device)
    before, after = read_source(base, checked_device), read_source(trained, checked_device)
    settings = config.load(recipe, Recipe) if recipe is not None else after.recipe or before.recipe
    if settings is None:
        raise InputError(f"neither {base} nor {trained} is a run folder with a recipe: give --recipe RECIPE")
    check_pair(before, after, settings)
    alphas = sorted({0.0, 1.0, *(alpha or ALPHAS)})
    mixtures = {share: interpolate(before.model, after.model, share) for share in alphas}
    if out is not None and alpha:
        save_mixture(out, mixtures[alpha[0]], alpha[0], (before, after))
    with MESSAGES.status("scoring") as status:
        scored = score(settings, before.model, mixtures, lambda share: status.update(f"scoring alpha {share:g}"))
    rows = [_summary(share, row) for share, row in scored.items()]
    if as_json:
        files = {"base": str(base), "trained": str(trained), "checkpoint": None if out is None else str(out)}
        print_json({"format_version": 2, **files, "prompts": settings.evaluate.prompts, "rows": rows})
        return
    OUTPUT.print(to_rich(_table(rows)))
    if out is not None:
        say(f"Checkpoint: {out}")


def _summary(alpha: float, row: EvaluationRow) -> dict[str, Any]:
    from rlvrscope.lab.recipe import BOUNDARY_K
    from rlvrscope.runs import at_temperature
    from rlvrscope.stats import pass_at_k_exact

    score, ks = at_temperature(row.held_out), (1, 8, BOUNDARY_K)
    passes = pass_at_k_exact(score.success_P, ks).mean(axis=0)
    return {
        "alpha": alpha,
        "pass_at_k": {str(k): float(value) for k, value in zip(ks, passes, strict=True)},
        "distinct_correct": score.distinct_correct,
        "entropy": row.entropy,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    """Table that fits 80 columns."""
    scores = ("distinct_correct", "entropy")
    columns = (
        Column("alpha", "g"),
        *(Column(f"pass@{k}") for k in rows[0]["pass_at_k"]),
        Column("distinct", ".1f"),
        Column("entropy"),
    )
    cells = [(row["alpha"], *row["pass_at_k"].values(), *(row[score] for score in scores)) for row in rows]
    return Table(columns, cells)
