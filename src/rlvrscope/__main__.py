"""The entry point: `rlvrscope`, or `python -m rlvrscope`."""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

from rlvrscope.cli.shared.farewell import INTERRUPTED, farewell


def _end_now(*_: Any) -> NoReturn:
    os.write(2, f"{farewell()}\n".encode())
    os._exit(INTERRUPTED)


def main() -> None:
    """Run the command line.

    Ctrl-C ends it at once, while libraries load too: files are written whole or not at all, so there is nothing to
    save. (An exception would not do: raised within an import it can be swallowed.) Where workers have to be ended, it
    is a KeyboardInterrupt: `ExperimentTable`.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _end_now)
    from rlvrscope.cli.main import app

    app()


if __name__ == "__main__":
    main()
