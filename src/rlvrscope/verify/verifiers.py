"""The verifiers by name, and what all have in common: the answer is extracted, judged, and a verdict is given."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import Any

from rlvrscope.config import did_you_mean
from rlvrscope.errors import InputError
from rlvrscope.plugins import Plugin
from rlvrscope.problem import Problem, Verdict
from rlvrscope.verify import choice_verifier, countdown_verifier, exact_verifier
from rlvrscope.verify.decision import Decision, Refused
from rlvrscope.verify.extract import check_forms, extract
from rlvrscope.verify.math import math_verifier
from rlvrscope.verify.math.tree import packed

REVISION = 2
"""Of the rules here: what is decided otherwise gets another number."""
MAX_AT_ONCE = 80
"""Characters of an answer, and of its gold answer, that are read in the calling process; longer ones go to a worker."""
MAX_PROMPT_AT_ONCE = 10_000


@dataclass(frozen=True)
class Verifier:
    """judge: (answer, problem) -> Decision, or Refused. check: raises InputError for a gold answer that won't do."""

    judge: Callable[[str, Problem], Decision]
    check: Callable[[Problem], None]
    about: str


VERIFIERS: dict[str, Verifier] = {
    "math": Verifier(math_verifier.judge, math_verifier.check, "the same mathematical value as the gold answer"),
    "arithmetic": Verifier(math_verifier.judge_number, math_verifier.check_number, "the same number, worked out"),
    "choice": Verifier(choice_verifier.judge, choice_verifier.check, "the letter of the right option"),
    "countdown": Verifier(
        countdown_verifier.judge, countdown_verifier.check, "an expression over given numbers that comes to the target"
    ),
    "exact": Verifier(exact_verifier.judge, exact_verifier.check, "the same text"),
}


@dataclass(frozen=True)
class Work:
    """What a worker has to do before there is a verdict: `task` as it is sent; `draft` is all but the outcome."""

    task: dict[str, Any]
    draft: Verdict

    def finish(self, reply: dict[str, Any], seconds: float) -> Verdict:
        """The verdict from a worker's reply: {outcome, score, path, reason}."""
        return replace(
            self.draft,
            outcome=reply["outcome"],
            score=float(reply.get("score", reply["outcome"] == "correct")),
            path=reply.get("path", self.draft.path),
            reason=reply.get("reason", ""),
            seconds=seconds,
        )


def check_problem(problem: Problem) -> None:
    """Raises InputError, naming the problem: an unknown verifier or form, a gold answer that it can't use."""
    if plugin := Plugin.parse(problem.verifier):
        _pin(plugin, problem)
        return
    try:
        check_forms(_forms(problem))
    except InputError as error:
        raise InputError(f"problem {problem.id!r}: {error}") from error
    verifier_of(problem).check(problem)


def verifier_of(problem: Problem) -> Verifier:
    if problem.verifier not in VERIFIERS:
        raise InputError(
            f"problem {problem.id!r}: unknown verifier {problem.verifier!r}. "
            f"{did_you_mean(problem.verifier, [*VERIFIERS, 'file.py:NAME'])}"
        )
    return VERIFIERS[problem.verifier]


def version_of(problem: Problem) -> str:
    """Of what would verify it now, as verdicts say it. Raises InputError for an own verifier that can't be read."""
    plugin = Plugin.parse(problem.verifier)
    return _pin(plugin, problem)[:12] if plugin else _rules(problem.verifier)


def start(text: str, problem: Problem) -> Verdict | Work:
    """The verdict, or what a worker has to do for it. Milliseconds at most, whatever the text holds.

    The problem has passed `check_problem`. Raises InputError for a text that is none.
    """
    if not isinstance(text, str):
        raise InputError(f"problem {problem.id!r}: a text is needed to verify; got {type(text).__name__}")
    if plugin := Plugin.parse(problem.verifier):
        return _own(text, problem, plugin)
    started = time.perf_counter()
    try:
        answer = extract(text, _forms(problem))
    except Refused as refusal:
        return _signed(Verdict("rejected", path="rules", reason=str(refusal)), None, problem, started)
    if answer is not None and _is_long(answer, problem):
        return _long(answer, problem)
    return judged(answer, problem)


