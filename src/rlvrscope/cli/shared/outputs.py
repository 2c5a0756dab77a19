"""Files that a command writes, checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rlvrscope.errors import InputError


def check_outputs(paths: Sequence[Path], inputs: Iterable[Path], png: Path | None) -> None:
    """Refuse outputs that are folders or overwrite an input or each other, and pictures of other kinds."""
    if png is not None and png.suffix not in (".png", ".svg"):
        raise InputError(f"--png must end in .png or .svg; got {png}")
    taken = {path.resolve() for path in inputs}
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give a file name")
        if path.resolve() in taken:
            raise InputError(f"{path} is already read or written by this command: give every file its own name")
        taken.add(path.resolve())
