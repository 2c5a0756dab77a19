"""Streams by name."""

from __future__ import annotations

import numpy as np

from rlvrscope.seeding import derive_seed, generator, uniform_rows


def test_the_same_name_gives_the_same_stream_and_others_differ():
    names = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", 11), (0, "a", "1"), (0, 1, "a")]
    draws = [tuple(generator(*name).random(4)) for name in names]
    assert draws == [tuple(generator(*name).random(4)) for name in names]
    assert len(set(draws)) == len(names)
    assert generator(0, np.int64(3)).random() == generator(0, 3).random()


def test_the_stream_is_fixed_for_good():
    """Results in the documentation hang on it."""
    np.testing.assert_array_equal(generator(0, "rollouts", 1).integers(1000, size=4), [495, 498, 698, 385])


def test_rows_are_their_seeds_alone_and_uniform():
    """20,000 numbers: mean 1/2 within 5 standard errors of 1/sqrt(12 n); a row is the same beside any others."""
    seeds = [derive_seed(0, index) for index in range(1000)]
    rows = uniform_rows(seeds, 20)
    assert rows.shape == (1000, 20)
    assert rows.dtype == np.float32
    assert (rows >= 0).all()
    assert (rows < 1).all()
    assert abs(rows.mean() - 0.5) < 5 / np.sqrt(12 * rows.size)
    counts = np.bincount((rows * 10).astype(int).ravel(), minlength=10)
    assert (abs(counts - 2000) < 5 * np.sqrt(20_000 * 0.1 * 0.9)).all()
    np.testing.assert_array_equal(uniform_rows(seeds[::-1], 20), rows[::-1])
    np.testing.assert_array_equal(uniform_rows(seeds[5:6], 12), rows[5:6, :12])


def test_derived_seeds_fit_where_a_signed_integer_does():
    found = [derive_seed(1, "a", index) for index in range(200)]
    assert len(set(found)) == 200
    assert all(0 <= seed < 2**63 for seed in found)
    assert max(found) > 2**61
