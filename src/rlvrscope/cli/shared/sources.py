"""Sources of counts and samples on the command line: their options, and the choice of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from rlvrscope.readers import ModelCounts, ReadOptions

SOURCE = "PATH, PATH@STEP, PATH#MODEL or NAME=PATH: a table, a tool's samples, a folder of them, a store, a run folder."
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", help="A column's name in the files: problem=task_id, NAME:problem=task_id (repeatable)."),
]
ThresholdOption = Annotated[
    float | None, typer.Option("--threshold", help="A sample is correct if its score is at least this.")
]
RightOption = Annotated[
    list[str] | None, typer.Option("--right", help="A value of the verdicts that means right: C (repeatable).")
]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="Read only rows with this value: filter=strict-match (repeatable).")
]
DropCopiesOption = Annotated[bool, typer.Option("--drop-copies", help="Count each text of a problem once.")]
SamplesOption = Annotated[
    int, typer.Option("--samples", min=1, help="Samples to draw for each prompt from a lab run's exact probabilities.")
]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="Confidence level of bands and intervals.")]


@dataclass(frozen=True)
class SourceOptions:
    """The options of a command that reads sources, as typed."""

    column: Sequence[str] = ()
    threshold: float | None = None
    right: Sequence[str] = ()
    where: Sequence[str] = ()
    drop_copies: bool = False
    samples: int = 256
    by: str | None = None

    def of(self, name: str, names: Sequence[str]) -> ReadOptions:
        """Return the options for one source. A column map NAME:problem=task_id is for the source of this name alone."""
        from rlvrscope.readers import Columns, ReadOptions

        pairs = []
        for pair in self.column:
            source = max((known for known in names if pair.startswith(f"{known}:")), key=len, default=None)
            before, colon, _ = pair.partition(":")
            if source is None and colon and "=" not in before:
                raise InputError(f"--column {pair}: there is no source {before!r}. {did_you_mean(before, names)}")
            if source in (None, name):
                pairs.append(pair if source is None else pair[len(source) + 1 :])
        return ReadOptions(
            columns=Columns.parse(pairs),
            threshold=self.threshold,
            right=tuple(self.right),
            where=tuple(_where(pair) for pair in self.where),
            by=self.by,
            drop_copies=self.drop_copies,
            samples=self.samples,
        )


def read_sources(texts: Sequence[str], options: SourceOptions) -> list[list[ModelCounts]]:
    """Read the models of each source."""
    from rlvrscope.readers import Source, read_models
    from rlvrscope.readers.source import with_distinct_names

    sources = with_distinct_names([Source.parse(text) for text in texts])
    names = [source.name for source in sources]
    return [read_models(source, options.of(source.name, names)) for source in sources]


def read_all(base: str, trained: Sequence[str], options: SourceOptions) -> tuple[ModelCounts, list[ModelCounts]]:
    """Return the base, and every trained model; a source that holds the base as well gives its other models."""
    first, *rest = read_sources([base, *trained], options)
    base_model = only_model(base, first)
    return base_model, [model for models in rest for model in others(base_model, models)]


def read_one(source: str, options: SourceOptions) -> ModelCounts:
    """Return the only model of a source. Raises InputError where there are several."""
    from rlvrscope.tables.values import join_names

    models = read_sources([source], options)[0]
    if len(models) > 1:
        raise InputError(
            f"{source} holds {len(models)} models: name one, {source}#NAME with one of "
            f"{join_names(model.name for model in models)}, or compare those with one called base: {source} {source}"
        )
    return models[0]


def _where(pair: str) -> tuple[str, str]:
    column, equals, value = pair.partition("=")
    if not equals or not column or not value:
        raise InputError(f"--where takes COLUMN=VALUE, such as filter=strict-match; got {pair!r}")
    return column, value


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
    accounts = tuple(dict.fromkeys(account for model in models for account in model.accounts))
    groups = {problem: group for model in models for problem, group in model.groups.items()}
    return ModelCounts(f"{models[0].name} and {len(models) - 1} more", counts, groups=groups, accounts=accounts)


def _all_or_none(columns: Sequence[Sequence[str] | None]) -> list[str] | None:
    if any(column is None for column in columns):
        return None
    return [label for column in columns for label in column or ()]
