"""Sources of samples on the command line: their options, and which of their models is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.readers import ModelCounts

SOURCE = "PATH, PATH@STEP or PATH#MODEL: a table (CSV, JSONL, Parquet), a folder of dumps, a run folder."
ColumnOption = Annotated[
    list[str] | None, typer.Option("--column", help="A column's name in the files: problem=task_id (repeatable).")
]
ThresholdOption = Annotated[
    float | None, typer.Option("--threshold", help="A sample is right if its score is at least this.")
]
SamplesOption = Annotated[
    int, typer.Option("--samples", min=1, help="Samples to draw a prompt from a lab run's exact probabilities.")
]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="Of bands and intervals.")]


def read(source: str, column: Sequence[str], threshold: float | None, samples: int) -> list[ModelCounts]:
    from rlvrscope.readers import Columns, read_models

    return read_models(source, Columns.parse(column), threshold, samples)


def read_all(
    base: str, trained: Sequence[str], column: Sequence[str], threshold: float | None, samples: int
) -> tuple[ModelCounts, list[ModelCounts]]:
    """The base, and every trained model; of a source that holds the base too, the others."""
    before = only_model(base, read(base, column, threshold, samples))
    after = [model for source in trained for model in others(before, read(source, column, threshold, samples))]
    return before, after


def others(base: ModelCounts, models: Sequence[ModelCounts]) -> Sequence[ModelCounts]:
    """The models that are not called as the base is; all, if there is but one."""
    rest = [model for model in models if model.name != base.name]
    return rest if len(models) > 1 and rest else models


def only_model(source: str, models: Sequence[ModelCounts]) -> ModelCounts:
    """The one model of a source, or the one that is called base."""
    from rlvrscope.tables.values import join_names

    named = [model for model in models if model.name == "base"] or models
    if len(named) > 1:
        raise InputError(
            f"{source} holds {len(models)} models, and one is needed: {source}#NAME with one of "
            f"{join_names(model.name for model in models)}"
        )
    return named[0]


def as_runs(models: Sequence[ModelCounts]) -> ModelCounts:
    """Models as training runs of one objective, each a seed. Raises InputError where they have seeds already."""
    from rlvrscope.readers import ModelCounts
    from rlvrscope.stats.counts import GroupCounts

    if any(model.counts.seed is not None for model in models):
        raise InputError(
            "--seeds makes every TRAINED a training run; these have a seed column already, so leave it out"
        )
    sides = [model.counts for model in models]
    counts = GroupCounts(
        problem=[problem for side in sides for problem in side.problem],
        n=[n for side in sides for n in side.n],
        c=[c for side in sides for c in side.c],
        seed=[number for number, side in enumerate(sides) for _ in side.problem],
        base=_all_or_none([side.base for side in sides]),
        cluster=_all_or_none([side.cluster for side in sides]),
    )
    return ModelCounts(f"{models[0].name} and {len(models) - 1} more", counts)


def _all_or_none(columns: Sequence[Sequence[str] | None]) -> list[str] | None:
    if any(column is None for column in columns):
        return None
    return [label for column in columns for label in column or ()]
