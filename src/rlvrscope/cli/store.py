"""`rlvrscope store`: look into a store of samples, check it, export it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rlvrscope.cli.shared.console import print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import JsonOption
from rlvrscope.errors import InputError

app = typer.Typer(help="Stores of samples: check, export, stats.", no_args_is_help=True, rich_markup_mode=None)
PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="samples.sqlite, or the run's folder.")]


@app.command()
@guarded
def check(path: PathArgument, as_json: JsonOption = False) -> None:
    """Read every page, row and text: is it whole? Nothing is changed."""
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.store.check import check as check_all

    with SampleStore(_there(path), write=False) as store:
        samples = check_all(store)
    if as_json:
        print_json({"format_version": 1, "file": str(store.path), "whole": True, "samples": samples})
    else:
        say(f"{store.path} is whole: {samples:,} samples")


@app.command()
@guarded
def export(
    path: PathArgument,
    out: Annotated[Path, typer.Option("--out", help="The file to write, .parquet.")],
    as_json: JsonOption = False,
) -> None:
    """Write the samples with their verdicts as Parquet, which `rlvrscope boundary` reads too."""
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.store.export import export as write

    with SampleStore(_there(path), write=False) as store:
        rows = write(store, out)
    if as_json:
        print_json({"format_version": 1, "rows": rows, "file": str(out)})
    else:
        say(f"{rows:,} samples. Written: {out}")


@app.command()
@guarded
def stats(path: PathArgument, as_json: JsonOption = False) -> None:
    """What is in it: runs with their model and settings, samples, tokens, outcomes."""
    from rlvrscope.report.text import one_line
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.store.check import stats as facts_of

    with SampleStore(_there(path), write=False) as store:
        facts = facts_of(store)
    if as_json:
        print_json(facts)
        return
    say(f"{facts['file']}: {facts['bytes'] / 1e6:,.2f} MB")
    for name, run in facts["runs"].items():
        least, most = run["samples_of_a_problem"]
        each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        say(f"run {one_line(name, 100)}: {run['samples']:,} samples of {run['problems']:,} problems ({each} each)")
        told = {outcome: count for outcome, count in run["outcomes"].items() if count}
        told |= {"without a verdict": run["without_verdict"]} if run["without_verdict"] else {}
        say(
            "  outcomes: "
            + ", ".join(f"{what} {count:,} ({count / run['samples']:.1%})" for what, count in told.items())
        )
        say(
            f"  tokens: {run['tokens']:,}; ended by: "
            + ", ".join(f"{one_line(k, 40)} {n:,}" for k, n in run["finish"].items())
        )
        for fact, value in run["identity"].items():
            say(f"  {fact}: {one_line(str(value), 300)}")


def _there(path: Path) -> Path:
    from rlvrscope.sampling.store.store_file import store_path

    if not store_path(path).is_file():
        raise InputError(f"there is no store of samples at {store_path(path)}")
    return path
