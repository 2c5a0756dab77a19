"""A worker process as seen by the pool: start it, ask it, kill it when it takes too long, replace it when it dies."""

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
import time
from pathlib import Path
from typing import Any

from rlvrscope.errors import WorkError, file_errors

START_SECONDS = 60.0
"""Time limit for a process to become ready."""
MAX_FAILED_STARTS = 3
"""Consecutive processes that may exit before they are ready; more would do the same."""
MAX_DEATHS = 20
"""Consecutive processes that may be killed from outside, with no reply in between."""
MAX_TRIES = 3
"""Processes that may die on a task before it counts as an error."""
_MAX_TASKS = 2_000
"""A process is then replaced: computer algebra caches grow without bound."""
_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.05, 1.0
"""Pause before a process is replaced; it doubles with every death."""


class WorkerProcess:
    """A process that answers one task at a time.

    pid: the process to kill, None while none is ready; where the system can fork, it is a child of `process`, which
    replaces it. memory: its address space in bytes.
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        self.closed = False
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._tasks, self._deaths, self._failed_starts = 0, 0, 0

    def ask(self, task: dict[str, Any], timeout: float) -> tuple[dict[str, Any], float]:
        """Return (reply, seconds taken). Raises WorkError if processes do not start or keep dying."""
        for _ in range(MAX_TRIES):
            self._make_ready()
            started = time.monotonic()
            self._tasks += 1
            line = json.dumps(task | {"id": self._tasks, "seconds": timeout}).encode() + b"\n"
            with contextlib.suppress(OSError, AttributeError):  # the end of the process arrives as a message
                self.process.stdin.write(line)  # pyright: ignore[reportOptionalMemberAccess]
                self.process.stdin.flush()  # pyright: ignore[reportOptionalMemberAccess]
            reply: dict[str, Any] | None = {"id": None}
            while reply is not None and reply.get("id", self._tasks) != self._tasks:  # of a task that was given up
                try:
                    reply = self._messages.get(timeout=max(0.0, started + timeout - time.monotonic()))
                except queue.Empty:
                    self._kill()
                    return {"outcome": "timeout", "reason": f"took more than {timeout:g} s"}, time.monotonic() - started
            if reply is not None and "ready" not in reply:
                self._deaths = 0
                if self._tasks >= _MAX_TASKS:
                    self._kill()
                return reply, time.monotonic() - started
            self._on_death(reply)
        return {"outcome": "error", "reason": f"the worker died {MAX_TRIES} times"}, 0.0

    def close(self) -> None:
        """Kill the process and its keeper for good."""
        self.closed = True
        self._messages.put(None)
        self._end_process()

    def _make_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.pid is None:
            if self.process is None:
                self._start()
            try:
                message = self._messages.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise WorkError(
                    f"a worker process for verifying is not ready after {START_SECONDS:g} s: {self._end_process()}"
                ) from None
            if message is None:
                self._on_death(message)
            elif "ready" in message:
                self.pid, self._tasks, self._failed_starts = message["ready"], 0, 0

    def _start(self) -> None:
        if self.closed:
            raise WorkError("the pool was closed while it verified")
        package = Path(__file__).resolve().parents[3]
        paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        with file_errors("start", "a worker process for verifying"):
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rlvrscope.verify.workers.worker", str(self.memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        threading.Thread(target=_listen, args=(self.process.stdout, self._messages), daemon=True).start()

    def _kill(self) -> None:
        """Kill the working process. Its keeper, where there is one, starts the next."""
        if self.pid is not None and hasattr(os, "fork"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)
            self.pid = None
        else:
            self._end_process()

    def _on_death(self, message: dict[str, Any] | None) -> None:
        """Record that a process died; `message`: that of its successor, None if the keeper died too."""
        if self.closed:
            raise WorkError("the pool was closed while it verified")
        if message is not None:
            self.pid, self._tasks = message["ready"], 0
            return
        started = self.pid is not None
        process = self.process
        assert process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):  # its output ends before it does
            process.wait(1.0)
        error = self._end_process()
        killed = (process.returncode or 0) < 0
        self._deaths += 1
        self._failed_starts += not started and not killed
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise WorkError(f"a worker process for verifying does not start: {error}")
        if self._deaths >= MAX_DEATHS:
            raise WorkError(
                f"worker processes for verifying were killed {self._deaths} times in a row before they gave a verdict: "
                "check whether memory is short or another program kills them"
            )
        time.sleep(min(_MAX_PAUSE_SECONDS, _MIN_PAUSE_SECONDS * 2.0 ** (self._deaths - 1)))

    def _end_process(self) -> str:
        """Kill the process with its keeper; return the last line of its standard error."""
        process, self.process, self.pid = self.process, None, None
        if process is None:
            return "it was closed"
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        self._messages = queue.Queue()
        self._errors.seek(0)
        lines = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        for stream in (process.stdin, self._errors):
            with contextlib.suppress(OSError):  # a broken pipe with data left to write
                if stream is not None:
                    stream.close()
        return lines[-1] if lines else "it wrote no error message"


def _listen(stream: Any, messages: queue.Queue[dict[str, Any] | None]) -> None:
    """Put each line that a process writes into the queue, and None at its end."""
    with contextlib.suppress(OSError), stream:
        for line in stream:
            with contextlib.suppress(ValueError):  # half a line of a worker that was killed
                messages.put(json.loads(line))
    messages.put(None)
