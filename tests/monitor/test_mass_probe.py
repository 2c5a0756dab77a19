"""The mass probe on a distribution that is known: classes, shares left by importance weights, files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from rlvrscope.errors import InputError
from rlvrscope.monitor import Bank, MassProbe, StageMonitor
from rlvrscope.problem import Problem
from rlvrscope.scoring import Fact, ScoreRequest, TokenScores
from rlvrscope.seeding import generator

RIGHT = {"a": 0.3, "b": 0.02, "c": 0.003, "d": 0.001}
WRONG = {"w": 0.6, "x": 0.076}


class TableScorer:
    """A model that is a table of probabilities."""

    identity: Mapping[str, Fact] = {"engine": "table", "model": "t", "model_hash": "0"}

    def __init__(self, probability: Mapping[str, float]) -> None:
        self.probability = probability

    def score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
        return [TokenScores((0,), (math.log(self.probability[request.completion]),)) for request in requests]

    def close(self) -> None:
        pass


def request(text: str, problem: str = "p") -> ScoreRequest:
    return ScoreRequest(Problem(problem, "?", "1"), "?", text)


def bank(drawn: Mapping[str, int], problem: str = "p", discovered: Sequence[str] = ()) -> Bank:
    right = {request(text, problem): drawn[text] for text in RIGHT if text in drawn}
    wrong = {request(text, problem): drawn[text] for text in WRONG if text in drawn}
    return Bank.of(TableScorer(RIGHT | WRONG), right, wrong, [request(text, problem) for text in discovered])


EVERYTHING = dict.fromkeys(RIGHT | WRONG, 0)


def test_classes_by_the_mass_under_the_base():
    kinds = {one.request.completion: one.kind for one in bank(EVERYTHING).completions}
    assert kinds == {"a": "dominant", "b": "other", "c": "rare", "d": "rare", "w": "wrong", "x": "wrong"}
    later = bank({"a": 3, "w": 1}, discovered=["a", "b"])
    assert {one.request.completion: one.kind for one in later.completions} == {
        "a": "dominant", "w": "wrong", "b": "discovered"
    }  # fmt: skip


def test_masses_are_exact_where_everything_is_stored():
    changed = {"a": 0.5, "b": 0.01, "c": 0.001, "d": 0.0005, "w": 0.4, "x": 0.0885}
    probe = MassProbe(bank(EVERYTHING), TableScorer(RIGHT | WRONG))
    before = probe.score(0)
    probe.scorer = TableScorer(changed)
    after = probe.score(10)
    rare = after.classes["rare"]
    assert rare.mass == pytest.approx(0.0015)
    assert rare.log_mass == pytest.approx(math.log(0.0015))
    assert rare.left == pytest.approx(0.0015 / 0.004)
    assert rare.flow == pytest.approx((math.log(0.0015) - math.log(0.004)) / 10)
    assert after.rare_log_mass == rare.log_mass
    assert math.isnan(before.classes["rare"].flow)
    assert after.classes["dominant"].left == pytest.approx(5 / 3)
    assert math.isnan(rare.log_mass_error)


def test_the_share_left_of_a_sampled_bank_counts_what_was_not_drawn():
    """Importance weights: the mean over banks is the true share of the mass, though most is not stored."""
    texts = [f"r{number}" for number in range(400)]
    base = {"a": 0.5} | dict.fromkeys(texts, 0.001) | {"w": 0.1}
    now = base | {text: 0.002 * (number % 2) for number, text in enumerate(texts)} | {"a": 0.5 - 1e-9}
    now = {text: max(mass, 1e-12) for text, mass in now.items()}
    rng, left, mass = generator(0), [], []
    names, weights = list(base), np.array(list(base.values()))
    for _ in range(300):
        drawn = Counter(rng.choice(names, size=64, p=weights / weights.sum()).tolist())
        right = {request(text): times for text, times in drawn.items() if text != "w"}
        one = MassProbe(Bank.of(TableScorer(base), right, {}), TableScorer(now)).score()
        left.append(one.classes["rare"].left)
        mass.append(one.classes["rare"].mass)
    assert np.mean(left) == pytest.approx(1.0, abs=4 * np.std(left) / math.sqrt(len(left)))
    assert np.mean(mass) < 0.04  # of .4: the stored mass alone is a lower bound


def test_errors_are_over_prompts():
    problems = [f"p{number}" for number in range(5)]
    stored = [one for problem in problems for one in bank(EVERYTHING, problem).completions]
    row = MassProbe(Bank({}, stored), TableScorer(RIGHT | WRONG)).score(1)
    assert (row.classes["rare"].prompts, row.classes["rare"].log_mass_error) == (5, 0.0)


def test_a_bank_is_kept_in_a_file(tmp_path: Path):
    written = bank(EVERYTHING)
    written.save(tmp_path / "bank.jsonl")
    assert Bank.load(tmp_path / "bank.jsonl") == written


@pytest.mark.parametrize(
    "text", ["", "{}", "no json", '{"rlvrscope": "bank", "format_version": 1, "base": {}, "tokens": ""}\n{}']
)
def test_a_file_that_is_no_bank(tmp_path: Path, text: str):
    (tmp_path / "b.jsonl").write_text(text)
    with pytest.raises(InputError, match="is no bank of stored completions"):
        Bank.load(tmp_path / "b.jsonl")


def test_a_newer_bank(tmp_path: Path):
    (tmp_path / "b.jsonl").write_text('{"rlvrscope": "bank", "format_version": 2, "base": {}}')
    with pytest.raises(InputError, match="has format 2; this version reads 1"):
        Bank.load(tmp_path / "b.jsonl")


def test_a_bank_needs_right_completions():
    with pytest.raises(InputError, match="a bank needs right completions"):
        Bank.of(TableScorer(WRONG), {}, {request("w"): 1})


def test_probe_rows_tell_the_stage():
    monitor, probe = StageMonitor(), MassProbe(bank(EVERYTHING), TableScorer(RIGHT | WRONG))
    for step in range(40):
        rare = 0.002 * math.exp(0.05 * abs(step - 15)) * (1 + 0.01 * (step % 3))
        probe.scorer = TableScorer(RIGHT | WRONG | {"c": rare, "d": rare})
        reading = monitor.update(probe.score(step))
        if step == 15:
            assert reading.stage == "exploitation"
    assert (monitor.update({"step": 40}).stage, monitor.update({"step": 41}).basis) == ("exploration", "probe")


def test_steps_must_rise():
    probe = MassProbe(bank(EVERYTHING), TableScorer(RIGHT | WRONG))
    probe.score(3)
    with pytest.raises(InputError, match="steps must rise; got step 3 after 3"):
        probe.score(3)


def test_another_tokenizer_is_refused():
    class OtherTokens(TableScorer):
        def score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
            return [TokenScores((1, 2), (-1.0, -1.0)) for _ in requests]

    with pytest.raises(InputError, match="the model has another tokenizer than the one the bank was built with"):
        MassProbe(bank(EVERYTHING), OtherTokens(RIGHT)).score()
