"""Errors, exit codes and Ctrl-C, the same for every command.

Imports neither typer nor rich: `__main__` needs it before Ctrl-C is handled.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec

from rlvrscope.errors import RlvrscopeError

EXIT_INTERRUPTED = 130
RESUMABLE = ("demo", "lab", "sample", "trl", "verl")
"""Commands that continue where they were stopped."""
MAX_ERROR_CHARACTERS = 20_000
"""Longer errors lose their middle. Longer than any path."""

Parameters = ParamSpec("Parameters")

_debug = False


def set_debug(value: bool) -> None:
    """Show tracebacks of user errors."""
    global _debug
    _debug = value


def guarded(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Print a command's user errors as one line on standard error.

    Exit codes: 2 for bad input, 1 for failed work, 3 for an alarm that was asked for.
    """

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        import typer

        from rlvrscope.cli.shared.console import MESSAGES
        from rlvrscope.report.text import one_line

        try:
            command(*args, **kwargs)
        except RlvrscopeError as error:
            if _debug:
                raise
            MESSAGES.print(f"{error.label}: {one_line(str(error), MAX_ERROR_CHARACTERS)}", style="bold red")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            MESSAGES.print(interruption_message())
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:  # `rlvrscope ... | head`: the reader has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None

    return run


def interruption_message() -> str:
    """Return the last line of an interrupted command."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    resumable = ": finished work is kept; run the same command to continue." if command in RESUMABLE else "."
    return f"interrupted{resumable}"


@contextlib.contextmanager
def on_interrupt(handler: Callable[..., Any] = signal.default_int_handler) -> Iterator[None]:
    """Handle Ctrl-C with `handler` inside the block; by default it raises KeyboardInterrupt.

    SIGINT that the shell has ignored stays ignored.
    """
    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
