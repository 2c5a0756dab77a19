"""Lines of a file that another process appends to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from rlvrscope.errors import file_errors
from rlvrscope.files import lines_in, open_ordinary


@dataclass
class GrowingLines:
    """Whole lines of a growing file. A poll reads only what was appended since the last one.

    number: lines read so far. restarts: how often the file was replaced or became shorter; it is then read from its
    start. unfinished: the start of a last line.
    """

    path: Path
    number: int = field(default=0, init=False)
    restarts: int = field(default=0, init=False)
    unfinished: bytes = field(default=b"", init=False)
    _offset: int = field(default=0, init=False)
    _inode: int | None = field(default=None, init=False)

    def poll(self) -> list[tuple[int, bytes]]:
        """(number, line) of the lines that were completed since the last call. Raises WorkError if it can't be read."""
        with file_errors("read", self.path):
            if not self.path.exists():
                return []
            with open_ordinary(self.path) as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self.restarts += self._inode is not None
                    self._offset, self.number, self._inode = 0, 0, status.st_ino
                file.seek(self._offset)
                lines = list(lines_in(file, self.path))
        self.unfinished = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        self._offset += sum(map(len, lines))
        start, self.number = self.number + 1, self.number + len(lines)
        return list(enumerate(lines, start))