def judged(answer: str | None, problem: Problem) -> Verdict | Work:
    """The verdict on an extracted answer, or what computer algebra has to say for it."""
    started = time.perf_counter()
    decision = None
    try:
        decision = None if answer is None or not answer.strip() else verifier_of(problem).judge(answer, problem)
    except Refused as refusal:
        found = Verdict("rejected", path="rules", reason=str(refusal))
    except RecursionError:
        found = Verdict("rejected", path="rules", reason="nested too deep")
    else:
        found = _verdict(answer, decision)
    found = _signed(found, answer, problem, started)
    if decision is None or decision.equal is not None:
        return found
    pairs = [[packed(gold), packed(given)] for gold, given in decision.pairs]
    return Work({"kind": "equal", "pairs": pairs, "key": decision.key}, found)


def _signed(found: Verdict, answer: str | None, problem: Problem, started: float) -> Verdict:
    version = _rules(problem.verifier)
    seconds = time.perf_counter() - started
    return replace(found, extracted=answer, verifier=problem.verifier, version=version, seconds=seconds)


def _is_long(answer: str, problem: Problem) -> bool:
    """What is short is read within milliseconds; nothing is promised of the rest, so it gets a worker and a timeout."""
    longest = max(len(answer.strip()), len(problem.answer))
    return longest > MAX_AT_ONCE or len(problem.prompt) > MAX_PROMPT_AT_ONCE


def _long(answer: str, problem: Problem) -> Work:
    task: dict[str, Any] = {"kind": "judge", "answer": answer, "problem": _told(problem)}
    task["key"] = hashlib.sha256(json.dumps(task, default=str).encode()).hexdigest()
    return Work(task, _signed(Verdict("error", path="reading"), answer, problem, time.perf_counter()))


def _told(problem: Problem) -> dict[str, Any]:
    """A problem as a worker is sent it: `Problem(**told)`."""
    told = {field: getattr(problem, field) for field in ("id", "prompt", "answer", "verifier", "cluster")}
    return told | {"metadata": dict(problem.metadata)}


def _forms(problem: Problem) -> Sequence[str]:
    forms = problem.metadata.get("forms", ("boxed",))
    return (forms,) if isinstance(forms, str) else forms


def _verdict(answer: str | None, decision: Decision | None) -> Verdict:
    if decision is None:
        return Verdict("no_answer", path="extract", reason="no answer" if answer is None else "an empty answer")
    outcome = "correct" if decision.equal else "wrong"
    return Verdict(outcome, float(bool(decision.equal)), path=decision.path, reason=decision.reason)


def _own(text: str, problem: Problem, plugin: Plugin) -> Work:
    sha256 = _pin(plugin, problem)
    task = {"kind": "own", "path": str(plugin.path), "name": plugin.name, "sha256": sha256}
    task |= {"text": text, "problem": _told(problem)}
    return Work(task, Verdict("error", verifier=problem.verifier, version=sha256[:12], path="own"))


def _pin(plugin: Plugin, problem: Problem) -> str:
    """SHA-256 of the plugin's file as it is now. Raises InputError if it can't be read."""
    try:
        state = plugin.path.stat()
    except OSError as error:
        raise InputError(
            f"problem {problem.id!r}: the verifier {plugin.path} can't be read: {error.strerror}"
        ) from error
    return _sha256(plugin, state.st_mtime_ns, state.st_size)


@cache
def _sha256(plugin: Plugin, changed: int, size: int) -> str:  # noqa: ARG001  cache keys: a changed file is hashed again
    return plugin.sha256()


def _rules(verifier: str) -> str:
    return _version() if verifier in ("math", "arithmetic") else str(REVISION)


@cache
def _version() -> str:
    """Of the rules and of the library that may decide."""
    try:
        return f"{REVISION}+math-verify-{metadata.version('math-verify')}"
    except metadata.PackageNotFoundError:
        return str(REVISION)
