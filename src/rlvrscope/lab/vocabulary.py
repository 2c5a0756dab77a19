"""The tokens of a pretrained model as bytes: every way to spell a text, and the tokens that end a line."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rlvrscope.errors import InputError

LINE_ENDS = (b"\n", b"\n\n")
_PROBE = "12 * 4 = 48\nA word: house\n\n"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """bytes_V: what each token adds to a text; None for special tokens. stops: tokens that end an answer."""

    tokenizer: Any
    bytes_V: list[bytes | None]
    stops: tuple[int, ...]

    @classmethod
    def of(cls, name: str, tokenizer: Any, ends: Sequence[int]) -> Vocabulary:
        """Read a byte-level tokenizer. ends: end tokens of the model.

        An answer ends with a newline, two newlines, an end token or another special token. Raises InputError for a
        tokenizer of another kind, whose tokens are not bytes of the text.
        """
        special = {*tokenizer.all_special_ids, *ends}
        bytes_V = [None if token in special else _bytes_of(piece) for token, piece in enumerate(_pieces(tokenizer))]
        vocabulary = cls(tokenizer, bytes_V, tuple(sorted(special | _tokens_of(bytes_V, LINE_ENDS))))
        if vocabulary.text(vocabulary.ids(_PROBE)) != _PROBE.encode():
            raise InputError(f"{name}: its tokenizer is not byte-level, as those of Llama 3 and Qwen are")
        return vocabulary

    def ids(self, text: str) -> list[int]:
        """The tokens into which the tokenizer cuts a text, without special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt_ids(self, text: str) -> list[int]:
        """The same, with the special tokens that the model expects before a text."""
        return list(self.tokenizer(text)["input_ids"])

    def text(self, tokens: Sequence[int]) -> bytes:
        """What some tokens add to a text; special tokens and unknown ones nothing."""
        return b"".join(self.bytes_V[token] or b"" for token in tokens if 0 <= token < len(self.bytes_V))

    def answer(self, tokens: Sequence[int]) -> bytes | None:
        """Text of a completion before its stop; None if it has no stop, or a special token before it."""
        if not len(tokens) or tokens[-1] not in self._stops:
            return None
        if any(not 0 <= token < len(self.bytes_V) or self.bytes_V[token] is None for token in tokens[:-1]):
            return None
        return self.text(tokens[:-1])

    def spellings(self, text: bytes, limit: int) -> list[list[int]] | None:
        """Every sequence of tokens that adds up to a text; None if there are more than `limit`."""
        ends: list[list[list[int]]] = [[] for _ in range(len(text) + 1)]
        ends[len(text)] = [[]]
        for first in range(len(text) - 1, -1, -1):
            for end in range(first + 1, len(text) + 1):
                for token in self.tokens_by_bytes.get(text[first:end], ()):
                    ends[first] += [[token, *rest] for rest in ends[end]]
                    if len(ends[first]) > limit:
                        return None
        return ends[0]

    @cached_property
    def _stops(self) -> frozenset[int]:
        return frozenset(self.stops)

    @cached_property
    def tokens_by_bytes(self) -> dict[bytes, list[int]]:
        tokens: dict[bytes, list[int]] = {}
        for token, piece in enumerate(self.bytes_V):
            if piece:
                tokens.setdefault(piece, []).append(token)
        return tokens


def other_spellings(own: Mapping[bytes, Sequence[int]], vocabulary: Vocabulary) -> list[tuple[int, ...]]:
    """Shortest token sequences that begin a spelling of one of some texts, but none of the spellings in `own`.

    A text that has ended is spelled with a stop. Any other spelling of any text begins with exactly one of these.
    """
    following: dict[tuple[int, ...], set[int]] = {}
    for tokens in own.values():
        for length in range(len(tokens) + 1):
            following.setdefault(tuple(tokens[:length]), set()).update(tokens[length : length + 1])
    texts, ended = sorted(own), {tuple(tokens) for tokens in own.values()}
    others: list[tuple[int, ...]] = []
    for prefix, listed in following.items():
        read = vocabulary.text(prefix)
        next_tokens: set[int] = set()
        for text in texts[bisect_left(texts, read) :]:
            if not text.startswith(read):
                break
            for end in range(len(read) + 1, len(text) + 1):
                next_tokens.update(vocabulary.tokens_by_bytes.get(text[len(read) : end], ()))
            if text == read and prefix not in ended:
                next_tokens.update(vocabulary.stops)
        others += [(*prefix, token) for token in sorted(next_tokens - listed)]
    return others


def _pieces(tokenizer: Any) -> list[str]:
    return ["" if piece is None else piece for piece in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]


def _bytes_of(piece: str) -> bytes | None:
    """Bytes of a byte-level token; None if a character stands for no byte."""
    try:
        return bytes(_BYTE_OF[character] for character in piece)
    except KeyError:
        return None


def _tokens_of(bytes_V: list[bytes | None], texts: Sequence[bytes]) -> set[int]:
    return {token for token, piece in enumerate(bytes_V) if piece in texts}


def _byte_alphabet() -> dict[str, int]:
    """Character -> byte of byte-level tokenizers: printable Latin-1 for itself, then the others from U+0100 on.

    Source: `bytes_to_unicode` of GPT-2.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()
