"""Texts made to deceive, hang, take over or break the verifier."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

import hostile
from rlvrscope.problem import Problem
from rlvrscope.verify import VerifierPool, verify_answer
from rlvrscope.verify.verifiers import start

CASES = hostile.cases()
TIMEOUT = 1.0


@pytest.fixture(scope="module")
def verdicts():
    """The verdicts of all texts in one batch."""
    with VerifierPool(workers=2, timeout=TIMEOUT) as pool:
        return pool.map([text for _, text, _ in CASES], [problem for *_, problem in CASES])


def test_there_are_many_texts():
    assert len({text for _, text, _ in CASES}) >= 200


def test_none_is_correct_and_none_breaks_the_verifier(verdicts):
    wrong = [
        (name, verdict)
        for (name, *_), verdict in zip(CASES, verdicts, strict=True)
        if verdict.outcome in ("correct", "error") or verdict.score != 0.0
    ]
    assert wrong == []


def test_none_takes_longer_than_its_timeout(verdicts):
    late = {
        name: verdict.seconds
        for (name, *_), verdict in zip(CASES, verdicts, strict=True)
        if verdict.seconds > TIMEOUT + 0.5
    }
    assert late == {}


def test_none_takes_long_in_the_calling_process():
    for name, text, problem in CASES:
        seconds = min(_seconds(text, problem) for _ in range(3))  # the machine may be busy
        assert seconds < 0.05, name


def _seconds(text: str, problem: Problem) -> float:
    started = time.perf_counter()
    start(text, problem)
    return time.perf_counter() - started


def test_no_process_used_more_than_two_gigabytes(verdicts):  # noqa: ARG001
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        assert resource.getrusage(who).ru_maxrss < 2 * 2**20  # kilobytes


def test_no_payload_was_executed(verdicts):  # noqa: ARG001
    assert not Path("/tmp/rlvrscope-was-here").exists()


def test_one_by_one():
    for name, text, problem in CASES:
        verdict = verify_answer(text, problem)
        assert verdict.outcome not in ("correct", "error"), name
        assert verdict.seconds <= 1.5 + 0.5, name


def test_payloads_in_a_prompt_are_only_text():
    for payload in hostile.PAYLOADS:
        assert verify_answer("\\boxed{3}", Problem("p", payload, "2")).outcome == "wrong"


def test_the_docs_state_the_number_of_texts():
    page = (Path(__file__).parents[2] / "docs" / "verifying.md").read_text(encoding="utf-8")
    assert f"`tests/helpers/hostile.py` has {len(CASES)} texts" in page
