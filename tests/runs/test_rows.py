"""Typed rows: exact through JSON, NaN left out, unknown values refused; metric names of other trainers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rlvrscope import InputError
from rlvrscope.runs import (
    METRIC_NAMES,
    EvaluationRow,
    PromptScores,
    RunFolder,
    TelemetryRow,
    at_temperature,
    canonical_metrics,
)


def scores(success_P: list[float], temperature: float = 1.0) -> PromptScores:
    return PromptScores(
        temperature=temperature, k=256, pass_at_1=0.5, pass_at_k=0.9, distinct_correct=1.0, success_P=success_P,
        distinct_P=success_P, mass={"rare": success_P},
    )  # fmt: skip


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20), st.floats(allow_nan=True, allow_infinity=False))
def test_rows_come_back_bit_for_bit(success_P: list[float], entropy: float):
    """A resumed run reads its own rows: any change in the last bit would change what it does next."""
    row = EvaluationRow(step=3, entropy=entropy, held_out=(scores(success_P),))
    again = EvaluationRow.model_validate_json(json.dumps(row.model_dump(mode="json")))
    assert again.held_out[0].success_P.tobytes() == np.array(success_P).tobytes()
    assert again.entropy == entropy or (math.isnan(again.entropy) and math.isnan(entropy))


def test_metrics_that_are_not_finite_are_left_out_and_read_as_nan(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.append(TelemetryRow(step=1, reward=0.5, grad_norm=math.inf, kl=math.nan))
    assert json.loads(folder.file(TelemetryRow).read_text()) == {"step": 1, "reward": 0.5}
    (row,) = folder.rows(TelemetryRow)
    assert math.isnan(row.grad_norm)
    assert math.isnan(row.kl)
    folder.file(TelemetryRow).write_text('{"step": 1, "reward": null}\n')
    assert math.isnan(folder.rows(TelemetryRow)[0].reward)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [1.5], [-0.1], [[0.5]], ["a"]])
def test_probabilities_are_checked(values: list):
    with pytest.raises(ValidationError, match=r"must be a list|could not convert"):
        scores(values)


def test_masses_may_exceed_one_by_rounding_and_by_no_more():
    """Sums over answers in float32 have reached 1.000006 in runs of the lab; clipping them would change the rows."""
    fields = scores([0.5]).model_dump()
    rounded = PromptScores.model_validate({**fields, "mass": {"other": np.array([1.00001])}})
    assert rounded.mass["other"].tolist() == [1.00001]
    for mass in (1.001, -0.001):
        with pytest.raises(ValidationError, match="masses from 0 to 1"):
            PromptScores.model_validate({**fields, "mass": {"other": np.array([mass])}})


def test_rows_can_not_be_changed():
    row = TelemetryRow(step=1, reward=0.5)
    with pytest.raises(ValidationError, match="frozen"):
        row.reward = 1.0


def test_scores_are_chosen_by_temperature():
    both = (scores([0.1], 1.0), scores([0.2], 0.6))
    assert at_temperature(both).success_P.tolist() == [0.1]
    assert at_temperature(both, 0.6).success_P.tolist() == [0.2]
    with pytest.raises(InputError, match=r"temperature 0.8 was not scored; these were: \[1.0, 0.6\]"):
        at_temperature(both, 0.8)


def test_other_trainers_metrics_under_their_canonical_names():
    trl = {"reward": 0.25, "frac_reward_zero_std": 0.5, "entropy": None, "num_tokens": 12.0}
    metrics = canonical_metrics(trl, "trl")
    assert (metrics["reward"], metrics["equal_reward_share"]) == (0.25, 0.5)
    assert math.isnan(metrics["entropy"])
    assert set(metrics) == {"reward", "equal_reward_share", "entropy"}
    verl = {"critic/score/mean": 1, "actor/grad_norm": 2.0}
    assert canonical_metrics(verl, "verl") == {
        "reward": 1,
        "grad_norm": 2.0,
    }
    with pytest.raises(InputError, match="trainer must be one of trl, verl; got 'slime'"):
        canonical_metrics({}, "slime")


def test_every_canonical_name_is_a_column_of_telemetry():
    assert METRIC_NAMES.keys() <= TelemetryRow.model_fields.keys()
