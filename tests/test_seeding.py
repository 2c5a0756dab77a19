"""Streams by name."""

from __future__ import annotations

import numpy as np

from massflow.seeding import generator


def test_the_same_name_gives_the_same_stream_and_others_differ():
    names = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", 11), (0, "a", "1"), (0, 1, "a")]
    draws = [tuple(generator(*name).random(4)) for name in names]
    assert draws == [tuple(generator(*name).random(4)) for name in names]
    assert len(set(draws)) == len(names)
    assert generator(0, np.int64(3)).random() == generator(0, 3).random()


def test_the_stream_is_fixed_for_good():
    """Results in the documentation hang on it."""
    np.testing.assert_array_equal(generator(0, "rollouts", 1).integers(1000, size=4), [495, 498, 698, 385])
