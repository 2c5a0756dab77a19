"""Facts of samples beside pass@k, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rlvrscope.experiment.boundary import Boundary
from rlvrscope.experiment.sample_facts import SampleFact
from rlvrscope.readers import ModelCounts, ReadOptions, read_models

Sample = tuple[str | None, bool, str, int]
BASE = {
    "p": [("1", True, "stop", 10), ("2", False, "stop", 20), ("3", False, "length", 30), (None, False, "length", 40)],
    "q": [("1", False, "stop", 10), ("1", False, "stop", 10), ("2", True, "stop", 10), ("2", True, "stop", 10)],
    "r": [("7", True, "stop", 5), ("8", True, "stop", 5), ("8", True, "stop", 5), (None, False, "length", 50)],
}
TRAINED = {name: [samples[0]] * 3 + [samples[1]] for name, samples in BASE.items()}


def model(folder: Path, name: str, samples: dict[str, list[Sample]]) -> ModelCounts:
    fields = ("answer", "correct", "finish", "tokens")
    rows = [{"problem": p} | dict(zip(fields, one, strict=True)) for p, ones in samples.items() for one in ones]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_models(str(folder / f"{name}.jsonl"))[0]


def facts_of(base: ModelCounts, trained: ModelCounts) -> dict[str, SampleFact]:
    return {fact.name: fact for fact in Boundary.of(base, [trained]).sample_facts}


def test_facts_by_hand(tmp_path: Path):
    facts = facts_of(model(tmp_path, "base", BASE), model(tmp_path, "rl", TRAINED))
    different = facts["answers among 4"]
    assert different.values == (pytest.approx((3 + 2 + 2) / 3), pytest.approx((2 + 1 + 2) / 3))
    assert facts["right answers among 4"].values == (pytest.approx(4 / 3), pytest.approx((1 + 0 + 2) / 3))
    assert facts["cut off (share)"].values == (pytest.approx((0.5 + 0 + 0.25) / 3), 0.0)
    length = facts["length (tokens)"]
    assert length.values == (pytest.approx((25 + 10 + 16.25) / 3), pytest.approx((12.5 + 10 + 5) / 3))
    change = np.array([12.5 - 25, 0.0, 5 - 16.25])
    low, high = stats.t.interval(0.95, df=2, loc=change.mean(), scale=change.std(ddof=1) / np.sqrt(3))
    (difference,) = length.differences
    assert (difference.value, difference.low, difference.high) == pytest.approx((change.mean(), low, high))


def test_a_model_that_does_not_say(tmp_path: Path):
    (tmp_path / "rl.csv").write_text("problem,n,c\np,4,1\nq,4,2\nr,4,4\n")
    (counts,) = read_models(str(tmp_path / "rl.csv"))
    facts = facts_of(model(tmp_path, "base", BASE), counts)
    base, trained = facts["cut off (share)"].values
    assert base == pytest.approx(0.25)
    assert np.isnan(trained)
    assert np.isnan(facts["cut off (share)"].differences[0].value)
    assert Boundary.of(counts, [counts]).sample_facts == []


def test_characters_where_tokens_are_not_known(tmp_path: Path):
    rows = [{"problem": p, "correct": True, "text": "x" * n} for p in "pqr" for n in (1, 3)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (one,) = read_models(str(tmp_path / "x.jsonl"))
    (fact,) = Boundary.of(one, [one]).sample_facts
    assert (fact.name, fact.values) == ("length (characters)", (2.0, 2.0))


def test_graded_scores_have_a_best_of_k(tmp_path: Path):
    for name, shift in {"base": 0.0, "rl": 0.25}.items():
        rows = [{"problem": p, "score": score + shift} for p in "pqr" for score in (0.0, 0.25, 0.5, 0.75)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    base, trained = (read_models(str(tmp_path / f"{n}.jsonl"), ReadOptions(threshold=0.6))[0] for n in ("base", "rl"))
    fact = facts_of(base, trained)["best score of 4"]
    assert fact.values == pytest.approx((0.75, 1.0))
    assert fact.differences[0].value == pytest.approx(0.25)
