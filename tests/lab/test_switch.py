"""When training goes over to another objective: by hand, and from the past alone."""

from __future__ import annotations

import numpy as np

from massflow.lab.switch import PATIENCE, WINDOW, objective_at, saturated_at
from massflow.lab.training import SwitchConfig, TrainConfig
from massflow.objectives import OBJECTIVES
from massflow.seeding import generator

FALLING = [1.0 - 0.02 * step for step in range(30)]
FLAT = [FALLING[-1]] * 60


def test_a_fall_that_ends_is_noticed_when_the_window_is_flat():
    # The fall ends at step 30. A window of 20 steps holds less than a tenth of it when some 2 of its steps still fell,
    # a little later for the moving average (half-life 4), and 3 such steps in a row are asked for.
    at = saturated_at(FALLING + FLAT)
    assert at is not None
    assert 30 + WINDOW - 2 <= at <= 30 + WINDOW + 12


def test_it_never_comes_while_entropy_falls_or_before_it_fell():
    assert saturated_at(FALLING) is None
    assert saturated_at([0.5] * 100) is None
    assert saturated_at([0.5 + 0.01 * step for step in range(100)]) is None
    assert saturated_at(FALLING[: WINDOW + PATIENCE - 2]) is None


def test_only_the_past_counts():
    series = list(np.array(FALLING + FLAT) + 0.002 * generator(0, "noise").normal(size=90))
    at = saturated_at(series)
    assert at is not None
    assert saturated_at(series[:at]) == at
    assert saturated_at(series[: at - 1]) is None
    assert saturated_at([*series[:at], *([3.0] * 10)]) == at


def test_the_objective_of_a_step():
    second = OBJECTIVES["grpo-n"]
    plain, at_5 = TrainConfig(), TrainConfig(then=SwitchConfig(objective=second, at=5))
    assert objective_at(100, plain, []).name == "grpo"
    assert [objective_at(step, at_5, []).name for step in (4, 5)] == ["grpo", "grpo-n"]
    series = FALLING + FLAT
    when = saturated_at(series)
    assert when is not None
    told = TrainConfig(then=SwitchConfig(objective=second, at="saturation"))
    assert [objective_at(step, told, series).name for step in (when, when + 1)] == ["grpo", "grpo-n"]
