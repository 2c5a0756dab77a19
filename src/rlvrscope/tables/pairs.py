"""How a user says which of a file's columns is which of ours."""

from __future__ import annotations

from collections.abc import Sequence

from rlvrscope.errors import InputError, nearest


def parse_pairs(pairs: Sequence[str], known: Sequence[str], option: str, example: str) -> dict[str, str]:
    """Pairs "ours=theirs", as the option of the command line has them.

    >>> parse_pairs(["prompt=question"], ["prompt", "answer"], "--field", "prompt=question")
    {'prompt': 'question'}

    Raises InputError for one that is no pair, for an `ours` that is not known, and for one given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not equals or not theirs:
            raise InputError(f"{option} takes OURS=THEIRS, such as {example}; got {pair!r}")
        if ours not in known:
            raise InputError(f"{option} {pair}: unknown {option.lstrip('-')} {ours!r}. {nearest(ours, known)}")
        if found.setdefault(ours, theirs) != theirs:
            raise InputError(f"{option} names {ours!r} twice: {found[ours]!r} and {theirs!r}. Give it once.")
    return found
