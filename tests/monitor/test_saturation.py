"""Saturation of the token entropy: by hand, in noise, and from the past alone."""

from __future__ import annotations

import numpy as np

from rlvrscope.monitor.saturation import PATIENCE, SHARE, WINDOW, saturated_at
from rlvrscope.seeding import generator

FALLING = [1.0 - 0.01 * step for step in range(50)]
FLAT = [FALLING[-1]] * 80


def test_a_fall_that_ends_is_noticed_when_the_window_is_nearly_flat():
    # The last window of fall ends at step 50. Of a line that bends after a share u of the window, the fitted slope is
    # u^2 (3 - 2u) of the fall's: a fifth at u = .287, so when 11 of the 40 steps still fall, at step 50 + 29 = 79.
    # Five in a row: step 83, give or take the one step that joins the two.
    at = saturated_at(FALLING + FLAT)
    assert at is not None
    assert abs(at - 83) <= 2
    assert SHARE + 1e-3 > 0.287**2 * (3 - 2 * 0.287)


def test_it_never_comes_while_entropy_falls_or_before_it_fell():
    assert saturated_at(FALLING) is None
    assert saturated_at([0.5] * 200) is None
    assert saturated_at([0.5 + 0.01 * step for step in range(200)]) is None
    assert saturated_at(FALLING[: WINDOW + PATIENCE - 2]) is None


def test_noise_is_no_fall():
    """200 entropies that never fall, with the noise of a step in the lab (.014), for 400 steps each."""
    found = [saturated_at(0.36 + 0.014 * generator(seed, "noise").normal(size=400)) for seed in range(200)]
    assert sum(at is not None for at in found) <= 2


def test_a_fall_that_slows_down_in_noise():
    """exp(-t / 50) has a fifth of its first slope at step 80; the window looks back 40 steps."""
    steps = np.arange(400)
    series = [0.2 + 0.17 * np.exp(-steps / 50) + 0.013 * generator(s, "noise").normal(size=400) for s in range(40)]
    found = [saturated_at(values) for values in series]
    assert all(at is not None for at in found)
    assert 90 < np.median([at for at in found if at is not None]) < 150


def test_only_the_past_counts():
    series = list(np.array(FALLING + FLAT) + 0.002 * generator(0, "noise").normal(size=130))
    at = saturated_at(series)
    assert at is not None
    assert saturated_at(series[:at]) == at
    assert saturated_at(series[: at - 1]) is None
    assert saturated_at([*series[:at], *([3.0] * 10)]) == at
