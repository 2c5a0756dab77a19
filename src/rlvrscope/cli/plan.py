"""`rlvrscope plan`: problems and samples needed to settle a difference."""

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
    DropCopiesOption,
    RightOption,
    SamplesOption,
    SourceOptions,
    ThresholdOption,
    WhereOption,
    only_model,
    others,
    read_sources,
)


@guarded
def plan(
    pilot: Annotated[str, typer.Argument(metavar="PILOT", help=f"A pilot of the base. {SOURCE}")],
    trained: Annotated[
        str | None, typer.Argument(metavar="[TRAINED]", help="A pilot of the trained model; replaces --correlation.")
    ] = None,
    difference: Annotated[float, typer.Option("--difference", help="The difference in pass@k to settle.")] = 0.02,
    k: Annotated[int, typer.Option("--k", min=1, help="The k of pass@k.")] = 256,
    confidence: ConfidenceOption = 0.95,
    power: Annotated[float, typer.Option("--power", help="Probability of settling a true difference.")] = 0.8,
    correlation: Annotated[
        float, typer.Option("--correlation", help="Correlation of both models' pass@k over problems, without TRAINED.")
    ] = 0.9,
    column: ColumnOption = None,
    threshold: ThresholdOption = None,
    right: RightOption = None,
    where: WhereOption = None,
    drop_copies: DropCopiesOption = False,
    samples: SamplesOption = 256,
    as_json: JsonOption = False,
) -> None:
    """Plan problems and samples to settle a difference in pass@k, from a pilot."""
    from rlvrscope.report.boundary.tables import plan_table
    from rlvrscope.report.table import to_rich
    from rlvrscope.stats import plan as plan_for

    options = SourceOptions(column or (), threshold, right or (), where or (), drop_copies, samples)
    first_models, *rest = read_sources([pilot, *filter(None, [trained])], options)
    first = only_model(pilot, first_models)
    second = only_model(trained, others(first, rest[0])).counts if trained is not None else None
    sizes = plan_for(first.counts, difference, k, second, confidence=confidence, power=power, correlation=correlation)
    if as_json:
        print_json({"format_version": 1, **asdict(sizes)})
        return
    OUTPUT.print(
        f"To detect a difference of {difference:g} in pass@{k} ({confidence:.0%} confidence, {power:.0%} power) with "
        f"`rlvrscope boundary ... --k {k}`, for one trained model from one training run:"
    )
    OUTPUT.print(to_rich(plan_table(sizes)))
    if sizes.spread_k is None:
        basis = (
            f"Assumed: pass@{k} of both models correlates by {correlation:g} over problems. A pilot of the trained "
            "model, as second argument, measures this."
        )
    else:
        basis = (
            f"Measured at k = {sizes.spread_k}: the true difference varies over problems with a standard deviation of "
            f"{sizes.spread:.3f}."
        )
    if sizes.cluster_factor > 1.0:
        basis += f" Clusters raise its variance {sizes.cluster_factor:.2f} times; the plan is in whole clusters."
    OUTPUT.print(f"Last column: the difference that as many problems as the pilot has can detect. {basis}")
