"""Tokens as bytes: every spelling of a text, what a completion says, and tokenizers that can't be read this way."""

from __future__ import annotations

import itertools

import pytest

from rlvrscope import InputError
from rlvrscope.lab.vocabulary import Vocabulary, other_spellings

pytest.importorskip("transformers")
from text_model import byte_level_tokenizer


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.of("tiny", byte_level_tokenizer(), (0,))


def pieces(vocabulary: Vocabulary, tokens: list[int]) -> list[str]:
    return [vocabulary.text([token]).decode() for token in tokens]


def test_every_spelling_by_hand(vocabulary: Vocabulary):
    found = {tuple(pieces(vocabulary, spelling)) for spelling in vocabulary.spellings(b" 48", 100) or ()}
    assert found == {(" ", "4", "8"), (" ", "48"), (" 4", "8"), (" 48",)}
    assert vocabulary.ids(" 48") in (vocabulary.spellings(b" 48", 100) or ())


def test_spellings_are_all_sequences_of_tokens_that_add_up(vocabulary: Vocabulary):
    text = b" 4812"
    small = [token for token, piece in enumerate(vocabulary.bytes_V) if piece and piece in text]
    every = {
        tokens
        for length in range(1, 6)
        for tokens in itertools.product(small, repeat=length)
        if vocabulary.text(tokens) == text
    }
    found = [tuple(spelling) for spelling in vocabulary.spellings(text, 100) or ()]
    assert set(found) == every
    assert len(found) == len(every) == 8


def test_too_many_spellings_are_not_listed(vocabulary: Vocabulary):
    assert vocabulary.spellings(b" 48" * 30, 1000) is None
    assert vocabulary.spellings(b" 48", 4) is not None
    assert vocabulary.spellings(b" 48", 3) is None


def test_other_spellings_begin_with_exactly_one_of_the_prefixes(vocabulary: Vocabulary):
    """Texts of which one begins the other: every spelling but the tokenizer's own, followed by each stop."""
    texts = [b" 4", b" 48", b" 4812", b" 412"]
    own = {text: vocabulary.ids(text.decode()) for text in texts}
    prefixes = other_spellings(own, vocabulary)
    for text in texts:
        for spelling in vocabulary.spellings(text, 1000) or ():
            for stop in vocabulary.stops:
                row = (*spelling, stop)
                begins = [prefix for prefix in prefixes if row[: len(prefix)] == prefix]
                assert len(begins) == (spelling != own[text])
    assert not any(other[: len(one)] == one for one in prefixes for other in prefixes if one is not other)


def test_the_end_of_a_line_stops_an_answer(vocabulary: Vocabulary):
    newline, two = vocabulary.ids("\n"), vocabulary.ids("\n\n")
    assert len(two) == 1
    assert set(vocabulary.stops) == {0, 1, *newline, *two}
    spelled = vocabulary.ids(" 48")
    for stop in vocabulary.stops:
        assert vocabulary.answer([*spelled, stop]) == b" 48"
    assert vocabulary.answer(spelled) is None
    assert vocabulary.answer([]) is None
    assert vocabulary.answer([1, *spelled, 0]) is None, "a special token within it is no text"
    assert vocabulary.answer([*spelled, *newline, *spelled, *newline]) == b" 48\n 48"


def test_a_tokenizer_that_is_not_byte_level_is_refused():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "house": 1}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    with pytest.raises(InputError, match="words: its tokenizer is not byte-level"):
        Vocabulary.of("words", PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>"), ())
