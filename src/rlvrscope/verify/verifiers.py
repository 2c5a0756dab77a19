"""The verifiers by name, and the steps they share: extract the answer, judge it, give a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import Any

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.plugins import Plugin
from rlvrscope.problem import Problem, Verdict
from rlvrscope.verify import choice_verifier, countdown_verifier, exact_verifier
from rlvrscope.verify.decision import Decision, NeedsAlgebra, Refused
from rlvrscope.verify.extract import check_forms, extract
from rlvrscope.verify.math import math_verifier
from rlvrscope.verify.math.equality import Algebra

REVISION = 6
"""Version of these rules; bump it whenever a verdict changes."""
MAX_INLINE_CHARACTERS = 80
"""Longer answers, or answers to longer gold answers, are judged by a worker instead of the calling process."""
MAX_INLINE_PROMPT_CHARACTERS = 10_000


@dataclass(frozen=True)
class Verifier:
    """judge: (answer, problem) -> Decision; raises Refused. check: raises InputError for an unusable gold answer.

    Those of ALGEBRAIC take computer algebra as a third argument; without it they raise NeedsAlgebra.
    """

    judge: Callable[..., Decision]
    check: Callable[[Problem], None]


VERIFIERS: dict[str, Verifier] = {
    "math": Verifier(math_verifier.judge, math_verifier.check),
    "arithmetic": Verifier(math_verifier.judge, math_verifier.check),
    "choice": Verifier(choice_verifier.judge, choice_verifier.check),
    "countdown": Verifier(countdown_verifier.judge, countdown_verifier.check),
    "exact": Verifier(exact_verifier.judge, exact_verifier.check),
}
ALGEBRAIC = ("math", "arithmetic")


@dataclass(frozen=True)
class Work:
    """Work left for a worker. task: the message to send. draft: the verdict except for its outcome."""

    task: dict[str, Any]
    draft: Verdict
    is_long: bool = False

    def finish(self, reply: dict[str, Any], seconds: float) -> Verdict:
        """Return the verdict for a worker's reply: {outcome, score, path, reason}, all but the first optional."""
        score = float(reply["outcome"] == "correct")
        parts = {name: reply[name] for name in ("outcome", "score", "path", "reason") if name in reply}
        return replace(self.draft, **({"score": score} | parts), seconds=seconds)


def check_problem(problem: Problem) -> None:
    """Raise InputError, naming the problem, for an unknown verifier or form, or an unusable gold answer."""
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
    """Return the version that verdicts on this problem carry. Raises InputError if a plug-in file can't be read."""
    plugin = Plugin.parse(problem.verifier)
    if plugin is None:
        return _rules_with_algebra() if problem.verifier in ALGEBRAIC else str(REVISION)
    return _pin(plugin, problem)[:12]


def start(text: str, problem: Problem) -> Verdict | Work:
    """Return the verdict, or the work left for a worker. Takes milliseconds at most, whatever the text contains.

    The problem must have passed `check_problem`. Raises InputError if `text` is not a string.
    """
    if not isinstance(text, str):
        raise InputError(f"problem {problem.id!r}: the text to verify must be a string; got {type(text).__name__}")
    if plugin := Plugin.parse(problem.verifier):
        return _work_on_plugin(text, problem, plugin)
    started = time.perf_counter()
    try:
        answers = extract(text, _forms(problem))
    except Refused as refusal:
        return _completed(Verdict("rejected", path="rules", reason=str(refusal)), None, problem, started)
    answer = answers[-1] if answers else None
    if len(answers) > 1 and problem.verifier in ALGEBRAIC:
        answer = math_verifier.joined(answers, problem)
    if answer is not None and _is_long(answer, problem):
        return _work(answer, problem, is_long=True)
    return judged(answer, problem)


def judged(answer: str | None, problem: Problem, algebra: Algebra | None = None) -> Verdict | Work:
    """Return the verdict on an extracted answer, or, without computer algebra, the work left for a worker."""
    started = time.perf_counter()
    verifier = verifier_of(problem)
    try:
        if answer is None or not answer.strip():
            verdict = Verdict("no_answer", path="extract", reason="no answer" if answer is None else "an empty answer")
        else:
            arguments = (algebra,) if problem.verifier in ALGEBRAIC else ()
            decision = verifier.judge(answer, problem, *arguments)
            outcome, reason = ("correct", "") if decision.equal else ("wrong", decision.reason)
            verdict = Verdict(outcome, float(decision.equal), path=decision.path, reason=reason)
    except (Refused, RecursionError) as refusal:
        reason = str(refusal) if isinstance(refusal, Refused) else "nested too deep"
        verdict = Verdict("rejected", path="rules", reason=reason)
    except NeedsAlgebra:
        return _work(answer or "", problem)
    return _completed(verdict, answer, problem, started)


def _completed(verdict: Verdict, answer: str | None, problem: Problem, started: float) -> Verdict:
    version = version_of(problem)
    seconds = time.perf_counter() - started
    return replace(verdict, extracted=answer, verifier=problem.verifier, version=version, seconds=seconds)


def _work(answer: str, problem: Problem, is_long: bool = False) -> Work:
    draft = _completed(Verdict("error", path="algebra"), answer, problem, time.perf_counter())
    return Work({"kind": "judge", "answer": answer, "problem": _fields(problem)}, draft, is_long)


def _is_long(answer: str, problem: Problem) -> bool:
    """Long input may take any time, so it needs a worker with a timeout; short input takes milliseconds."""
    length = max(len(answer.strip()), len(problem.answer))
    return length > MAX_INLINE_CHARACTERS or len(problem.prompt) > MAX_INLINE_PROMPT_CHARACTERS


def _fields(problem: Problem) -> dict[str, Any]:
    """The problem as JSON for a worker, which calls `Problem(**fields)`."""
    fields = {field: getattr(problem, field) for field in ("id", "prompt", "answer", "verifier", "cluster")}
    return fields | {"metadata": dict(problem.metadata)}


def _forms(problem: Problem) -> Sequence[str]:
    forms = problem.metadata.get("forms", ("boxed",))
    return (forms,) if isinstance(forms, str) else forms


def _work_on_plugin(text: str, problem: Problem, plugin: Plugin) -> Work:
    sha256 = _pin(plugin, problem)
    task = {"kind": "own", "path": str(plugin.path), "name": plugin.name, "sha256": sha256}
    task |= {"text": text, "problem": _fields(problem)}
    return Work(task, Verdict("error", verifier=problem.verifier, version=sha256[:12], path="own"))


def _pin(plugin: Plugin, problem: Problem) -> str:
    """Return the SHA-256 of the plugin's current file. Raises InputError if it can't be read."""
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


@cache
def _rules_with_algebra() -> str:
    """Version of the rules and of math-verify, which may decide."""
    try:
        return f"{REVISION}+math-verify-{metadata.version('math-verify')}"
    except metadata.PackageNotFoundError:
        return str(REVISION)
