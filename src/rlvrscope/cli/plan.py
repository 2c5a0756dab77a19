"""`rlvrscope plan`: how many problems and samples would settle a difference."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rlvrscope.cli.shared.console import OUTPUT, print_json
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import JsonOption
from rlvrscope.cli.shared.sources import (
    SOURCE,
    ColumnOption,
    ConfidenceOption,
    SamplesOption,
    ThresholdOption,
    only_model,
    others,
    read,
)


@guarded
def plan(
    pilot: Annotated[str, typer.Argument(metavar="PILOT", help=f"A pilot of the base. {SOURCE}")],
    trained: Annotated[
        str | None, typer.Argument(metavar="[TRAINED]", help="A pilot of the trained model: measures what is assumed.")
    ] = None,
    difference: Annotated[float, typer.Option("--difference", help="The difference in pass@k to settle.")] = 0.02,
    k: Annotated[int, typer.Option("--k", min=1, help="The k of pass@k.")] = 256,
    confidence: ConfidenceOption = 0.95,
    power: Annotated[float, typer.Option("--power", help="How often a true difference should be settled.")] = 0.8,
    correlation: Annotated[
        float, typer.Option("--correlation", help="Of the two models' pass@k over problems, without a second pilot.")
    ] = 0.9,
    column: ColumnOption = None,
    threshold: ThresholdOption = None,
    samples: SamplesOption = 256,
    as_json: JsonOption = False,
) -> None:
    """Say how many problems and samples would settle a difference in pass@k, judging from a pilot."""
    from rlvrscope.report.boundary.tables import plan_table
    from rlvrscope.stats import plan as plan_for

    first = only_model(pilot, read(pilot, column or (), threshold, samples))
    second = None
    if trained is not None:
        second = only_model(trained, others(first, read(trained, column or (), threshold, samples)))
    found = plan_for(
        first.counts,
        difference,
        k,
        None if second is None else second.counts,
        confidence=confidence,
        power=power,
        correlation=correlation,
    )
    if as_json:
        print_json({"format_version": 1, **asdict(found)})
        return
    OUTPUT.print(
        f"To settle a difference of {difference:g} in pass@{k} ({confidence:.0%} confidence, {power:.0%} power) by "
        f"`rlvrscope boundary ... --k {k}`, one trained model and training run:",
    )
    OUTPUT.print(plan_table(found))
    if found.spread_k is None:
        basis = (
            f"assuming that both models' pass@{k} correlate by {correlation:g} over problems; a pilot of the trained "
        )
        basis += "model, as second argument, measures it"
    else:
        basis = f"the true difference varies over problems by {found.spread:.3f} (measured at k = {found.spread_k})"
    OUTPUT.print(f"Last column: the difference that as many problems as the pilot has would settle. Basis: {basis}.")
