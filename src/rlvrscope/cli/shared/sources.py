"""Sources of counts and samples on the command line: their options, and the choice of a model."""

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
    float | None, typer.Option("--threshold", help="A sample is correct if its score is at least this.")
]
SamplesOption = Annotated[
    int, typer.Option("--samples", min=1, help="Samples to draw for each prompt from a lab run's exact probabilities.")
]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="Confidence level of bands and intervals.")]


def read(source: str, column: Sequence[str], threshold: float | None, samples: int) -> list[ModelCounts]:
    from rlvrscope.readers import Columns, read_models

    return read_models(source, Columns.parse(column), threshold, samples)


def read_all(
    base: str, trained: Sequence[str], column: Sequence[str], threshold: float | None, samples: int
) -> tuple[ModelCounts, list[ModelCounts]]:
    """Return the base, and every trained model; a source that holds the base as well gives its other models."""
    base_model = only_model(base, read(base, column, threshold, samples))
    sources = [read(source, column, threshold, samples) for source in trained]
    return base_model, [model for models in sources for model in others(base_model, models)]


def others(base: ModelCounts, models: Sequence[ModelCounts]) -> Sequence[ModelCounts]:
    """Return the models with another name than the base's; all of them if none has, or if there is only one."""
    renamed = [model for model in models if model.name != base.name]
    return renamed if len(models) > 1 and renamed else models


def only_model(source: str, models: Sequence[ModelCounts]) -> ModelCounts:
    """Return the only model of a source, or the one named base. Raises InputError where neither exists."""
    from rlvrscope.tables.values import join_names

    named = [model for model in models if model.name == "base"] or models
    if len(named) > 1:
        raise InputError(
            f"{source} holds {len(models)} models, and one is needed: {source}#NAME with one of "
            f"{join_names(model.name for model in models)}"
        )
    return named[0]


def as_runs(models: Sequence[ModelCounts]) -> ModelCounts:
    """Combine models as training runs of one objective, one seed each. Raises InputError if they have seeds already."""
    from rlvrscope.readers import ModelCounts
    from rlvrscope.stats.counts import GroupCounts

    if any(model.counts.seed is not None for model in models):
        raise InputError(
            "--seeds makes every TRAINED a training run; these have a seed column already, so leave it out"
        )
    parts = [model.counts for model in models]
    counts = GroupCounts(
        problem=[problem for part in parts for problem in part.problem],
        n=[n for part in parts for n in part.n],
        c=[c for part in parts for c in part.c],
        seed=[number for number, part in enumerate(parts) for _ in part.problem],
        base=_all_or_none([part.base for part in parts]),
        cluster=_all_or_none([part.cluster for part in parts]),
    )
    return ModelCounts(f"{models[0].name} and {len(models) - 1} more", counts)


def _all_or_none(columns: Sequence[Sequence[str] | None]) -> list[str] | None:
    if any(column is None for column in columns):
        return None
    return [label for column in columns for label in column or ()]
