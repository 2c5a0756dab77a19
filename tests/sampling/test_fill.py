"""Filling: samples that the store lacks are drawn, each once, whatever the order and the interruptions."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filler
from rlvrscope.engines import Completion
from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem
from rlvrscope.readers import read_models
from rlvrscope.sampling import Sample, SampleStore, fill
from rlvrscope.sampling.fill import count_missing, missing_samples, sample_seed
from rlvrscope.verify import VerifierPool

CELLS = st.sets(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=25)


@given(done=CELLS, samples=st.integers(1, 8), count=st.integers(1, 4))
@settings(max_examples=25)
def test_the_plan_is_the_requested_samples_that_are_missing(
    tmp_path_factory: pytest.TempPathFactory, done: set[tuple[int, int]], samples: int, count: int
):
    """Against sets: requested - done, in order; samples past the requested ones do not matter."""
    problems = [Problem(f"p{number}", "?", "1") for number in range(4)]
    with SampleStore(tmp_path_factory.mktemp("plan") / "s.sqlite") as store:
        store.connection.execute("PRAGMA synchronous = OFF")
        store.begin("samples", {}, problems)
        store.add("samples", [Sample(f"p{problem}", index, 0, Completion("x")) for problem, index in done])
        missing = [
            (problem.id, index) for problem, index in missing_samples(store, "samples", problems[:count], samples)
        ]
        requested = {(f"p{problem}", index) for problem in range(count) for index in range(samples)}
        assert missing == sorted(requested - {(f"p{problem}", index) for problem, index in done})
        assert count_missing(store, "samples", problems[:count], samples) == len(missing)


def test_more_samples_add_only_what_is_missing(tmp_path: Path):
    with SampleStore(tmp_path / "a") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 10)
        engine = filler.Guesser()
        progress = fill(store, filler.PROBLEMS, engine, 25)
    assert (progress.existing, progress.new, progress.total, progress.done) == (60, 90, 150, 150)
    assert sorted(engine.requested) == sorted((f"p{p}", index) for p in range(6) for index in range(10, 25))
    with SampleStore(tmp_path / "b") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 25)
    assert filler.verified_samples(tmp_path / "a") == filler.verified_samples(tmp_path / "b")


def test_neither_order_nor_batches_nor_other_problems_change_a_sample(tmp_path: Path):
    with SampleStore(tmp_path / "a") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 9)
    with SampleStore(tmp_path / "b") as store:
        for problems in (filler.PROBLEMS[3:4], filler.PROBLEMS[::-1]):
            fill(store, problems, filler.Guesser(batch=7, reverse=True), 9)
    assert filler.verified_samples(tmp_path / "a") == filler.verified_samples(tmp_path / "b")


def test_seeds_are_fixed_for_good_and_differ():
    """Stores that users have depend on it."""
    assert sample_seed(0, "p1", 3) == 3956496216940591789
    names = [(seed, problem, index) for seed in range(3) for problem in ("a", "b", "a1") for index in range(12)]
    assert len({sample_seed(*name) for name in names}) == len(names)


def test_failed_samples_are_listed_and_tried_again(tmp_path: Path):
    broken = frozenset({("p1", 3), ("p4", 0)})
    with SampleStore(tmp_path) as store:
        progress = fill(store, filler.PROBLEMS, filler.Guesser(fails=broken), 5)
        assert (progress.new, progress.failed) == (28, 2)
        assert progress.failures == [("p1", 3, "the line went dead"), ("p4", 0, "the line went dead")]
        engine = filler.Guesser()
        assert fill(store, filler.PROBLEMS, engine, 5).failed == 0
        assert set(engine.requested) == broken


def test_stop_finishes_the_batch_at_hand(tmp_path: Path):
    """Asked before each cell: what the engine has taken by then is kept."""
    engine = filler.Guesser(batch=16)
    with SampleStore(tmp_path) as store:
        progress = fill(store, filler.PROBLEMS, engine, 40, stop=lambda: len(engine.requested) >= 100)
        assert progress.stopped
        assert progress.new == len(engine.requested) == 112  # 7 batches of 16
        assert not fill(store, filler.PROBLEMS, engine, 40).stopped
    assert len(engine.requested) == len(set(engine.requested)) == 240


def test_the_engine_goes_on_while_a_batch_is_verified(tmp_path: Path):
    """The first batch's verdicts wait until the second is being drawn: the other way round it would be for ever."""
    going_on = threading.Event()

    class Patient(VerifierPool):
        def map(self, texts, problems, on_progress=None):
            assert not texts or going_on.wait(30.0)
            return super().map(texts, problems, on_progress)

    class Telling(filler.Guesser):
        def run(self, requests):
            for number, result in enumerate(super().run(requests)):
                yield result
                if number == 300:
                    going_on.set()

    with SampleStore(tmp_path) as store, Patient(workers=1) as pool:
        progress = fill(store, filler.PROBLEMS, Telling(batch=256), 100, pool=pool)
    assert progress.new == 600
    assert going_on.is_set()


