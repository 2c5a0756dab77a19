"""Late imports: the core stays light, and a missing extra comes with its pip command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rlvrscope.errors import MissingExtraError


@contextlib.contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Import optional libraries inside this block. A missing one raises MissingExtraError with the line to install it.

    extra: of pyproject.toml. what: the part that needs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "rlvrscope":
            raise
        raise MissingExtraError(
            f"{what} needs {error.name}, which is not installed. "
            f"In your clone of rlvrscope run: pip install '.[{extra}]'"
        ) from error
