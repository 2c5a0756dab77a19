"""A worker process as seen by the pool: start it, send it tasks, read its replies, kill it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from rlvrscope.errors import file_errors

Message = tuple["WorkerProcess", dict[str, Any] | None]
"""(sender, reply); the reply is None once the process has ended."""


class WorkerProcess:
    """A process that answers one task at a time; all workers put their messages into one queue.

    pid: the process to kill, None until it reports that it is ready; where the system can fork, it is a child of
    `process`, which replaces it. Raises WorkError if the system can't start a process.
    """

    def __init__(self, messages: queue.Queue[Message], memory: int) -> None:
        self.messages = messages
        self.pid: int | None = None
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        self.last_error = "it wrote no error message"
        package = Path(__file__).resolve().parents[3]
        paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
        with file_errors("start", "a worker process for verifying"):
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rlvrscope.verify.workers.worker", str(memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(OSError), self.process.stdout:
            for line in self.process.stdout:
                with contextlib.suppress(ValueError):  # half a line of a worker that was killed
                    self.messages.put((self, json.loads(line)))
        self.messages.put((self, None))

    def send(self, task: dict[str, Any]) -> None:
        """Write a task. A broken pipe is ignored: the end of the process arrives as a message."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(task).encode() + b"\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        """Kill the working process. Its keeper, where there is one, starts the next."""
        if self.pid is not None and hasattr(os, "fork"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.pid = None

    def close(self) -> None:
        """Kill the process and its keeper, and set `last_error` to the last line of its standard error."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        self.last_error = lines[-1] if lines else self.last_error
        for stream in (self.process.stdin, self.errors):
            with contextlib.suppress(OSError):  # a broken pipe with data left to write
                if stream is not None:
                    stream.close()

    @property
    def was_killed(self) -> bool:
        """True if a signal ended the closed process."""
        return (self.process.returncode or 0) < 0