def test_what_waits_for_long_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A slow engine's batch is on the disk before the next one is drawn: read by another connection."""
    monkeypatch.setattr(sys.modules[fill.__module__], "MAX_COMMIT_SECONDS", 0.0)
    seen = []

    class Slow(filler.Guesser):
        def run(self, requests):
            while result := list(super().run(itertools.islice(requests, 16))):
                yield from result
                time.sleep(0.1)  # it takes its time; what came before is committed when it asks for more
                with SampleStore(tmp_path, write=False) as store:
                    seen.append(len(list(store.samples("samples"))))

    with SampleStore(tmp_path) as store:
        fill(store, filler.PROBLEMS, Slow(), 20)
    assert len(seen) == 8
    assert all(stored >= 16 * (turn - 1) for turn, stored in enumerate(seen)), seen


def test_a_run_without_samples_may_change_its_settings(tmp_path: Path):
    """Settings of a first command without any sample may be changed."""
    everything = frozenset((f"p{number}", index) for number in range(6) for index in range(3))
    with SampleStore(tmp_path) as store:
        assert fill(store, filler.PROBLEMS, filler.Guesser({"max_tokens": 5000}, fails=everything), 3).failed == 18
        fill(store, filler.PROBLEMS, filler.Guesser({"max_tokens": 300}), 3)
        assert store.runs()["samples"]["max_tokens"] == 300
        with pytest.raises(InputError, match="another model or settings"):
            fill(store, filler.PROBLEMS, filler.Guesser({"max_tokens": 5000}), 4)


