"""Verification of stored samples: adds the verdicts that are missing by the current verifiers' rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rlvrscope.errors import InputError
from rlvrscope.plugins import Plugin
from rlvrscope.problem import Problem, Verdict
from rlvrscope.sampling.store.sample_store import BATCH, Sample, SampleStore
from rlvrscope.tables.table import MAX_BATCH_CHARACTERS, take_rows
from rlvrscope.tables.values import shorten
from rlvrscope.verify import VerifierPool
from rlvrscope.verify.verifiers import version_of


def use_verifiers(store: SampleStore, problems: Sequence[Problem]) -> None:
    """Make the store read the verdicts of the verifiers' current versions."""
    for name, version in {problem.verifier: version_of(problem) for problem in problems}.items():
        store.use_verifier(name, version)


def verify_missing(store: SampleStore, run: str, problems: Sequence[Problem], pool: VerifierPool) -> int:
    """Verify samples without a verdict by the current versions; return how many. Samples never change."""
    total = 0
    for problem in problems:
        unverified = set(store.unverified(run, problem.id))
        span = store.samples(run, problem.id, range(min(unverified, default=0), max(unverified, default=-1) + 1))
        numbered = ((one.index, (one,), len(one.completion.text)) for one in span if one.index in unverified)
        while taken := take_rows(numbered, BATCH, MAX_BATCH_CHARACTERS):
            samples: list[Sample] = [sample for _, (sample,), _ in taken]
            verdicts = verify_texts([(sample.completion.text, problem) for sample in samples], pool)
            pairs = zip(samples, verdicts, strict=True)
            store.add_verdicts(run, [(problem.id, sample.index, verdict) for sample, verdict in pairs])
            total += len(samples)
    return total


def verify_texts(pairs: Sequence[tuple[str, Problem]], pool: VerifierPool) -> list[Verdict]:
    """Return a verdict for each (text, problem). Repeated pairs are verified once."""
    different = {(text, id(problem)): (text, problem) for text, problem in pairs}
    verdicts = pool.map([text for text, _ in different.values()], [problem for _, problem in different.values()])
    verdict_of = dict(zip(different, verdicts, strict=True))
    return [verdict_of[text, id(problem)] for text, problem in pairs]


def check_plugin_verifiers(problems: Sequence[Problem], allowed: Collection[str]) -> None:
    """Raises InputError for a user's own verifier that is not allowed: a store must not choose code to run."""
    for problem in problems:
        if Plugin.parse(problem.verifier) and problem.verifier not in allowed:
            raise InputError(
                f"problem {shorten(problem.id)} is verified by your own code, {problem.verifier}: "
                f"if you trust it, add --verifier {problem.verifier}"
            )
