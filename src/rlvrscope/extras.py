"""Late imports: the core stays light, and a missing extra names its pip line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rlvrscope.errors import MissingExtraError


@contextlib.contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Import inside this block; a library that is missing is reported with the line that installs it.

    Raises MissingExtraError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "rlvrscope":
            raise
        raise MissingExtraError(
            f"{what} needs {error.name}, which is not installed. Run: pip install 'rlvrscope[{extra}]'"
        ) from error
