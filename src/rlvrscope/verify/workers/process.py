"""One worker process as the pool sees it: it is sent tasks, it is killed, and another takes its place."""

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

Message = tuple["Worker", dict[str, Any] | None]
"""From which worker, and what; None when the process is gone."""


class Worker:
    """A process that answers one task at a time. Messages of all workers come through one queue.

    pid is that of the process that works, to be killed; None until it has said that it is ready. Raises WorkError if
    the system starts no process.
    """

    def __init__(self, messages: queue.Queue[Message], memory: int) -> None:
        self.messages = messages
        self.pid: int | None = None
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        self.said = "it says nothing"
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
        """A broken pipe is not told here: the end of the process comes as a message."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(task).encode() + b"\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        """End the process that works, whatever it does. Where there is a keeper, it starts the next one."""
        if self.pid is not None and hasattr(os, "fork"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.pid = None

    def close(self) -> None:
        """End the process and its keeper. Then `said` has the end of what it wrote to standard error."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        self.said = lines[-1] if lines else self.said
        for stream in (self.process.stdin, self.errors):
            with contextlib.suppress(OSError):  # a pipe that broke with something left to write
                if stream is not None:
                    stream.close()

    @property
    def was_killed(self) -> bool:
        """Of a process that is gone: whether a signal ended it, from here or from elsewhere."""
        return (self.process.returncode or 0) < 0
