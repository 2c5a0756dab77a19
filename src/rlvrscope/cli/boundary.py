"""`rlvrscope boundary`: what training did to pass@k, with a verdict."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope.cli.shared.alarms import Alarm, raise_alarms
from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import JsonOption
from rlvrscope.cli.shared.outputs import check_outputs
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
    as_runs,
    read_all,
    read_one,
)
from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra

if TYPE_CHECKING:
    from rlvrscope.experiment.boundary import Boundary
    from rlvrscope.experiment.one_model import OneModel
    from rlvrscope.readers import ModelCounts

SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the draws.")]


@guarded
def boundary(
    base: Annotated[str, typer.Argument(metavar="BASE", help=f"The model before training. {SOURCE}")],
    trained: Annotated[
        list[str] | None,
        typer.Argument(metavar="TRAINED", help="Trained models, likewise; without any, only BASE's curve is shown."),
    ] = None,
    ks: Annotated[str | None, typer.Option("--k", help="Values of k: 1,8,256; by default 1, 2, 4, ...")] = None,
    confidence: ConfidenceOption = 0.95,
    this_set: Annotated[
        bool, typer.Option("--this-set", help="Intervals for new samples of these problems, not for new problems.")
    ] = False,
    pointwise: Annotated[bool, typer.Option("--pointwise", help="A separate band for each k.")] = False,
    margin: Annotated[float, typer.Option("--margin", help="Differences within it count as unchanged.")] = 0.01,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Treat all TRAINED as training runs of one objective.")
    ] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="Compare only the problems (and bases) that all models have.")
    ] = False,
    at_least_k: Annotated[
        bool, typer.Option("--at-least-k", help="At each k, compare only the problems with at least k samples.")
    ] = False,
    by: Annotated[
        str | None, typer.Option("--by", help="Also compare within each group of problems: a column, such as level.")
    ] = None,
    rank: Annotated[
        bool, typer.Option("--rank", help="Also compare all models with each other, and rank them.")
    ] = False,
    column: ColumnOption = None,
    threshold: ThresholdOption = None,
    right: RightOption = None,
    where: WhereOption = None,
    drop_copies: DropCopiesOption = False,
    samples: SamplesOption = 256,
    options: Annotated[
        int | None,
        typer.Option("--options", min=1, help="Answers to choose from; adds the guessing baseline."),
    ] = None,
    problem: Annotated[
        str | None, typer.Option("--problem", help="Only show the right answers to this problem, side by side.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Answers shown per model, with --problem.")] = 4,
    fail_if: Annotated[
        list[str] | None,
        typer.Option("--fail-if", help="Exit code 3 if a model has this verdict: shrunk, shrunk@256 (repeatable)."),
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option("--fail-under", help="Exit code 3 if a model's pass@k is lower: .4, .4@256 (repeatable)."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page: one offline file.")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write the curves as a picture (.png or .svg).")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.")] = None,
    seed: SeedOption = 0,
    resamples: Annotated[int, typer.Option("--resamples", min=2, help="Random draws of the bands.")] = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Compare pass@k of a base and of models trained from it: differences with bands, and a verdict for each k.

    Of a single model, show the curve with its band.
    """
    trained = trained or []
    comparing = {"--seeds": seeds, "--shared": shared, "--by": by, "--rank": rank, "--fail-if": fail_if}
    comparing |= {"--at-least-k": at_least_k}
    for option, value in comparing.items():
        if value and not trained:
            raise InputError(f"{option} compares models: name a TRAINED, or leave it out")
    alarms = [Alarm.parse("--fail-if", text) for text in fail_if or ()]
    alarms += [Alarm.parse("--fail-under", text) for text in fail_under or ()]
    paths = [path for path in (html, png, csv) if path]
    _check_outputs(paths, [base, *trained], png, problem)
    with needs_extra("report", "the report"):
        from rlvrscope.experiment.boundary import Boundary, Question
        from rlvrscope.experiment.breakdown import Breakdown
        from rlvrscope.experiment.one_model import OneModel
        from rlvrscope.experiment.ranking import Ranking
        from rlvrscope.report.boundary.write import as_dict, write_boundary
        from rlvrscope.stats.standard_errors import NEW_PROBLEMS, THIS_SET

    with MESSAGES.status("reading"):
        options_of = SourceOptions(column or (), threshold, right or (), where or (), drop_copies, samples, by)
        before, after = read_all(base, trained, options_of) if trained else (read_one(base, options_of), [])
        after = [as_runs(after)] if seeds and problem is None else after
    if problem is not None:
        _show_problem(problem, [before, *after], limit, as_json)
        return
    question = Question(
        ks=_parse_ks(ks),
        confidence=confidence,
        target=THIS_SET if this_set else NEW_PROBLEMS,
        simultaneous=not pointwise,
        margin=margin,
        seed=seed,
        resamples=resamples,
        options=options,
        at_least_k=at_least_k,
    )
    if not trained:
        _show_one(OneModel.of(before, question), alarms, (html, png, csv), base, as_json)
        return
    with MESSAGES.status("comparing"):
        comparison = Boundary.of(before, after, question, shared)
        for alarm in alarms:
            alarm.check_k(comparison.ks)
        comparison = replace(
            comparison,
            breakdown=None if by is None else Breakdown.of(comparison, by),
            ranking=Ranking.of(comparison) if rank else None,
        )
        write_boundary(comparison, html, png, csv, {"base": base, "trained": ", ".join(trained)})
    if as_json:
        print_json(as_dict(comparison))
    else:
        _print(comparison, ks is not None, paths)
    raise_alarms([reason for alarm in alarms for reason in alarm.reasons(comparison)])


