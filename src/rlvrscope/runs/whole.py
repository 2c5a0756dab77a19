"""Whether a safetensors file is whole, from its header and its size; its weights are not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlvrscope.files import open_ordinary, parse_json

MAX_HEADER_BYTES = 100_000_000
"""Size of a header, by the format."""


def is_whole(path: Path) -> bool:
    """True for a file that has all the bytes that its header names. Raises WorkError if it can't be read."""
    if not path.exists():
        return False
    with open_ordinary(path) as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= MAX_HEADER_BYTES else b""
        size = file.seek(0, 2)
    try:
        end = max((_end(tensor) for name, tensor in parse_json(header).items() if name != "__metadata__"), default=0)
    except (ValueError, AttributeError, TypeError, LookupError):
        return False
    return size == 8 + length + end


def _end(tensor: Any) -> int:
    """Offset after a tensor's last byte."""
    return int(tensor["data_offsets"][1])
