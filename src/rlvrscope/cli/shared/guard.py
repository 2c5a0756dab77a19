"""What every command shares: errors as one line, exit codes, and the options that mean the same everywhere."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console, ConsoleDimensions

from rlvrscope.cli.shared.farewell import INTERRUPTED, farewell
from rlvrscope.errors import RlvrscopeError
from rlvrscope.report.text import one_line

MAX_LINE = 1_000_000
"""Characters of a line where the output is not a terminal: nothing is wrapped or shortened there."""


class _Console(Console):
    """A console that wraps text at the terminal's width, and nowhere else."""

    @property
    def size(self) -> ConsoleDimensions:  # type: ignore[reportIncompatibleMethodOverride]  # never set here
        if self.is_terminal:
            return super().size
        return ConsoleDimensions(MAX_LINE, 25)


OUTPUT = _Console()
MESSAGES = _Console(stderr=True)
"""Progress and errors; results go to standard output."""

Parameters = ParamSpec("Parameters")

OutOption = Annotated[Path, typer.Option("--out", help="The folder to work in; started again, the command goes on.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: train.steps=50 (repeatable).")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, or cuda where there is one.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Worker processes; results do not depend on it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

MAX_CHARACTERS = 4_000
"""Of an error: names in it may have any length."""

_debug = False


def set_debug(value: bool) -> None:
    global _debug
    _debug = value


def guarded(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """A command whose user errors are one line on standard error: exit 2 for bad input, 1 for failed work."""

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except RlvrscopeError as error:
            if _debug:
                raise
            message = one_line(str(error), MAX_CHARACTERS)
            MESSAGES.print("error:", message, style="bold red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            MESSAGES.print(farewell())
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # `rlvrscope ... | head`: the reader has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None

    return run


def print_json(value: Any) -> None:
    OUTPUT.print_json(data=value, ensure_ascii=True)
