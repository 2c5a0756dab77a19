"""Filling a store: what is wanted less what is there, drawn by an engine, and verified and committed beside it."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from rlvrscope.engines.engine import Completion, Engine, Fact, Failure, Request
from rlvrscope.errors import WorkError
from rlvrscope.problem import Problem
from rlvrscope.problems.templates import template_of
from rlvrscope.sampling.cells import cell_seed, check_wanted, count_missing, missing
from rlvrscope.sampling.store.store import BATCH, RUN, Sample, SampleStore
from rlvrscope.sampling.verdicts import use_verifiers, verdicts_on, verify_missing
from rlvrscope.verify import VerifierPool

SECONDS = 10.0
"""After which what there is of a batch is committed, whole or not."""
REPEATS = 8
"""Samples that only repeat another of their problem, from which on an engine is taken not to draw."""
MAX_FAILURES = 1_000
"""Failed cells that are kept to be listed; all are counted."""


@dataclass
class Filled:
    """How far a run is. wanted: cells of the plan; before: those filled already; failures: (problem, index, reason).

    repeats: samples of an engine that does not honour seeds with the very text of another of their problem in their
    batch; varied: others of a problem that has several.
    """

    wanted: int
    before: int
    new: int = 0
    failed: int = 0
    tokens: int = 0
    stopped: bool = False
    repeats: int = 0
    varied: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic, compare=False)

    @property
    def done(self) -> int:
        return self.before + self.new

    @property
    def alike(self) -> bool:
        """As of a server that takes the most likely token, whatever temperature it is told."""
        return self.repeats >= REPEATS and not self.varied

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


OnProgress = Callable[[Filled], None]
Written = tuple[int, Counter[str]]
"""Of a batch: how many samples were new, and every outcome."""


def population(engine: Engine, seed: int = 0, template: str | None = None) -> dict[str, Fact]:
    """What tells the samples from others: the engine's identity, the template around prompts, and the run's seed."""
    text = "" if template is None else template_of(template).text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12] if template else None
    return {**engine.identity, "template": template, "template_hash": digest, "seed": seed}


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
    on_progress: OnProgress = lambda filled: None,
    stop: Callable[[], bool] = lambda: False,
) -> Filled:
    """Draw what is missing of `samples_per_problem` for each problem; verify and commit 256 at a time.

    Killed at any moment and called again, it goes on: a cell that is filled is not drawn again, and its seed derives
    from (seed, problem id, index) alone. template: a name of `rlvrscope.problems.TEMPLATES` to put around prompts; None
    leaves them as they are. pool: workers to verify with; its own by default. stop: asked before each cell; once true,
    the batch at hand is finished.

    Raises InputError where it would mix populations; WorkError for a full disk or an engine that can't go on: what was
    committed is safe.
    """
    check_wanted(problems, samples_per_problem)
    store.begin(run, population(engine, seed, template), problems)
    use_verifiers(store, problems)
    wanted = samples_per_problem * len(problems)
    filled = Filled(wanted, wanted - count_missing(store, run, problems, samples_per_problem))
    around = None if template is None else template_of(template)

    def requests(commits: _Commits) -> Iterator[Request]:
        for problem, index in missing(store, run, problems, samples_per_problem):
            if stop():
                filled.stopped = True
                return
            commits.look()
            prompt = problem.prompt if around is None else around.render(problem)
            yield Request(problem, index, prompt, cell_seed(seed, problem.id, index))

    with contextlib.ExitStack() as stack:
        workers = pool or stack.enter_context(VerifierPool())
        verify_missing(store, run, problems, workers)
        filled.started = time.monotonic()
        on_progress(filled)
        commits = _Commits(store, run, workers, filled, on_progress, engine.honours_seeds)
        _take(engine, requests(commits), commits)
    return filled


@dataclass
class _Commits:
    """Gathers completions, and verifies and commits a batch while the engine draws the next."""

    store: SampleStore
    run: str
    pool: VerifierPool
    filled: Filled
    on_progress: OnProgress
    by_seed: bool
    batch: list[tuple[Request, Completion]] = field(default_factory=list)
    under_way: Future[Written] | None = None
    begun: float = field(default_factory=time.monotonic)

    def add(self, request: Request, completion: Completion) -> None:
        self.batch.append((request, completion))
        if len(self.batch) >= BATCH:
            self.commit()

    def look(self) -> None:
        """Whenever the engine asks for more: is the last batch on the disk, and has this one waited for long?"""
        if self.under_way is not None and self.under_way.done():
            self.settle()
        if time.monotonic() - self.begun > SECONDS:
            self.commit()

    def fail(self, request: Request, failure: Failure) -> None:
        self.filled.failed += 1
        if len(self.filled.failures) < MAX_FAILURES:
            self.filled.failures.append((request.problem.id, request.index, failure.reason))

    def commit(self) -> None:
        """Begin with this batch when the last one is on the disk. Raises what went wrong with that."""
        self.settle()
        self.begun = time.monotonic()
        if self.batch:
            batch, self.batch = self.batch, []
            self.filled.tokens += sum(said.tokens or 0 for _, said in batch)
            if not self.by_seed:
                self._compare(batch)
            self.under_way = _beside(lambda: self._write(batch))

    def _compare(self, batch: Sequence[tuple[Request, Completion]]) -> None:
        texts: dict[str, list[str]] = {}
        for request, said in batch:
            texts.setdefault(request.problem.id, []).append(said.text)
        for of_one in texts.values():
            self.filled.varied += len(set(of_one)) > 1
            self.filled.repeats += len(of_one) - len(set(of_one))

    def settle(self) -> None:
        """Wait for the batch that is under way, and tell of it."""
        if self.under_way is None:
            return
        under_way, self.under_way = self.under_way, None
        new, outcomes = under_way.result()
        self.filled.new += new
        self.filled.outcomes.update(outcomes)
        self.on_progress(self.filled)

    def finish(self) -> None:
        self.commit()
        self.settle()

    def _write(self, batch: Sequence[tuple[Request, Completion]]) -> tuple[int, Counter[str]]:
        """How many were new, and every outcome."""
        verdicts = verdicts_on([(said.text, request.problem) for request, said in batch], self.pool)
        samples = [Sample(request.problem.id, request.index, request.seed, said) for request, said in batch]
        new = self.store.add(self.run, samples, verdicts)
        return new, Counter(verdict.outcome for verdict in verdicts)


def _beside(work: Callable[[], Written]) -> Future[Written]:
    """Do it in a thread that nobody waits for at the end: Ctrl-C must not."""
    future: Future[Written] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is told where the result is asked for
            future.set_exception(error)

    threading.Thread(target=do, name="rlvrscope-store", daemon=True).start()
    return future


def _take(engine: Engine, requests: Iterator[Request], commits: _Commits) -> None:
    """Everything the engine gives; what came before it gave up is kept too."""
    try:
        for request, result in engine.run(requests):
            if isinstance(result, Failure):
                commits.fail(request, result)
            else:
                commits.add(request, result)
    except Exception as error:
        try:
            commits.finish()
        except Exception as second:  # noqa: BLE001 - whatever it is, it is told
            if str(second) != str(error):
                raise WorkError(f"{error}. And what had come could not be kept: {second}") from error
        raise
    commits.finish()
