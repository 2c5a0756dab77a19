"""A worker process: JSON lines in, JSON lines out. `python -m rlvrscope.verify.workers.worker`, by the pool only.

Where the system can fork, this process is a keeper: it imports what is slow once and forks the worker proper, which
the pool may kill at any moment; the keeper then forks the next one within milliseconds. The worker limits its own
memory and processor time, so that not even a worker whose pool has died runs on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from rlvrscope.errors import RlvrscopeError

_SPARE_SECONDS = 2


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the pool decides
    memory = int(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    with contextlib.suppress(ImportError):
        import rlvrscope.verify.math.algebra
        import rlvrscope.verify.verifiers  # noqa: F401  slow: once, before the fork
    if not hasattr(os, "fork"):
        _serve_until_left(answers, memory)
        return
    while True:
        child = os.fork()
        if child == 0:
            _serve_until_left(answers, memory)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return


def _serve_until_left(answers: BinaryIO, memory: int) -> None:
    """A pool that is gone, killed while this worked, is no failure: no other worker must take its place."""
    with contextlib.suppress(BrokenPipeError):
        _serve(answers, memory)


def _serve(answers: BinaryIO, memory: int) -> None:
    """Answer until there is nothing more to read."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what a verifier prints must not be taken for an answer, nor fill a disk
    os.dup2(nowhere, 2)
    _limit("RLIMIT_AS", memory)
    _limit("RLIMIT_CORE", 0)
    # a line that a killed worker left half written ends here
    answers.write(b"\n" + json.dumps({"ready": os.getpid()}).encode() + b"\n")
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    while line := _line(requests):
        try:
            task = json.loads(line)
        except ValueError:
            continue  # half a request that a killed worker left
        _limit_processor(task["seconds"])
        reply = _reply(task) | {"id": task["id"]}
        answers.write(json.dumps(reply).encode() + b"\n")


def _line(requests: BinaryIO) -> bytes:
    """The next line, whole: the pool sends one at a time, so nothing after it is lost."""
    parts: list[bytes] = []
    while part := requests.read(1 << 16):
        parts.append(part)
        if part.endswith(b"\n"):
            break
    return b"".join(parts)


def _reply(task: dict[str, Any]) -> dict[str, Any]:
    try:
        return _KINDS[task["kind"]](task)
    except MemoryError:
        return {"outcome": "rejected", "reason": "needs more memory than a worker may have"}
    except RecursionError:
        return {"outcome": "rejected", "reason": "nested too deep"}
    except RlvrscopeError as error:
        return {"outcome": "error", "reason": str(error)}
    except Exception as error:  # noqa: BLE001  the process boundary: whatever went wrong is told to the pool
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        return {"outcome": "error", "reason": reason[:500]}


def _judge(task: dict[str, Any]) -> dict[str, Any]:
    """A long answer: read here, where it may take its time."""
    from rlvrscope.problem import Problem
    from rlvrscope.verify.verifiers import Work, judged

    found = judged(task["answer"], Problem(**task["problem"]))
    if isinstance(found, Work):
        return {"path": found.draft.path, **_equal(found.task)}
    return {"outcome": found.outcome, "score": found.score, "path": found.path, "reason": found.reason}


def _equal(task: dict[str, Any]) -> dict[str, Any]:
    from rlvrscope.extras import needs_extra
    from rlvrscope.verify.decision import Refused, Unreadable

    with needs_extra("math", "comparing this answer with its gold answer"):
        from rlvrscope.verify.math.algebra import all_equal
    try:
        equal, reason = all_equal(task["pairs"], task["key"])
    except Refused as refusal:
        return {"outcome": "rejected", "reason": str(refusal)}
    except Unreadable as error:
        return {"outcome": "wrong", "reason": str(error)}
    return {"outcome": "correct" if equal else "wrong", "reason": reason}


def _own(task: dict[str, Any]) -> dict[str, Any]:
    """A user's verifier: True, False, a score from 0 to 1, or None for no answer."""
    from rlvrscope.errors import InputError
    from rlvrscope.plugins import Plugin
    from rlvrscope.problem import Problem

    try:
        function = Plugin(Path(task["path"]), task["name"]).load(task["sha256"])
    except InputError as error:
        return {"outcome": "error", "reason": str(error), "fatal": True}
    said = function(task["text"], Problem(**task["problem"]))
    if said is None:
        return {"outcome": "no_answer"}
    score = float(said)
    if not 0.0 <= score <= 1.0:
        return {"outcome": "error", "reason": f"{task['name']} must return a score from 0 to 1; got {score}"}
    return {"outcome": "correct" if score >= 0.5 else "wrong", "score": score}


_KINDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"equal": _equal, "judge": _judge, "own": _own}


def _limit(name: str, most: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):  # Windows has no such limits
        import resource

        resource.setrlimit(getattr(resource, name), (most, most))


def _limit_processor(seconds: float) -> None:
    """From now on: the pool's own clock comes first."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime + seconds) + _SPARE_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()
