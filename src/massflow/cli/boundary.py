"""`massflow boundary`: what training did to pass@k, with a verdict; `massflow plan`: what would settle it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from massflow.cli.guard import MESSAGES, OUTPUT, JsonOption, guarded, print_json
from massflow.errors import InputError
from massflow.extras import needs_extra

if TYPE_CHECKING:
    from massflow.report.boundary.findings import Boundary
    from massflow.sampling import ModelCounts

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
SeedOption = Annotated[int, typer.Option("--seed", help="Of the resampling.")]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="Of bands and intervals.")]


@guarded
def boundary(
    base: Annotated[str, typer.Argument(metavar="BASE", help=f"The model before training. {SOURCE}")],
    trained: Annotated[list[str], typer.Argument(metavar="TRAINED...", help="One or more trained models, likewise.")],
    ks: Annotated[str | None, typer.Option("--k", help="The ks: 1,8,256. By default 1, 2, 4, ... samples.")] = None,
    confidence: ConfidenceOption = 0.95,
    this_set: Annotated[
        bool, typer.Option("--this-set", help="Intervals over other samples of these problems, not over new problems.")
    ] = False,
    pointwise: Annotated[bool, typer.Option("--pointwise", help="A band for each k by itself.")] = False,
    margin: Annotated[float, typer.Option("--margin", help="Differences within it are no change.")] = 0.01,
    shared: Annotated[bool, typer.Option("--shared", help="Compare the problems that all models have.")] = False,
    column: ColumnOption = None,
    threshold: ThresholdOption = None,
    samples: SamplesOption = 256,
    options: Annotated[
        int | None, typer.Option("--options", min=1, help="Answers to choose from: adds the guessing baseline.")
    ] = None,
    problem: Annotated[
        str | None, typer.Option("--problem", help="Show the right answers to this problem side by side instead.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Answers shown of each model, with --problem.")] = 4,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page, one offline file.")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write the curves as a picture (.png or .svg).")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare pass@k of a base and of what was trained from it: differences with bands, and a verdict for each k."""
    written = [path for path in (html, png, csv) if path]
    _check_outputs(written, [base, *trained], png, problem)
    with needs_extra("report", "the report"):
        from massflow.report.boundary.findings import Boundary, Question
        from massflow.report.boundary.plain import as_dict
        from massflow.stats.variation import NEW_PROBLEMS, THIS_SET

    with MESSAGES.status("reading"):
        before, after = _read_all(base, trained, column or (), threshold, samples)
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
        options=options,
    )
    with MESSAGES.status("comparing"):
        found = Boundary.of(before, after, question, shared)
        _write(found, html, png, csv, {"base": base, "trained": ", ".join(trained)})
        facts = as_dict(found) if as_json else None
    if facts is not None:
        print_json(facts)
    else:
        _print(found, written)


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
    from massflow.report.boundary.tables import plan_table
    from massflow.stats import plan as plan_for

    first = _only_model(pilot, _read(pilot, column or (), threshold, samples))
    second = None
    if trained is not None:
        second = _only_model(trained, _others(first, _read(trained, column or (), threshold, samples)))
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
        f"To settle a difference of {difference:g} in pass@{k} ({confidence:.0%} confidence, {power:.0%} power):",
        highlight=False,
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


def _read(source: str, column: Sequence[str], threshold: float | None, samples: int) -> list[ModelCounts]:
    from massflow.sampling import Columns, read_models

    return read_models(source, Columns.parse(column), threshold, samples)


def _read_all(
    base: str, trained: Sequence[str], column: Sequence[str], threshold: float | None, samples: int
) -> tuple[ModelCounts, list[ModelCounts]]:
    """The base, and every trained model; of a source that holds the base too, the others."""
    before = _only_model(base, _read(base, column, threshold, samples))
    after = [model for source in trained for model in _others(before, _read(source, column, threshold, samples))]
    return before, after


