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

from massflow.errors import WorkError

Message = tuple["Worker", int, dict[str, Any] | None]
"""From which worker, from its how many-eth process, and what; None when the process is gone."""


class Worker:
    """A process that answers one task at a time. Messages of all workers come through one queue.

    pid is that of the process that works, to be killed; None until it has said that it is ready.
    """

    def __init__(self, messages: queue.Queue[Message], memory: int) -> None:
        self.messages, self.memory = messages, memory
        self.generation, self.pid = 0, None
        self._start()

    def _start(self) -> None:
        self.generation += 1
        self.pid: int | None = None
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        package = Path(__file__).resolve().parents[2]
        paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "massflow.rewards.worker", str(self.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self.process, self.generation), daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes], generation: int) -> None:
        assert process.stdout is not None
        with contextlib.suppress(OSError), process.stdout:
            for line in process.stdout:
                with contextlib.suppress(ValueError):  # half a line of a worker that was killed
                    self.messages.put((self, generation, json.loads(line)))
        self.messages.put((self, generation, None))

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

    def restart(self) -> None:
        """A new process, after the old one has gone."""
        self.close()
        self._start()

    def close(self) -> None:
        """End the process and its keeper."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.errors):
            with contextlib.suppress(OSError):  # a pipe that broke with something left to write
                if stream is not None:
                    stream.close()

    def failure(self) -> WorkError:
        """Why it does not start: the end of what it wrote to standard error."""
        self.errors.seek(0)
        said = self.errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return WorkError(f"a worker process for verifying does not start: {said[-1] if said else 'it says nothing'}")
