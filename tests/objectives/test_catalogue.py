"""The catalogue: what defines each entry, and objectives as recipes write them."""

from __future__ import annotations

import dataclasses
import tomllib

import pytest
import tomli_w

from rlvrscope import InputError
from rlvrscope.objectives import OBJECTIVES, Objective, objective_from


def test_the_catalogue_is_what_was_promised():
    promised = "grpo grpo-n grpo-p gspo gspo-n psr nsr w-reinforce dapo dr-grpo rloo cispo wapo"
    promised += " reinforce grpo-kl-forward grpo-kl-reverse pass-at-k f-grpo qae"
    promised += " maxrl curverl bbg a-grae unlikeliness ds-grpo"
    assert " ".join(OBJECTIVES) == promised
    assert all(name == objective.name and objective.source for name, objective in OBJECTIVES.items())


def test_grpo_n_is_grpo_with_the_positive_side_switched_off():
    grpo_n = OBJECTIVES["grpo-n"]
    assert grpo_n == OBJECTIVES["grpo"].replace(name="grpo-n", source=grpo_n.source, positive_weight=0.0)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=lambda o: o.name)
def test_an_objective_survives_toml(objective: Objective):
    table = {field: value for field, value in dataclasses.asdict(objective).items() if value is not None}
    assert objective_from(tomllib.loads(tomli_w.dumps(table))) == objective


def test_a_table_from_before_there_was_a_choice_of_kl_means_k3():
    table = dataclasses.asdict(OBJECTIVES["grpo-kl-forward"])
    for field in ("shape", "dual_clip", "kl_estimator"):
        del table[field]
    assert objective_from(table) == OBJECTIVES["grpo-kl-forward"]


def test_a_table_starts_from_its_base():
    mine = objective_from({"base": "gspo", "name": "mine", "positive_weight": 0.1})
    assert mine == OBJECTIVES["gspo"].replace(name="mine", positive_weight=0.1, source="gspo, changed")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("grop", r"no objective is called 'grop'. Did you mean 'grpo'\? Allowed: grpo, grpo-n"),
        ({"base": "gpso", "name": "mine"}, "no objective is called 'gpso'. Did you mean 'gspo'"),
        ({"base": "grpo", "name": "x", "postive_weight": 0.0}, "Objective has no field 'postive_weight'"),
        ({"base": "grpo", "name": "x", "ratio": "word"}, "ratio must be one of token, sequence; got 'word'"),
        ({"base": "grpo", "name": "x", "clip_low": 1.5}, "clip_low must be at most 1"),
        ({"base": "grpo", "name": "x", "clip_high": "wide"}, "clip_high must be a finite number; got 'wide'"),
        ({"base": "grpo", "name": "x", "kl_coef": True}, "kl_coef must be a finite number; got True"),
        ({"base": "grpo", "name": "x", "dual_clip": "x"}, "dual_clip must be a finite number; got 'x'"),
        ({"base": "grpo", "name": "x", "dual_clip": 1.1}, "above 1 . clip_high = 1.2; got 1.1"),
        ({"base": "cispo", "name": "x", "dual_clip": 9.0}, "must be none with cispo"),
        ({"base": "grpo", "name": "x", "kl_coef": -1.0}, "kl_coef must be between 0 and 1e.06; got -1.0"),
        ({"base": "grpo", "name": "x", "kl_estimator": "k1"}, "kl_estimator must be one of k3, k2; got 'k1'"),
        ({"base": "grpo", "name": "x", "std_eps": 0.0}, "std_eps must be between 1e-12"),
        ({"base": "grpo", "name": "x", "std_ddof": 2}, "std_ddof must be 0"),
        ({"base": "grpo", "name": "../../x"}, "name must be letters, digits"),
        ({"base": "grpo", "name": [1]}, r"name must be a string; got \[1\]"),
        ({"base": "grpo", "clip_high": 0.4}, "an objective changed from 'grpo' needs a new name; got 'grpo'"),
        ({"name": "grop", "clip_high": 0.4}, "a table must start from a base"),
        (5, "an objective is a name or a table; got 5"),
    ],
)
def test_bad_objectives_are_refused(value: object, message: str):
    with pytest.raises(InputError, match=message):
        objective_from(value)


def test_objectives_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OBJECTIVES["grpo"].clip_low = 0.1  # type: ignore[misc]
