"""The catalogue: what defines each entry, and objectives as recipes write them."""

from __future__ import annotations

import dataclasses
import tomllib

import pytest
import tomli_w

from massflow import InputError
from massflow.objectives import OBJECTIVES, Objective, objective_from


def test_the_catalogue_is_what_was_promised():
    promised = "grpo grpo-n grpo-p gspo gspo-n psr nsr w-reinforce dapo dr-grpo rloo cispo wapo"
    assert " ".join(OBJECTIVES) == promised
    assert all(name == objective.name and objective.source for name, objective in OBJECTIVES.items())


def test_grpo_n_is_grpo_with_the_positive_side_switched_off():
    grpo_n = OBJECTIVES["grpo-n"]
    assert grpo_n == OBJECTIVES["grpo"].replace(name="grpo-n", source=grpo_n.source, positive_weight=0.0)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=lambda o: o.name)
def test_an_objective_survives_toml(objective: Objective):
    table = {field: value for field, value in dataclasses.asdict(objective).items() if value is not None}
    assert objective_from(tomllib.loads(tomli_w.dumps(table))) == objective


def test_a_table_starts_from_its_base():
    mine = objective_from({"base": "gspo", "name": "mine", "positive_weight": 0.1})
    assert mine == OBJECTIVES["gspo"].replace(name="mine", positive_weight=0.1)
    assert objective_from({"name": "dapo", "clip_high": 0.4}).aggregation == "token_mean"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("grop", r"no objective is called 'grop'. Did you mean 'grpo'\? Allowed: grpo, grpo-n"),
        ({"base": "gpso", "name": "mine"}, "no objective is called 'gpso'. Did you mean 'gspo'"),
        ({"name": "grpo", "postive_weight": 0.0}, "Objective has no field 'postive_weight'"),
        ({"name": "grpo", "ratio": "word"}, "ratio must be one of token, sequence; got 'word'"),
        ({"name": "grpo", "clip_low": 1.5}, "clip_low must be at most 1"),
        ({"name": "grpo", "clip_high": "wide"}, "objective 'grpo'"),
        ({"name": "grpo", "dual_clip": 1.1}, "above 1 . clip_high = 1.2; got 1.1"),
        ({"name": "cispo", "dual_clip": 9.0}, "must be none with cispo"),
        ({"name": "grpo", "kl_coef": -1.0}, "kl_coef must be a finite number >= 0; got -1.0"),
        ({"name": "grpo", "std_ddof": 2}, "std_ddof must be 0"),
    ],
)
def test_bad_objectives_are_refused(value: str | dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        objective_from(value)


def test_objectives_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OBJECTIVES["grpo"].clip_low = 0.1  # type: ignore[misc]
