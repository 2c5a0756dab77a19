"""Bytes and lines of a text file, plain or compressed with gzip or zstd; errors name the line."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rlvrscope.errors import InputError, file_errors
from rlvrscope.extras import needs_extra

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_BYTES = 1 << 16
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"
_READ_BYTES = 1 << 14


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, decompressed, without a byte order mark. Raises InputError."""
    with _opened(path) as file:
        return file.read(HEAD_BYTES).removeprefix(_BOM)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with file_errors("read", path, InputError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lines_of(path: Path) -> Generator[tuple[int, str]]:
    """Yield (number, line). Raises InputError for what can't be read, is damaged or cut short, or is not UTF-8."""
    line = 0
    with _opened(path) as file:
        try:
            for line, raw in enumerate(file, start=1):
                yield line, raw.removeprefix(_BOM).decode("utf-8") if line == 1 else raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: line {line}: not valid UTF-8 ({error.reason}): save it as UTF-8") from error
        except (EOFError, zlib.error) as error:
            raise InputError(f"{path}: after line {line}: damaged compressed data: {error}") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading, decompressed by its content, not by its name."""
    with file_errors("read", path, InputError), path.open("rb") as file:
        magic = file.read(len(_ZSTD))
        file.seek(0)
        try:
            if magic.startswith(_GZIP):
                with gzip.open(file) as unzipped:
                    yield unzipped
            elif magic == _ZSTD:
                with needs_extra("sample", "reading zstd"):
                    import zstandard  # noqa: F401
                yield io.BufferedReader(_Chunks(_zstd(file)))
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
