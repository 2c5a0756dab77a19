"""Run a command in a pseudo-terminal."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

COLUMNS = 80
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(command: Sequence[str | Path]) -> tuple[int, list[str]]:
    """Run Python with these arguments in a terminal of 80 columns; return the exit code and all lines it wrote.

    Lines that a live display overwrote are included, without colours and cursor movements.
    """
    import fcntl
    import pty
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    unset = ("COLUMNS", "LINES", "TTY_COMPATIBLE", "FORCE_COLOR", "NO_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    written = b""
    try:
        while part := os.read(leader, 65536):
            written += part
    except OSError:  # Linux reports an error where the last writer has closed the terminal
        pass
    finally:
        os.close(leader)
    return process.wait(), re.split(r"[\r\n]+", ESCAPES.sub("", written.decode()).strip())