def _show_one(
    one: OneModel,
    alarms: Sequence[Alarm],
    paths: tuple[Path | None, Path | None, Path | None],
    source: str,
    as_json: bool,
) -> None:
    """Print a model's curve. paths: of the page, the picture and the table."""
    from rlvrscope.report.boundary import one_model
    from rlvrscope.report.boundary.words import doubts, lines_read
    from rlvrscope.report.table import to_rich

    for alarm in alarms:
        alarm.check_k(one.ks)
    one_model.write_one(one, *paths, source)
    if as_json:
        print_json(one_model.as_dict(one))
    else:
        for lines, style in ((lines_read(one), "dim"), (doubts(one), "yellow")):
            for line in lines:
                OUTPUT.print(line, style=style)
        tables = [one_model.curve_table(one), *([one_model.sample_table(one)] if one.sample_facts else [])]
        for table in tables:
            OUTPUT.print(to_rich(table))
            OUTPUT.print()
        OUTPUT.print(one_model.conclusion(one))
        for note in one_model.notes(one):
            OUTPUT.print(note, style="dim")
        for path in filter(None, paths):
            OUTPUT.print(f"Written: {path}")
    raise_alarms([reason for alarm in alarms for reason in alarm.reasons_under(one.model.name, one.curve)])


def _check_outputs(paths: Sequence[Path], sources: Sequence[str], png: Path | None, problem: str | None) -> None:
    """Refuse, before anything is read, outputs that overwrite a source or each other, and other kinds of pictures."""
    from rlvrscope.readers.model_counts import Source

    if paths and problem is not None:
        raise InputError("--problem writes no file: leave out --html, --png and --csv")
    check_outputs(paths, [Source.parse(source).path for source in sources] if paths else [], png)


def _parse_ks(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        ks = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError(f"--k needs whole numbers separated by commas, such as 1,8,256; got {text!r}") from None
    if ks[0] < 1:
        raise InputError(f"every k must be 1 or more; got {ks[0]}")
    return tuple(ks)


def _print(comparison: Boundary, every_k: bool, paths: Sequence[Path]) -> None:
    from rlvrscope.report.boundary.tables import breakdown_tables, ranking_table, sample_table, verdict_table
    from rlvrscope.report.boundary.words import RANKING_NOTE, breakdown_note, conclusion, doubts, lines_read, notes
    from rlvrscope.report.table import to_rich

    for line in lines_read(comparison):
        OUTPUT.print(line, style="dim")
    for line in doubts(comparison):
        OUTPUT.print(line, style="yellow")
    for name in comparison.trained:
        OUTPUT.print(to_rich(verdict_table(comparison, name)))
        OUTPUT.print()
        if comparison.sample_facts:
            OUTPUT.print(to_rich(sample_table(comparison, name)))
            OUTPUT.print()
    ranking = [ranking_table(comparison.ranking, every_k)] if comparison.ranking else []
    for table in [*breakdown_tables(comparison, every_k), *ranking]:
        OUTPUT.print(to_rich(table))
        OUTPUT.print()
    for name in comparison.trained:
        OUTPUT.print(conclusion(comparison, name))
    more = [breakdown_note(comparison.breakdown)] if comparison.breakdown else []
    more += [RANKING_NOTE] if comparison.ranking else []
    for note in [*notes(comparison), *more]:
        OUTPUT.print(note, style="dim")
    for path in paths:
        OUTPUT.print(f"Written: {path}")


def _show_problem(problem: str, models: Sequence[ModelCounts], limit: int, as_json: bool) -> None:
    """Print the right answers of all models to one problem."""
    from rlvrscope.experiment.boundary import by_unique_name
    from rlvrscope.report.boundary.tables import answers_table
    from rlvrscope.tables.values import join_names

    by_name = by_unique_name(models)
    for name, model in by_name.items():
        known = model.counts.problems
        if problem not in known:
            close = difflib.get_close_matches(problem, known, n=5, cutoff=0.5)
            hint = f"Nearest: {join_names(close)}" if close else f"It has {join_names(known)}"
            raise InputError(f"{join_names([name])} has no problem {problem!r}. {hint}")
    if not any(model.has_texts for model in by_name.values()):
        raise InputError("these sources hold no texts: --problem needs one row per sample, with a text column")
    if as_json:
        texts = {name: model.texts(problem, limit, correct=True) for name, model in by_name.items()}
        print_json({"problem": problem, "right": {name: list(map(asdict, rows)) for name, rows in texts.items()}})
    else:
        table = answers_table(problem, by_name, limit)
        table.expand = OUTPUT.is_terminal
        OUTPUT.print(table)
