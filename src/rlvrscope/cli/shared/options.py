"""Command-line options that mean the same in several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

# The lab and the demo.
OutOption = Annotated[Path, typer.Option("--out", help="Run folder; the same command continues in it.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: train.steps=50 (repeatable).")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, or cuda if available.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Worker processes; results do not depend on it.")]

# Tasks and samples.
SplitOption = Annotated[str | None, typer.Option("--split", help="Of a data set: test, train, ...; by default test.")]
SourceOption = Annotated[
    Path | None, typer.Option("--source", help="A folder with a copy of the data set's repository, without the hub.")
]
FieldOption = Annotated[
    list[str] | None, typer.Option("--field", help="Of a file, a column's name: prompt=question (repeatable).")
]
VerifierOption = Annotated[
    str | None, typer.Option("--verifier", help="Verifier of rows that name none: a name, or your own file.py:NAME.")
]
FormOption = Annotated[
    list[str] | None,
    typer.Option(
        "--form", help="Form of the answer: boxed, answer, hashes, phrase, tag, whole (repeatable, in order)."
    ),
]
