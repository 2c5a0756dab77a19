"""A worker process: JSON lines in, JSON lines out. Started by the pool as `python -m rlvrscope.verify.workers.worker`.

Where the system can fork, this process is a keeper: it imports the slow libraries once and forks the actual worker.
The pool may kill that worker at any time; the keeper then forks the next within milliseconds. The worker limits its
own memory and processor time, so that it ends even if its pool has died.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from rlvrscope.errors import InputError, RlvrscopeError
from rlvrscope.extras import needs_extra
from rlvrscope.plugins import Plugin
from rlvrscope.problem import Problem
from rlvrscope.verify.verifiers import judged

_SPARE_SECONDS = 2
"""Processor time beyond the timeout, so that the pool's timeout comes first."""


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the pool handles it
    memory = int(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    with contextlib.suppress(ImportError):
        import rlvrscope.verify.math.algebra  # noqa: F401  slow: imported once, before the fork
    while hasattr(os, "fork") and (child := os.fork()):
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return
    with contextlib.suppress(BrokenPipeError):  # the pool has died: the keeper starts no further worker
        _serve(answers, memory)
    os._exit(0)


def _serve(answers: BinaryIO, memory: int) -> None:
    """Answer tasks until the input ends."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)  # output of a verifier must not be taken for a reply, nor fill the disk
    os.dup2(devnull, 2)
    _limit("RLIMIT_AS", memory)
    _limit("RLIMIT_CORE", 0)
    # the leading newline ends a line that a killed worker left half written
    answers.write(b"\n" + json.dumps({"ready": os.getpid()}).encode() + b"\n")
    for line in sys.stdin.buffer:
        try:
            task = json.loads(line)
        except ValueError:
            continue  # the rest of a task whose start a killed worker had read
        _limit("RLIMIT_CPU", int(time.process_time() + task["seconds"]) + _SPARE_SECONDS)
        reply = _reply(task) | {"id": task["id"]}
        answers.write(json.dumps(reply).encode() + b"\n")


def _reply(task: dict[str, Any]) -> dict[str, Any]:
    try:
        return _own(task) if task["kind"] == "own" else _judge(task)
    except MemoryError:
        return {"outcome": "rejected", "reason": "needs more memory than a worker may have"}
    except RecursionError:
        return {"outcome": "rejected", "reason": "nested too deep"}
    except RlvrscopeError as error:
        return {"outcome": "error", "reason": str(error)}
    except Exception as error:  # noqa: BLE001  the process boundary: any failure is reported to the pool
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        return {"outcome": "error", "reason": reason[:500]}


def _judge(task: dict[str, Any]) -> dict[str, Any]:
    """Judge an answer, with computer algebra where that must decide."""
    verdict = judged(task["answer"], Problem(**task["problem"]), _algebra)
    return {name: getattr(verdict, name) for name in ("outcome", "score", "path", "reason")}


def _algebra(*arguments: Any) -> bool:
    with needs_extra("math", "comparing this answer with its gold answer"):
        from rlvrscope.verify.math.algebra import equal
    return equal(*arguments)


def _own(task: dict[str, Any]) -> dict[str, Any]:
    """Call the user's verifier: it returns True, False, a score from 0 to 1, or None for no answer."""
    try:
        function = Plugin(Path(task["path"]), task["name"]).load(task["sha256"])
    except InputError as error:
        return {"outcome": "error", "reason": str(error), "fatal": True}
    result = function(task["text"], Problem(**task["problem"]))
    if result is None:
        return {"outcome": "no_answer"}
    score = float(result)
    if not 0.0 <= score <= 1.0:
        return {"outcome": "error", "reason": f"{task['name']} must return a score from 0 to 1; got {score}"}
    return {"outcome": "correct" if score >= 0.5 else "wrong", "score": score}


def _limit(name: str, limit: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):  # Windows has no such limits
        import resource

        hard = limit if name != "RLIMIT_CPU" else resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(getattr(resource, name), (limit, hard))


if __name__ == "__main__":
    main()
