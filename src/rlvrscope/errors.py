"""Errors for users: one line with the rule, the value and the fix."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path


class RlvrscopeError(Exception):
    """An error that the user can fix. The command line prints it as one line, without a traceback."""

    exit_code = 2
    label = "error"


class InputError(RlvrscopeError, ValueError):
    """Invalid input: an array, a recipe, a file, a flag."""


class WorkError(RlvrscopeError, RuntimeError):
    """Work that failed: a run, a full disk, a lost worker."""

    exit_code = 1


class AlarmError(RlvrscopeError):
    """A result that the user asked to be warned of."""

    exit_code = 3
    label = "alarm"


class MissingExtraError(RlvrscopeError, ImportError):
    """An optional dependency that is not installed."""


@contextlib.contextmanager
def file_errors(doing: str, path: Path | str, kind: type[RlvrscopeError] = WorkError) -> Iterator[None]:
    """Turn an OSError into one line that names the file.

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
    """Hint for an error message: the closest choice, if any, and all choices.

    >>> did_you_mean("grop", ["grpo", "gspo"])
    "Did you mean 'grpo'? Allowed: grpo, gspo."
    """
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Allowed: {', '.join(choices)}."
