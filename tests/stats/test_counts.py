"""GroupCounts: the table of counts that all statistics start from, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvrscope import InputError
from rlvrscope.stats.counts import GroupCounts


def test_a_model_sampled_once_has_one_run():
    counts = GroupCounts(["x", "y"], [4, 8], [1, 8])
    assert counts.problems == ["x", "y"]
    assert counts.runs == [("", "")]
    assert counts.clusters is None
    n_UP, c_UP = counts.grid
    np.testing.assert_array_equal(n_UP, [[4, 8]])
    np.testing.assert_array_equal(c_UP, [[1, 8]])


def test_rows_find_their_place_in_any_order():
    # Two bases with one seed each and the rows shuffled: the grid has a row a run and a column a problem, both in the
    # order in which they first occur.
    counts = GroupCounts(
        ["y", "x", "x", "y"],
        [5, 6, 7, 8],
        [1, 2, 3, 4],
        seed=["0", "0", "1", "1"],
        base=["b", "b", "a", "a"],
        cluster=["odd", "even", "even", "odd"],
    )
    assert counts.problems == ["y", "x"]
    assert counts.runs == [("b", "0"), ("a", "1")]
    n_UP, c_UP = counts.grid
    np.testing.assert_array_equal(n_UP, [[5, 6], [8, 7]])
    np.testing.assert_array_equal(c_UP, [[1, 2], [4, 3]])
    assert counts.clusters is not None
    np.testing.assert_array_equal(counts.clusters, [0, 1])


@given(st.permutations(range(12)))
def test_the_order_of_rows_changes_only_the_order_of_the_grid(order: list[int]):
    problem, seed = [f"p{i % 4}" for i in range(12)], [i // 4 for i in range(12)]
    n, c = np.arange(12) + 5, np.arange(12) // 2
    pick = lambda column: [column[i] for i in order]  # noqa: E731
    counts = GroupCounts(pick(problem), pick(n), pick(c), seed=pick(seed))
    n_UP, c_UP = counts.grid
    for i in range(12):
        row, column = counts.runs.index(("", str(seed[i]))), counts.problems.index(problem[i])
        assert (n_UP[row, column], c_UP[row, column]) == (n[i], c[i])


def test_ids_and_labels_are_text():
    counts = GroupCounts([1, 2], [4, 4], [0, 1], seed=[0, 0], cluster=[7, 7])
    assert counts.problems == ["1", "2"]
    assert counts.runs == [("", "0")]


def test_whole_numbers_may_come_as_floats_booleans_or_small_integers():
    assert GroupCounts(["x"], np.array([1.0]), np.array([True])).grid[1].tolist() == [[1]]
    counts = GroupCounts(["x"], np.array([200], dtype=np.uint8), np.array([100], dtype=np.int8))
    assert [side.dtype for side in counts.grid] == [np.int64, np.int64]


def test_no_samples_at_all_is_allowed():
    assert GroupCounts(["x"], [0], [0]).grid[0].tolist() == [[0]]


def test_only_some_problems_in_the_order_asked_for():
    whole = GroupCounts(
        ["x", "y", "z"] * 2,
        [1, 2, 3, 4, 5, 6],
        [0, 1, 2, 3, 4, 5],
        seed=[0, 0, 0, 1, 1, 1],
        cluster=["a", "b", "a"] * 2,
    )
    part = whole.select(["z", "x"])
    assert part.problems == ["z", "x"]
    assert part.runs == whole.runs
    np.testing.assert_array_equal(part.grid[0], [[3, 1], [6, 4]])
    np.testing.assert_array_equal(part.grid[1], [[2, 0], [5, 3]])
    assert part.cluster == ("a", "a", "a", "a")
    assert GroupCounts(["x", "y"], [1, 2], [0, 1]).select(["y"]).seed is None


def test_bases_weigh_alike_and_so_do_the_seeds_of_one():
    # Base a in two seeds, base b in one: 1/4, 1/2, 1/4 in the order of the runs. One base: its seeds alike.
    two = GroupCounts("xxx", [4] * 3, [1] * 3, seed=[0, 0, 1], base=["a", "b", "a"])
    np.testing.assert_allclose(two.run_share, [0.25, 0.5, 0.25])
    np.testing.assert_allclose(GroupCounts("xxx", [4] * 3, [1] * 3, seed=[0, 1, 2]).run_share, [1 / 3] * 3)
    np.testing.assert_array_equal(GroupCounts("xy", [4] * 2, [1] * 2).run_share, [1.0])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"n": [4, 4], "c": [1, 5]}, "problem 'y' has 5 of 4"),
        ({"n": [4, 4], "c": [-1, 0]}, "problem 'x' has -1 of 4"),
        ({"n": [4, -4], "c": [1, -5]}, "problem 'y' has -5 of -4"),
        ({"n": [4, 4], "c": [1, 1.5]}, "problem 'y' has 1.5 of 4"),
        ({"n": [4.5, 4], "c": [1, 1]}, "problem 'x' has 1 of 4.5"),
        ({"n": [4, 4], "c": [math.nan, 1]}, "problem 'x' has nan of 4"),
        ({"n": [4, math.inf], "c": [1, 1]}, "problem 'y' has 1 of inf"),
        ({"n": [4, 4], "c": ["1", "2"]}, "counts must be numbers"),
        ({"n": [4, 4], "c": [None, 2]}, "counts must be numbers"),
        ({"n": [4, 4], "c": [1 + 0j, 2]}, "counts must be numbers"),
        ({"n": [4], "c": [1, 2]}, "columns of one length"),
        ({"n": [[4, 4]], "c": [[1, 2]]}, "columns of one length"),
        ({"n": 4, "c": 1}, "columns of one length"),
        ({"problem": [], "n": [], "c": []}, "at least 1"),
        ({"n": [4, 4], "c": [1, 2], "seed": [0]}, "columns of one length"),
        ({"problem": ["x", "x"], "n": [4, 4], "c": [1, 1]}, "once in a run; 'x' occurs several times"),
        ({"problem": ["x", "x"], "n": [4, 4], "c": [1, 1], "seed": [3, 3]}, "'x', seed '3' occurs"),
        ({"problem": [1, "1"], "n": [4, 4], "c": [1, 1]}, "'1' occurs several times"),
        (
            {"problem": ["x", "y", "x"], "n": [4] * 3, "c": [1] * 3, "seed": [0, 0, 1]},
            "base '', seed '1' lacks 'y'",
        ),
        (
            {"problem": ["x", "y", "x"], "n": [4] * 3, "c": [1] * 3, "base": ["a", "a", "b"]},
            "base 'b', seed '' lacks 'y'",
        ),
        (
            {"problem": ["x", "x"], "n": [4, 4], "c": [1, 1], "seed": [0, 1], "cluster": ["a", "b"]},
            "in one cluster, the same in every run",
        ),
    ],
)
def test_impossible_tables_are_refused_in_one_line(columns: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message) as caught:
        GroupCounts(**{"problem": ["x", "y"], **columns})
    assert "\n" not in str(caught.value)
