"""Texts as they lie in a store: zstd with a dictionary made of the first of them, and a checksum each."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra

_LARGEST = 16_384
"""Bytes of a dictionary."""
_PARTS = 8
"""So many times its size are needed to learn it from."""


@dataclass
class Texts:
    """Packs and unpacks; a text names the dictionary that it was packed with."""

    connection: sqlite3.Connection
    path: Path
    _zstd: Any = field(init=False, repr=False)
    _packer: Any = field(default=None, init=False, repr=False)
    _packs_with: int | None = field(default=None, init=False)
    _unpackers: dict[int | None, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        with needs_extra("sample", "a store of samples"):
            import zstandard
        self._zstd = zstandard

    def pack(self, texts: Sequence[str]) -> list[tuple[bytes, int | None]]:
        """(bytes, dictionary) of each. Inside a transaction: the first call with enough text adds the dictionary."""
        raw = [text.encode("utf-8", "surrogatepass") for text in texts]
        if self._packs_with is None:
            self._packs_with = self._latest() or self._learn(raw)
            self._packer = self._zstd.ZstdCompressor(
                dict_data=self._dictionary(self._packs_with), write_checksum=True, write_dict_id=False
            )
        return [(self._packer.compress(text), self._packs_with) for text in raw]

    def forget(self) -> None:
        """After a transaction that was rolled back: its dictionary is gone too."""
        self._packs_with = None
        self._unpackers.clear()

    def unpack(self, packed: bytes, dictionary: int | None) -> str:
        """Raises InputError for a damaged text."""
        if dictionary not in self._unpackers:
            self._unpackers[dictionary] = self._zstd.ZstdDecompressor(dict_data=self._dictionary(dictionary))
        try:
            return self._unpackers[dictionary].decompress(packed).decode("utf-8", "surrogatepass")
        except (self._zstd.ZstdError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} is damaged: a text can't be unpacked ({error})") from error

    def _latest(self) -> int | None:
        return self.connection.execute("SELECT max(id) FROM dictionaries").fetchone()[0]

    def _learn(self, raw: Sequence[bytes]) -> int | None:
        size = min(_LARGEST, sum(map(len, raw)) // _PARTS)
        try:
            made = self._zstd.train_dictionary(size, list(raw)).as_bytes()
        except (self._zstd.ZstdError, ValueError):  # too little text, or too much alike, to learn from
            return None
        return self.connection.execute("INSERT INTO dictionaries (content) VALUES (?)", (made,)).lastrowid

    def _dictionary(self, number: int | None) -> Any:
        if number is None:
            return None
        row = self.connection.execute("SELECT content FROM dictionaries WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise InputError(f"{self.path} is damaged: dictionary {number} of its texts is missing")
        return self._zstd.ZstdCompressionDict(row[0])
