"""`rlvrscope report`: the page of one or several runs, of any trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rlvrscope.cli.shared.console import say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.extras import needs_extra


@guarded
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders: of the lab, TRL or verl.")],
    html: Annotated[Path, typer.Option("--html", help="The page to write.")],
) -> None:
    """Put runs on one page: pass@k against pass@1 along training, stages and alarms, masses of stored completions."""
    with needs_extra("report", "a page"):
        from rlvrscope.report.runs.page import write_page
        from rlvrscope.report.runs.view import read_runs

    write_page(read_runs(runs), html)
    say(f"Written: {html}")
