"""OURS=THEIRS, for any option."""

from __future__ import annotations

import pytest

from rlvrscope.errors import InputError
from rlvrscope.tables.formats import parse_column_map

KNOWN = ("prompt", "answer")


def test_pairs_by_hand():
    assert parse_column_map(["prompt = question", "answer=a=b"], KNOWN, "--field", "x=y") == {
        "prompt": "question",
        "answer": "a=b",
    }
    assert parse_column_map([], KNOWN, "--field", "x=y") == {}
    assert parse_column_map(["prompt=q", "prompt=q"], KNOWN, "--field", "x=y") == {"prompt": "q"}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["prompt"], "--column takes OURS=THEIRS, such as x=y; got 'prompt'"),
        (["prompt="], "--column takes OURS=THEIRS"),
        (["promt=q"], r"--column promt=q: unknown column 'promt'\. Did you mean 'prompt'\?"),
        (["prompt=a", "prompt=b"], "--column names 'prompt' twice: 'a' and 'b'"),
    ],
)
def test_the_message_names_the_option(pairs: list[str], message: str):
    with pytest.raises(InputError, match=message):
        parse_column_map(pairs, KNOWN, "--column", "x=y")
