"""Draws by name: known values, the same whole or in parts, uniform, and different between seeds."""

from __future__ import annotations

import numpy as np

from rlvrscope.dynamics.simulator.streams import GAMMA, mix, seed_keys, uniforms
from rlvrscope.seeding import generator


def test_known_values_of_splitmix64():
    # The first outputs of the reference implementation started at 0: state is GAMMA, then 2 GAMMA.
    states = np.array([1, 2], dtype=np.uint64) * GAMMA
    assert mix(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_draws_depend_on_key_and_index_alone():
    keys = seed_keys(generator(0), np.arange(100))
    whole = uniforms(keys, 0, 40)
    np.testing.assert_array_equal(np.hstack([uniforms(keys, 0, 13), uniforms(keys, 13, 27)]), whole)
    np.testing.assert_array_equal(seed_keys(generator(0), np.array([7])), keys[[7]])
    assert len(np.unique(whole)) == whole.size


def test_draws_are_uniform_and_streams_unrelated():
    whole = uniforms(seed_keys(generator(1), np.arange(400)), 0, 1000)
    assert whole.min() >= 0.0
    assert whole.max() < 1.0
    counts = np.histogram(whole, bins=50, range=(0, 1))[0]
    expected = whole.size / 50
    assert ((counts - expected) ** 2 / expected).sum() < 110  # chi2 of 49: beyond with a chance below 1e-6
    for first, second in [(whole[:-1], whole[1:]), (whole[:, :-1], whole[:, 1:])]:
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)
