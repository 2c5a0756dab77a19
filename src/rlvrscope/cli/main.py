"""`rlvrscope`: all commands, `--version` and `--debug`."""

from __future__ import annotations

from typing import Annotated

import typer

import rlvrscope
from rlvrscope.cli import (
    boundary,
    demo,
    dynamics,
    lab,
    monitor,
    plan,
    probe,
    report,
    sample,
    store,
    tasks,
    trl,
    verify,
    verl,
    wise,
)
from rlvrscope.cli.shared.console import say
from rlvrscope.cli.shared.guard import set_debug

app = typer.Typer(
    help="Where RLVR moves a language model's probability mass, and whether its reasoning boundary shrinks or grows.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("boundary")(boundary.boundary)
app.command("plan")(plan.plan)
app.command("monitor")(monitor.monitor)
app.command("verify")(verify.verify)
app.command("report")(report.report)
app.command("sample")(sample.sample)
app.command("trl")(trl.trl)
app.add_typer(dynamics.app, name="dynamics")
app.add_typer(lab.app, name="lab")
app.add_typer(probe.app, name="probe")
app.add_typer(store.app, name="store")
app.add_typer(tasks.app, name="tasks")
app.command("verl")(verl.verl)
app.command("wise")(wise.wise)


def _print_version(requested: bool) -> None:
    if requested:
        say(f"rlvrscope {rlvrscope.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[  # noqa: ARG001  used by its callback
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""
    set_debug(debug)
