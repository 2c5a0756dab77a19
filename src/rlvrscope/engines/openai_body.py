"""The body of a server's reply: bounded before and after it is decompressed."""

from __future__ import annotations

import zlib

import httpx

from rlvrscope.engines.openai_reply import RefusedError, TroubleError

MAX_REPLY_BYTES = 1 << 25
"""Largest accepted reply. Its numbers and texts take up to 30 times as much once they are read."""
BASE_BYTES, TOKEN_BYTES = 1 << 20, 1 << 10
"""Room for a reply, and for each token's text and log-probability."""
ACCEPTED = {"": 0, "identity": 0, "gzip": 31, "x-gzip": 31, "deflate": 47}
"""Encodings that are read, with zlib's number for them."""


class TooLargeError(RefusedError):
    """A reply that is larger than its tokens can fill."""


def max_bytes(choices: int, max_tokens: int) -> int:
    """Largest reply with this many choices."""
    return min(MAX_REPLY_BYTES, BASE_BYTES + choices * TOKEN_BYTES * max_tokens)


async def read_body(reply: httpx.Response, limit: int) -> bytes:
    """Read a reply. Raises TooLargeError beyond `limit` bytes, sent or decompressed, without reading on."""
    encoding = reply.headers.get("content-encoding", "").strip().lower()
    if encoding not in ACCEPTED:
        raise TroubleError(f"an answer in the encoding {encoding[:40]!r}, which was not asked for")
    unpacker = zlib.decompressobj(ACCEPTED[encoding]) if ACCEPTED[encoding] else None
    content = bytearray()
    async for part in reply.aiter_raw():
        try:
            content += part if unpacker is None else unpacker.decompress(part, limit + 1 - len(content))
        except zlib.error as error:
            raise TroubleError(f"an answer whose compression is damaged ({error})") from None
        if len(content) > limit:
            raise TooLargeError(f"an answer of more than {limit / BASE_BYTES:.0f} MB, more than its tokens can fill")
    return bytes(content)
