"""The group ledger: unbiased estimates, what was gained and lost, refused input."""

from __future__ import annotations

import numpy as np
import pytest

from rlvrscope.errors import InputError
from rlvrscope.monitor import GroupLedger
from rlvrscope.seeding import generator


def test_one_step():
    row = GroupLedger().update(1, ["a", "b", "c"], [[0, 1, 0.6, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    assert (row.groups, row.group_size) == (3, 4)
    assert row.pass_at_1 == pytest.approx(6 / 12)
    assert row.pass_at_group == pytest.approx(2 / 3)
    assert row.pass_hat_group == pytest.approx(1 / 3)
    assert row.levels == pytest.approx({0.0: 6 / 12, 0.6: 1 / 12, 1.0: 5 / 12})
    assert (row.top_level, row.top_at_group) == (1.0, pytest.approx(2 / 3))
    assert (row.returned, row.gained, row.lost) == (0, 0, 0)


def test_estimates_are_unbiased():
    rng, success_P = generator(0), np.linspace(0.0, 0.5, 20)
    ledger, group = GroupLedger(), 6
    rows = [ledger.update(step, range(20), rng.random((20, group)) < success_P[:, None]) for step in range(4000)]
    for name, expected in (
        ("pass_at_1", success_P.mean()),
        ("pass_at_group", (1 - (1 - success_P) ** group).mean()),
        ("pass_hat_group", (success_P**group).mean()),
    ):
        values = np.array([getattr(row, name) for row in rows])
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(values))


def test_prompts_that_come_again():
    ledger = GroupLedger()
    ledger.update(1, ["a", "b"], [[0, 0], [1, 0]])
    row = ledger.update(2, ["b", "c"], [[0, 0], [1, 1]])
    assert (row.returned, row.gained, row.lost) == (1, 0, 1)
    row = ledger.update(3, ["a", "b", "c"], [[1, 0], [1, 0], [1, 0]])
    assert (row.returned, row.gained, row.lost) == (3, 2, 0)


def test_gains_and_losses_balance_where_nothing_changes():
    rng, ledger = generator(1), GroupLedger()
    rows = [ledger.update(step, range(30), rng.random((30, 4)) < 0.2) for step in range(500)]
    gained, lost = sum(row.gained for row in rows), sum(row.lost for row in rows)
    assert abs(gained - lost) <= 4 * np.sqrt(gained + lost)
    assert gained > 1000


def test_continuous_rewards_have_no_levels():
    ledger = GroupLedger()
    row = ledger.update(1, range(8), generator(2).random((8, 8)))
    assert (row.levels, np.isnan(row.top_level)) == ({}, True)
    assert ledger.update(2, range(8), np.ones((8, 8))).levels == {}


def test_a_new_level_is_the_highest_from_then_on():
    ledger = GroupLedger()
    assert ledger.update(1, ["a"], [[0.0, 0.5]]).top_level == 0.5
    row = ledger.update(2, ["a"], [[0.0, 1.0]])
    assert (row.top_level, row.levels) == (1.0, {0.0: 0.5, 0.5: 0.0, 1.0: 0.5})


@pytest.mark.parametrize(
    ("prompts", "rewards", "message"),
    [
        (["a"], [0.0, 1.0], "rewards must be \\(P, G\\)"),
        (["a", "b"], [[0.0, 1.0]], "got \\(1, 2\\) and 2 ids"),
        (["a"], [[0.0, np.nan]], "rewards must be finite"),
        (["a", "a"], [[0.0], [1.0]], "prompt 'a' comes twice"),
        ([], np.zeros((0, 4)), "rewards must be"),
    ],
)
def test_refused_groups(prompts: list[str], rewards: object, message: str):
    with pytest.raises(InputError, match=message):
        GroupLedger().update(1, prompts, rewards)


def test_steps_must_rise():
    ledger = GroupLedger()
    ledger.update(3, ["a"], [[1.0]])
    with pytest.raises(InputError, match="steps must rise; got step 3 after 3"):
        ledger.update(3, ["a"], [[1.0]])
