"""Filling a store: the samples it lacks are drawn by an engine, verified, and committed in batches."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from rlvrscope.engines.engine import NO_TEXT, Completion, Engine, Failure, Request
from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem
from rlvrscope.problems.templates import template_of
from rlvrscope.sampling.rates import Rates
from rlvrscope.sampling.store.sample_store import BATCH, RUN, Sample, SampleStore
from rlvrscope.sampling.verdicts import use_verifiers, verify_missing, verify_texts
from rlvrscope.scoring import Fact
from rlvrscope.seeding import derive_seed
from rlvrscope.stats.counts import MAX_SAMPLES
from rlvrscope.verify import VerifierPool

MAX_COMMIT_SECONDS = 10.0
"""A batch is committed after this time, full or not."""
MIN_REPEATS = 8
"""An engine with this many duplicate texts, and no problem with two different ones, counts as deterministic."""
MAX_FAILURES = 1_000
"""At most this many failed samples are listed; all are counted."""


@dataclass
class FillProgress:
    """Progress of a run. total: samples requested; existing: samples in the store before; failures: (problem, index,
    reason).

    outcomes: of the new samples; truncated_outcomes: of those among them that the token limit cut off. silent: new
    samples that stopped after their reasoning, without a text.

    For engines that do not honour seeds, within each batch: repeats: samples whose text repeats another of the same
    problem; varied: problems with several different texts.
    """

    total: int
    existing: int
    new: int = 0
    failed: int = 0
    tokens: int = 0
    stopped: bool = False
    repeats: int = 0
    varied: int = 0
    silent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    truncated_outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic, compare=False)

    @property
    def done(self) -> int:
        return self.existing + self.new

    @property
    def rates(self) -> Rates:
        """Rates of the new samples."""
        return Rates.of(self.outcomes, self.truncated_outcomes)

    @property
    def identical(self) -> bool:
        """True if each problem's samples are all the same, as from a server that always decodes greedily."""
        return self.repeats >= MIN_REPEATS and not self.varied

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


OnProgress = Callable[[FillProgress], None]
CommitResult = tuple[int, Counter[str], Counter[str]]
"""New samples of a batch, the outcomes of all its samples, and those of its truncated ones."""


def run_identity(engine: Engine, seed: int = 0, template: str | None = None) -> dict[str, Fact]:
    """Return what identifies a run's distribution: the engine's identity, the prompt template, and the seed."""
    text = "" if template is None else template_of(template).text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12] if template else None
    return {**engine.identity, "template": template, "template_hash": digest, "seed": seed}


def sample_seed(seed: int, problem: str, index: int) -> int:
    """Return the seed of a sample, from 0 to 2^63 - 1. It depends on these arguments alone."""
    return derive_seed(seed, "sample", problem, index)


def missing_samples(
    store: SampleStore, run: str, problems: Sequence[Problem], samples: int
) -> Iterator[tuple[Problem, int]]:
    """Yield (problem, index) of samples the store lacks, problem by problem in order of index, lazily."""
    for problem in problems:
        existing = store.existing(run, problem.id, range(samples))
        for index in range(samples):
            if index not in existing:
                yield problem, index


def count_missing(store: SampleStore, run: str, problems: Sequence[Problem], samples: int) -> int:
    return sum(samples - len(store.existing(run, problem.id, range(samples))) for problem in problems)


def check_plan(problems: Sequence[Problem], samples: int) -> None:
    """Raises InputError unless there are problems with unique ids, and 1 to MAX_SAMPLES samples for each."""
    if not 1 <= samples <= MAX_SAMPLES:
        raise InputError(f"samples of a problem must be from 1 to {MAX_SAMPLES:,}; got {samples}")
    if not problems:
        raise InputError("there must be a problem to sample")
    repeated = [name for name, count in Counter(problem.id for problem in problems).items() if count > 1]
    if repeated:
        raise InputError(f"two problems have the id {repeated[0]!r}: give each its own")


