"""The entry point: `rlvrscope`, or `python -m rlvrscope`."""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

from rlvrscope.cli.shared.guard import EXIT_INTERRUPTED, interruption_message


def _end_now(*_: Any) -> NoReturn:
    os.write(2, f"{interruption_message()}\n".encode())
    os._exit(EXIT_INTERRUPTED)


def main() -> None:
    """Run the command line.

    Ctrl-C exits at once, also while libraries load: files are written whole or not at all, so there is nothing to save.
    (An exception raised inside an import can be swallowed.) Commands that stop workers ask for a KeyboardInterrupt
    instead: `on_interrupt`.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # keep SIGINT ignored where the shell did so
        signal.signal(signal.SIGINT, _end_now)
    from rlvrscope.cli.main import app

    app()


if __name__ == "__main__":
    main()