def _others(base: ModelCounts, models: Sequence[ModelCounts]) -> Sequence[ModelCounts]:
    """The models that are not called as the base is; all, if there is but one."""
    others = [model for model in models if model.name != base.name]
    return others if len(models) > 1 and others else models


def _only_model(source: str, models: Sequence[ModelCounts]) -> ModelCounts:
    """The one model of a source, or the one that is called base."""
    from massflow.sampling.values import listed

    named = [model for model in models if model.name == "base"] or models
    if len(named) > 1:
        raise InputError(
            f"{source} holds {len(models)} models, and one is needed: {source}#NAME with one of "
            f"{listed(model.name for model in models)}"
        )
    return named[0]


def _check_outputs(paths: Sequence[Path], sources: Sequence[str], png: Path | None, problem: str | None) -> None:
    """Before anything is read: nothing may be written over a source or twice, nor to a picture of another kind."""
    from massflow.sampling.source import Source

    if paths and problem is not None:
        raise InputError("--problem shows answers and writes no file: leave out --html, --png and --csv")
    if png is not None and png.suffix not in (".png", ".svg"):
        raise InputError(f"a picture is .png or .svg; got {png}")
    taken = {Source.parse(source).path.resolve() for source in sources} if paths else set()
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path} is a folder, and a file's name is needed")
        if path.resolve() in taken:
            raise InputError(f"{path} is read or written here already: give every file a name of its own")
        taken.add(path.resolve())


def _parse_ks(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        ks = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError(f"--k takes whole numbers with commas between, such as 1,8,256; got {text!r}") from None
    if ks[0] < 1:
        raise InputError(f"every k must be 1 or more; got {ks[0]}")
    return tuple(ks)


def _write(found: Boundary, html: Path | None, png: Path | None, csv: Path | None, sources: dict[str, str]) -> None:
    from massflow.report.boundary.charts import charts
    from massflow.report.boundary.page import render
    from massflow.report.boundary.plain import as_csv
    from massflow.report.style import save
    from massflow.runs import environment, write_atomic

    drawn = charts(found) if html or png else {}
    if html:
        question = found.question
        made = environment(resampling=f"{question.resamples:,} resamples, seed {question.seed}")
        facts = {name.replace("_", " "): str(value) for name, value in {**sources, **made}.items()}
        write_atomic(html, render(found, drawn, facts))
    if png:
        save(drawn["boundary"], png)
    if csv:
        write_atomic(csv, as_csv(found))


def _print(found: Boundary, written: Sequence[Path]) -> None:
    from massflow.report.boundary.tables import verdict_table
    from massflow.report.boundary.words import conclusion, notes

    for name in found.trained:
        OUTPUT.print(verdict_table(found, name))
        OUTPUT.print()
    for name in found.trained:
        OUTPUT.print(conclusion(found, name), markup=False, highlight=False)
    for note in notes(found):
        OUTPUT.print(note, markup=False, highlight=False, style="dim")
    for path in written:
        OUTPUT.print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)


def _show_problem(problem: str, models: Sequence[ModelCounts], limit: int, as_json: bool) -> None:
    """The right answers of all models to one problem."""
    from massflow.report.boundary.findings import named
    from massflow.report.boundary.tables import answers_table
    from massflow.sampling.values import listed

    sides = named(models)
    for name, model in sides.items():
        known = model.counts.problems
        if problem not in known:
            close = difflib.get_close_matches(problem, known, n=5, cutoff=0.5)
            hint = f"Nearest: {listed(close)}" if close else f"It has {listed(known)}"
            raise InputError(f"{listed([name])} has no problem {problem!r}. {hint}")
    if not any(model.has_texts for model in sides.values()):
        raise InputError("these sources hold no texts: --problem needs rows of samples with a text column")
    if as_json:
        texts = {name: model.texts(problem, limit, correct=True) for name, model in sides.items()}
        print_json({"problem": problem, "right": {name: list(map(asdict, found)) for name, found in texts.items()}})
    else:
        OUTPUT.print(answers_table(problem, sides, limit))
