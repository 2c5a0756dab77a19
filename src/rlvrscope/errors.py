"""The errors users meet: one line each, saying what must hold, what came and what to do."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path


class RlvrscopeError(Exception):
    """Something the user can mend. The command line prints it as one line, without a traceback."""

    exit_code = 2


class InputError(RlvrscopeError, ValueError):
    """Input that breaks a stated rule: an array, a recipe, a file, a flag."""


class WorkError(RlvrscopeError, RuntimeError):
    """Work that could not be finished: a failed run, a full disk, a lost worker."""

    exit_code = 1


class MissingExtraError(RlvrscopeError, ImportError):
    """A part of rlvrscope whose libraries are not installed."""


@contextlib.contextmanager
def file_errors(doing: str, path: Path | str, kind: type[RlvrscopeError] = WorkError) -> Iterator[None]:
    """Turn the operating system's refusal into one line that names the file.

    >>> with file_errors("read", "no-such-file"):
    ...     open("no-such-file")
    Traceback (most recent call last):
        ...
    rlvrscope.errors.WorkError: cannot read no-such-file: No such file or directory
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise kind(f"cannot {doing} {path}: {reason}") from error


def did_you_mean(word: str, choices: Sequence[str]) -> str:
    """A sentence that offers the closest choice, or all of them.

    >>> did_you_mean("grop", ["grpo", "gspo"])
    "Did you mean 'grpo'? Allowed: grpo, gspo."
    """
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Allowed: {', '.join(choices)}."