SLOW = """
import sys
from rlvrscope.cli.shared.sampling_progress import SamplingProgress
from rlvrscope.verify import VerifierPool
from rlvrscope.sampling import SampleStore, fill
from rlvrscope.problem import Problem
from rich.console import Console
sys.path.insert(0, sys.argv[1])
import filler
problems = [Problem(p.id, p.prompt, p.answer, f"{sys.argv[2]}:check") for p in filler.PROBLEMS]
console = Console(file=sys.stdout)
with SampleStore(sys.argv[3]) as store, VerifierPool(2, 60.0) as pool, SamplingProgress(console) as line:
    print("begun", flush=True)
    fill(store, problems, filler.Guesser(), 1000, pool=pool, stop=lambda: line.stopped)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGINT")
def test_a_second_ctrl_c_waits_for_no_verifier(tmp_path: Path):
    """256 samples whose verifying takes 30 s each."""
    own = tmp_path / "slow.py"
    own.write_text("import time\n\ndef check(text, problem):\n    time.sleep(30)\n    return 1.0\n")
    words = [sys.executable, "-c", SLOW, str(Path(filler.__file__).parent), str(own), str(tmp_path / "s")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    assert "Ctrl-C again" in process.stdout.readline()
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < 15.0
    assert "KeyboardInterrupt" in errors


@pytest.mark.parametrize(("samples", "identical"), [(1, False), (2, False), (3, True)])
def test_an_engine_that_does_not_draw_is_told(tmp_path: Path, samples: int, identical: bool):
    """Six problems: from eight repeats on; and never where texts differ."""

    class Greedy(filler.Guesser):
        def run(self, requests):
            yield from ((request, Completion(f"{request.problem.id} is \\boxed{{1}}")) for request in requests)

    for name, engine in (("greedy", Greedy(honours_seeds=False)), ("drawn", filler.Guesser(honours_seeds=False))):
        with SampleStore(tmp_path / name) as store:
            progress = fill(store, filler.PROBLEMS, engine, samples)
            assert progress.identical is (identical and name == "greedy")


def test_what_came_before_an_engine_gave_up_is_kept(tmp_path: Path):
    class Dying(filler.Guesser):
        def run(self, requests):
            for number, result in enumerate(super().run(requests)):
                if number == 30:
                    raise WorkError("the server is gone")
                yield result

    with SampleStore(tmp_path) as store:
        with pytest.raises(WorkError, match="the server is gone"):
            fill(store, filler.PROBLEMS, Dying(), 10)
        assert fill(store, filler.PROBLEMS, filler.Guesser(), 10).existing == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity": {"engine": "guesser", "temperature": 0.7}}, "temperature was 1.0, is now 0.7"),
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"template": "plain"}, "template was None, is now 'plain'"),
        ({"problem": Problem("p0", "What is 0+2?", "1")}, "problem 'p0' has changed: prompt was"),
        ({"problem": Problem("p0", "What is 0+1?", "2")}, "answer was '1', is now '2'"),
    ],
)
def test_distributions_are_never_mixed(tmp_path: Path, change: dict, message: str):
    with SampleStore(tmp_path) as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 2)
        before = filler.verified_samples(tmp_path)
        engine = filler.Guesser(**({"identity": change.pop("identity")} if "identity" in change else {}))
        problems = [change.pop("problem"), *filler.PROBLEMS[1:]] if "problem" in change else filler.PROBLEMS
        with pytest.raises(InputError, match="is now") as refused:
            fill(store, problems, engine, 4, **change)
    assert message in str(refused.value)
    assert not engine.requested
    assert filler.verified_samples(tmp_path) == before


def test_a_model_that_has_moved_is_the_same_model(tmp_path: Path):
    with SampleStore(tmp_path) as store:
        for place in ("here", "there"):
            fill(store, filler.PROBLEMS, filler.Guesser({"model": place, "model_hash": "ab"}), 2)
        with pytest.raises(InputError, match="model_hash was 'ab', is now 'cd'"):
            fill(store, filler.PROBLEMS, filler.Guesser({"model": "here", "model_hash": "cd"}), 2)


def test_counts_are_those_of_the_verdicts(tmp_path: Path):
    """By hand: problem p3 is right where the text holds a boxed 4."""
    with SampleStore(tmp_path / "s.sqlite") as store:
        progress = fill(store, filler.PROBLEMS, filler.Guesser(), 300)
    (model,) = read_models(str(tmp_path / "s.sqlite"))
    texts = {
        cell: sample.completion.text for cell, (sample, _) in filler.verified_samples(tmp_path / "s.sqlite").items()
    }
    for problem in filler.PROBLEMS:
        right = sum(f"boxed{{{problem.answer}}}" in text for (name, _), text in texts.items() if name == problem.id)
        at = model.counts.problems.index(problem.id)
        assert (model.counts.n[at], model.counts.c[at]) == (300, right)
    assert progress.outcomes["correct"] == model.counts.c.sum()
    assert {"correct", "wrong", "no_answer"} == set(progress.outcomes)
    correct = model.texts("p3", limit=3, correct=True)
    assert [sample.answer for sample in correct] == ["4"] * 3


@pytest.mark.parametrize(("samples", "problems"), [(0, 1), (1, 0), (1, 2)])
def test_nothing_to_fill_is_refused(tmp_path: Path, samples: int, problems: int):
    same = [filler.PROBLEMS[0]] * problems
    with SampleStore(tmp_path) as store, pytest.raises(InputError):
        fill(store, same, filler.Guesser(), samples)
