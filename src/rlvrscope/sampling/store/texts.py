"""Compressed texts of a store: zstd with a dictionary trained on the first batch, and a checksum for each text.

Without the dictionary a store of short texts is 1.1 to 2 times as large.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.sampling.store.integrity import seal

MAX_DICTIONARY_BYTES = 16_384
MAX_TEXT_BYTES = 1 << 24
"""Size of a text, unpacked."""
TRAINING_RATIO = 8
"""Bytes of training text for each byte of a dictionary."""


@dataclass
class Texts:
    """Compresses and decompresses texts; each row stores the id of its dictionary."""

    connection: sqlite3.Connection
    path: Path
    _zstd: Any = field(init=False, repr=False)
    _packer: Any = field(default=None, init=False, repr=False)
    _current: int | None = field(default=None, init=False)
    _unpackers: dict[int | None, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        with needs_extra("sample", "a store of samples"):
            import zstandard
        self._zstd = zstandard

    def pack(self, texts: Sequence[str]) -> tuple[list[bytes], int | None]:
        """Return the bytes of each text and the id of their dictionary, which the first call may add."""
        raw = [text.encode("utf-8", "surrogatepass") for text in texts]
        longest = max(map(len, raw), default=0)
        if longest > MAX_TEXT_BYTES:
            raise InputError(f"{self.path}: a text may have {MAX_TEXT_BYTES:,} bytes; one has {longest:,}")
        if self._current is None:
            self._current = self._latest() or self._train(raw)
            self._packer = self._zstd.ZstdCompressor(
                dict_data=self._dictionary(self._current), write_checksum=True, write_dict_id=False
            )
        return list(map(self._packer.compress, raw)), self._current

    def forget(self) -> None:
        """Forget the dictionary after a rollback, which may have removed it."""
        self._current = None
        self._unpackers.clear()

    def unpack(self, packed: bytes, dictionary: int | None) -> str:
        """Raises InputError for a damaged text."""
        if dictionary not in self._unpackers:
            self._unpackers[dictionary] = self._zstd.ZstdDecompressor(dict_data=self._dictionary(dictionary))
        try:
            size = self._zstd.frame_content_size(packed)
            if size > MAX_TEXT_BYTES:
                raise InputError(
                    f"{self.path} is damaged: a text of {size:,} bytes, and it may have {MAX_TEXT_BYTES:,}"
                )
            raw = self._unpackers[dictionary].decompress(packed, max_output_size=MAX_TEXT_BYTES)
            return raw.decode("utf-8", "surrogatepass")
        except (self._zstd.ZstdError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} is damaged: a text can't be unpacked ({error})") from error

    def _latest(self) -> int | None:
        return self.connection.execute("SELECT max(id) FROM dictionaries").fetchone()[0]

    def _train(self, raw: Sequence[bytes]) -> int | None:
        size = min(MAX_DICTIONARY_BYTES, sum(map(len, raw)) // TRAINING_RATIO)
        try:
            content = self._zstd.train_dictionary(size, list(raw)).as_bytes()
        except (self._zstd.ZstdError, ValueError):  # too little text, or too uniform
            return None
        number = self.connection.execute("INSERT INTO dictionaries (content) VALUES (?)", (content,)).lastrowid
        seal(self.connection, "dictionaries")
        return number

    def _dictionary(self, number: int | None) -> Any:
        if number is None:
            return None
        row = self.connection.execute("SELECT content FROM dictionaries WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise InputError(f"{self.path} is damaged: dictionary {number} of its texts is missing")
        return self._zstd.ZstdCompressionDict(row[0])