def fill(
    store: SampleStore,
    problems: Sequence[Problem],
    engine: Engine,
    samples_per_problem: int,
    *,
    run: str = RUN,
    seed: int = 0,
    template: str | None = None,
    pool: VerifierPool | None = None,
    on_progress: OnProgress = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> FillProgress:
    """Draw the samples that are missing for each problem; verify and commit 256 at a time.

    Resumable: killed at any moment and called again, it draws only what was not committed. A sample's seed derives from
    (seed, problem id, index) alone. template: a name in `rlvrscope.problems.TEMPLATES` to apply to prompts; None leaves
    them unchanged. pool: verifier workers; by default one is made. stop: checked before each request; once true,
    no more are issued, and those in flight are finished and committed.

    Raises InputError if the run holds samples of another model or other settings; WorkError for a full disk or an
    engine that fails: what was committed is safe.
    """
    check_plan(problems, samples_per_problem)
    store.begin(run, run_identity(engine, seed, template), problems)
    use_verifiers(store, problems)
    total = samples_per_problem * len(problems)
    progress = FillProgress(total, total - count_missing(store, run, problems, samples_per_problem))
    prompt_template = None if template is None else template_of(template)

    def requests(committer: _Committer) -> Iterator[Request]:
        for problem, index in missing_samples(store, run, problems, samples_per_problem):
            if stop():
                progress.stopped = True
                return
            committer.poll()
            prompt = problem.prompt if prompt_template is None else prompt_template.render(problem)
            yield Request(problem, index, prompt, sample_seed(seed, problem.id, index))

    with contextlib.ExitStack() as stack:
        workers = pool or stack.enter_context(VerifierPool())
        verify_missing(store, run, problems, workers)
        progress.started = time.monotonic()
        on_progress(progress)
        committer = _Committer(store, run, workers, progress, on_progress, engine.honours_seeds)
        _draw(engine, requests(committer), committer)
    store.check_place()
    progress.stopped = progress.stopped or (stop() and progress.done < progress.total)
    return progress


@dataclass
class _Committer:
    """Collects completions; verifies and commits each batch in a thread while the engine draws the next."""

    store: SampleStore
    run: str
    pool: VerifierPool
    progress: FillProgress
    on_progress: OnProgress
    honours_seeds: bool
    batch: list[tuple[Request, Completion]] = field(default_factory=list)
    pending: Future[CommitResult] | None = None
    last_commit: float = field(default_factory=time.monotonic)

    def add(self, request: Request, completion: Completion) -> None:
        self.batch.append((request, completion))
        if len(self.batch) >= BATCH:
            self.commit()

    def fail(self, request: Request, failure: Failure) -> None:
        self.progress.failed += 1
        if len(self.progress.failures) < MAX_FAILURES:
            self.progress.failures.append((request.problem.id, request.index, failure.reason))

    def poll(self) -> None:
        """Report a finished commit, and start one if the batch has waited too long."""
        if self.pending is not None and self.pending.done():
            self.settle()
        if time.monotonic() - self.last_commit > MAX_COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Start to commit the batch once the previous one is on disk. Raises what that one raised."""
        self.settle()
        self.last_commit = time.monotonic()
        if self.batch:
            batch, self.batch = self.batch, []
            self.progress.tokens += sum(completion.tokens or 0 for _, completion in batch)
            self.progress.silent += sum(completion.note == NO_TEXT for _, completion in batch)
            if not self.honours_seeds:
                self._count_repeats(batch)
            self.pending = _in_thread(lambda: self._write(batch))

    def settle(self) -> None:
        """Wait for the pending commit, and report it."""
        if self.pending is None:
            return
        pending, self.pending = self.pending, None
        new, outcomes, truncated_outcomes = pending.result()
        self.progress.new += new
        self.progress.outcomes.update(outcomes)
        self.progress.truncated_outcomes.update(truncated_outcomes)
        self.on_progress(self.progress)

    def finish(self) -> None:
        self.commit()
        self.settle()

    def _count_repeats(self, batch: Sequence[tuple[Request, Completion]]) -> None:
        texts_of: dict[str, list[str]] = {}
        for request, completion in batch:
            if text := completion.reasoning + completion.text:  # truncated without either: no sign of repetition
                texts_of.setdefault(request.problem.id, []).append(text)
        for texts in texts_of.values():
            self.progress.varied += len(set(texts)) > 1
            self.progress.repeats += len(texts) - len(set(texts))

    def _write(self, batch: Sequence[tuple[Request, Completion]]) -> CommitResult:
        verdicts = verify_texts([(completion.text, request.problem) for request, completion in batch], self.pool)
        samples = [Sample(request.problem.id, request.index, request.seed, completion) for request, completion in batch]
        new = self.store.add(self.run, samples, verdicts)
        truncated = (v.outcome for (_, completion), v in zip(batch, verdicts, strict=True) if completion.truncated)
        return new, Counter(verdict.outcome for verdict in verdicts), Counter(truncated)


def _in_thread(work: Callable[[], CommitResult]) -> Future[CommitResult]:
    """Run work in a daemon thread, which Ctrl-C does not wait for (an executor's threads would be joined at exit)."""
    future: Future[CommitResult] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is read
            future.set_exception(error)

    threading.Thread(target=run, name="rlvrscope-store", daemon=True).start()
    return future


def _draw(engine: Engine, requests: Iterator[Request], committer: _Committer) -> None:
    """Take every result of the engine; if it raises, commit what came before."""
    try:
        for request, result in engine.run(requests):
            if isinstance(result, Failure):
                committer.fail(request, result)
            else:
                committer.add(request, result)
    except Exception as error:
        try:
            committer.finish()
        except Exception as second:  # noqa: BLE001 - reported with the first
            if str(second) != str(error):
                raise WorkError(f"{error}. And the samples drawn before could not be committed: {second}") from error
        raise
    committer.finish()
