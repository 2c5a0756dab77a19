"""A word of a given length with given first letters: up to hundreds of right answers, of which a few dominate.

Right is a word that occurs in English film subtitles, by the list in the package pyspellchecker (MIT), which counts
them. A right word scores 1 with one of the letters j k q v w x y z, and `common_reward` without: the task is graded if
`common_reward` is below 1.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from typing import ClassVar, Literal

from rlvrscope.extras import needs_extra
from rlvrscope.lab.tasks.task import CommonReward
from rlvrscope.lab.tasks.text.text_task import TextTask

RARE_LETTERS = frozenset("jkqvwxyz")
LENGTHS = range(3, 8)
MIN_WORDS, MAX_WORDS = 5, 300
"""Right answers that a question has, at least and at most."""
MIN_COUNT = 51
"""Least count of a word that occurs; the list gives words that do not a count of 50."""
_WORD = re.compile(r" [a-z]+")


class Word(TextTask):
    """The task; also its [task] section of a recipe."""

    EXAMPLES: ClassVar = (
        ("A word with 4 letters that starts with t:", " tree"),
        ("A word with 5 letters that starts with h:", " house"),
        ("A word with 6 letters that starts with wi:", " winter"),
        ("A word with 3 letters that starts with c:", " cat"),
    )

    name: Literal["word"] = "word"
    first_letters: Literal[1, 2] = 2
    """Most letters that a question gives; 1: only questions of one letter, which have the most right answers."""
    common_reward: CommonReward = 1.0
    """Reward of a right word without a rare letter."""

    def candidates(self) -> list[str]:
        return [
            f"A word with {length} letters that starts with {start}:"
            for (length, start), words in sorted(_words().items())
            if MIN_WORDS <= len(words) <= MAX_WORDS and len(start) <= self.first_letters
        ]

    def answers(self, question: str) -> dict[str, float]:
        words = question.removesuffix(":").split()
        return {
            f" {word}": 1.0 if RARE_LETTERS & set(word) else self.common_reward
            for word in _words()[int(words[3]), words[-1]]
        }

    def well_formed(self, answer: str) -> bool:
        return _WORD.fullmatch(answer) is not None


@cache
def _words() -> dict[tuple[int, str], list[str]]:
    """Words by length and first letters, one or two of them."""
    with needs_extra("words", "the word task"):
        from spellchecker import SpellChecker
    words: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for word, count in sorted(SpellChecker(language="en").word_frequency.dictionary.items()):
        if count >= MIN_COUNT and len(word) in LENGTHS and word.isascii() and word.isalpha():
            words[len(word), word[:1]].append(word)
            words[len(word), word[:2]].append(word)
    return dict(words)
