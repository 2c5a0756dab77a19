"""Verdicts on what lies in a store: those that are missing, by the rules of today."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from rlvrscope.errors import InputError
from rlvrscope.plugins import is_plugin
from rlvrscope.problem import Problem, Verdict
from rlvrscope.sampling.store.store import BATCH, SampleStore
from rlvrscope.tables.values import shown
from rlvrscope.verify import VerifierPool
from rlvrscope.verify.verifiers import version_of


def use_verifiers(store: SampleStore, problems: Sequence[Problem]) -> None:
    """Read verdicts by today's versions from now on."""
    for name, version in {problem.verifier: version_of(problem) for problem in problems}.items():
        store.use_verifier(name, version)


def verify_missing(
    store: SampleStore,
    run: str,
    problems: Sequence[Problem],
    pool: VerifierPool,
    on_progress: Callable[[int], None] = lambda count: None,
) -> int:
    """Verify the samples that have no verdict by the versions in use; how many there were. A sample never changes."""
    count = 0
    for problem in problems:
        open_cells = store.unjudged(run, problem.id)
        for start in range(0, len(open_cells), BATCH):
            wanted = set(open_cells[start : start + BATCH])
            span = store.samples(run, problem.id, range(min(wanted), max(wanted) + 1))
            found = [sample for sample in span if sample.index in wanted]
            verdicts = verdicts_on([(sample.completion.text, problem) for sample in found], pool)
            cells = [(problem.id, sample.index, verdict) for sample, verdict in zip(found, verdicts, strict=True)]
            store.judge(run, cells)
            count += len(cells)
            on_progress(len(cells))
    return count


def verdicts_on(pairs: Sequence[tuple[str, Problem]], pool: VerifierPool) -> list[Verdict]:
    """A verdict on each text and its problem; a text that a problem has several times is verified once."""
    different = {(text, id(problem)): (text, problem) for text, problem in pairs}
    verdicts = pool.map([text for text, _ in different.values()], [problem for _, problem in different.values()])
    found = dict(zip(different, verdicts, strict=True))
    return [found[text, id(problem)] for text, problem in pairs]


def check_own(problems: Sequence[Problem], allowed: Collection[str]) -> None:
    """Raises InputError for a verifier that is code, unless the user named it: a store must not choose code to run."""
    for problem in problems:
        if is_plugin(problem.verifier) and problem.verifier not in allowed:
            raise InputError(
                f"problem {shown(problem.id)} is verified by code of yours, {problem.verifier}: "
                f"if you trust it, say --verifier {problem.verifier}"
            )
