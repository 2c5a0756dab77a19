"""Bytes and lines of a text file, plain or compressed with gzip or zstd; errors name the line."""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.files import MAX_LINE_BYTES, lines_in, open_ordinary, parse_json

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_BYTES = 1 << 16
MAX_RATIO = 500
"""Bytes of a compressed file's text for each of its own, beyond MAX_LINE_BYTES."""
MAX_DOCUMENT_CHARACTERS = 1 << 28
"""Length of a JSON document, which is read whole; lines have no such bound."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"
_READ_BYTES = 1 << 14


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, decompressed, without a byte order mark. Raises InputError."""
    with _opened(path) as file:
        return file.read(HEAD_BYTES).removeprefix(_BOM)


def lines_of(path: Path) -> Generator[tuple[int, str]]:
    """Yield (number, line). Raises InputError for what can't be read, is damaged or cut short, or is not UTF-8."""
    line = 0
    with _opened(path) as file:
        try:
            for line, raw in enumerate(lines_in(file, path), start=1):
                yield line, raw.removeprefix(_BOM).decode("utf-8") if line == 1 else raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: line {line}: not valid UTF-8 ({error.reason}): save it as UTF-8") from error
        except (EOFError, zlib.error) as error:
            raise InputError(f"{path}: after line {line}: damaged compressed data: {error}") from error


def document_of(path: Path) -> Any:
    """Parse a JSON file as a whole. Raises ValueError with the reason, and InputError as `lines_of`."""
    texts: list[str] = []
    characters = 0
    for _, text in lines_of(path):
        texts.append(text)
        characters += len(text)
        if characters > MAX_DOCUMENT_CHARACTERS:
            raise InputError(
                f"{path}: a JSON document may have {MAX_DOCUMENT_CHARACTERS:,} characters, and this one has more: "
                "write one object a line (JSONL)"
            )
    return parse_json("".join(texts))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading, decompressed by its content, not by its name."""
    with open_ordinary(path, InputError) as file:
        magic = file.read(len(_ZSTD))
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        try:
            if magic.startswith(_GZIP):
                with gzip.open(file) as unzipped:
                    chunks = iter(lambda: unzipped.read(_READ_BYTES), b"")
                    yield io.BufferedReader(_Chunks(_bounded(chunks, path, size)))
            elif magic == _ZSTD:
                with needs_extra("sample", "reading zstd"):
                    import zstandard  # noqa: F401
                yield io.BufferedReader(_Chunks(_bounded(_zstd(file), path, size)))
            else:
                yield file
        except (EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged compressed data: {error}") from error


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a readable stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(view), len(self._rest))
        view[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _bounded(chunks: Iterator[bytes], path: Path, packed: int) -> Iterator[bytes]:
    """Chunks of a decompressed file of `packed` bytes. Raises InputError for one that expands beyond MAX_RATIO."""
    unpacked = 0
    for chunk in chunks:
        unpacked += len(chunk)
        if unpacked > MAX_LINE_BYTES and unpacked > MAX_RATIO * packed:
            raise InputError(f"{path} expands to more than {MAX_RATIO} times its {packed:,} bytes: decompress it first")
        yield chunk


def _zstd(file: BinaryIO) -> Iterator[bytes]:
    """Decompress frame by frame. zstandard's own reader takes a file that was cut short for its end."""
    import zstandard

    frame = None
    try:
        while chunk := file.read(_READ_BYTES):
            while chunk:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(chunk)
                chunk = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    except zstandard.ZstdError as error:
        raise EOFError(str(error)) from error
    if frame is not None:
        raise EOFError("the file ends within a zstd frame")
