"""`rlvrscope store`: check a store of samples, export it, import files into one, show its statistics."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope.cli.shared.console import MESSAGES, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import FieldOption, FormOption, JsonOption, VerifierOption
from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.sampling.store.check import RunStats

app = typer.Typer(help="Stores of samples: check, export, import, stats.", no_args_is_help=True, rich_markup_mode=None)
MAX_NOTES = 10
"""At most this many different notes are printed, the most frequent ones."""
PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="samples.sqlite, or the run's folder.")]


@app.command()
@guarded
def check(path: PathArgument, as_json: JsonOption = False) -> None:
    """Verify every page, row and text. Nothing is changed."""
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.store.check import check as check_store

    with SampleStore(_existing(path), write=False) as store:
        samples = check_store(store)
    if as_json:
        print_json({"format_version": 1, "file": str(store.path), "whole": True, "samples": samples})
    else:
        say(f"{store.path} is whole: {samples:,} samples")


@app.command()
@guarded
def export(
    path: PathArgument,
    out: Annotated[Path, typer.Option("--out", help="The file to write, .parquet or .jsonl.")],
    as_json: JsonOption = False,
) -> None:
    """Write the samples with their verdicts as Parquet or JSONL, which `rlvrscope boundary` reads too."""
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.store.export import export as export_store

    with SampleStore(_existing(path), write=False) as store:
        rows = export_store(store, out)
    if as_json:
        print_json({"format_version": 1, "rows": rows, "file": str(out)})
    else:
        say(f"{rows:,} samples. Written: {out}")


@app.command("import")
@guarded
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CSV, JSONL or Parquet with columns text and answer, or folders."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The store; the same command continues in it.")],
    verifier: VerifierOption = None,
    field: FieldOption = None,
    form: FormOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a store of completions in files, with their gold answers; `rlvrscope verify STORE` then verifies them."""
    from rlvrscope.cli.shared.progress import progress_bar
    from rlvrscope.problems.problem_files import Defaults
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.imported import ImportedFiles, import_samples

    with MESSAGES.status("reading"):
        imported = ImportedFiles.open(files, field or (), Defaults(verifier or "math", tuple(form or ())))
    total = imported.runs.total()
    for note in () if as_json else imported.notes:
        say(f"Note: {note}")
    with SampleStore(out) as store, progress_bar("imported", total, delay=1.0) as advance:
        new = import_samples(store, imported, lambda done: advance(done, total))
    if as_json:
        facts = {"samples": total, "new": new, "problems": len(imported.problems), "runs": dict(imported.runs)}
        print_json({"format_version": 1, "file": str(store.path), **facts, "notes": imported.notes})
        return
    runs = f" in {len(imported.runs):,} runs" if len(imported.runs) > 1 else ""
    problems = f"{len(imported.problems):,} problem{'s' if len(imported.problems) > 1 else ''}"
    say(f"{total:,} samples of {problems}{runs}, {new:,} of them new. Store: {store.path}")
    say(f"Verify them: rlvrscope verify {store.path}")


@app.command()
@guarded
def stats(path: PathArgument, as_json: JsonOption = False) -> None:
    """Show each run's model and settings, samples, tokens and outcomes."""
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.store.check import stats as stats_of

    with SampleStore(_existing(path), write=False) as store:
        runs, size = stats_of(store), store.path.stat().st_size
    if as_json:
        rows = {name: {**asdict(run), **run.rates.facts()} for name, run in runs.items()}
        print_json({"format_version": 1, "file": str(store.path), "bytes": size, "runs": rows})
        return
    say(f"{store.path}: {size / 1e6:,.2f} MB")
    for name, run in runs.items():
        _print_run(name, run)


def _print_run(name: str, run: RunStats) -> None:
    from rlvrscope.cli.shared.truncation import print_truncation
    from rlvrscope.report.text import one_line

    low, high = run.samples_per_problem
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    say(f"run {one_line(name, 100)}: {run.samples:,} samples of {run.problems:,} problems ({each} each)")
    outcomes = {**run.outcomes, "without a verdict": run.without_verdict}
    shares = [f"{outcome} {n:,} ({n / run.samples:.1%})" for outcome, n in outcomes.items() if n]
    say(f"  outcomes: {', '.join(shares)}")
    for version, counts in run.by_version.items() if len(run.by_version) > 1 else ():
        say(f"  by {one_line(version, 100)}: {', '.join(f'{outcome} {n:,}' for outcome, n in counts.items())}")
    print_truncation(run)
    ends = ", ".join(f"{one_line(finish, 40) or 'not known'} {n:,}" for finish, n in run.finish.items())
    unknown = f" (not reported for {run.without_tokens:,} samples)" if run.without_tokens else ""
    say(f"  tokens: {run.tokens:,}{unknown}; ended by: {ends}")
    if run.notes:
        notes = list(run.notes.items())
        say("  notes: " + ", ".join(f"{one_line(note, 100)} {n:,}" for note, n in notes[:MAX_NOTES]))
    for fact, value in run.identity.items():
        say(f"  {fact}: {one_line(str(value), 300)}")


def _existing(path: Path) -> Path:
    from rlvrscope.sampling.store.store_file import store_path

    if not store_path(path).is_file():
        raise InputError(f"there is no store of samples at {store_path(path)}")
    return path
