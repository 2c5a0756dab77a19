"""What stands in a question: its expressions, and the names of what it asks for."""

from __future__ import annotations

import re
from functools import lru_cache

from rlvrscope.verify.decision import Refused, Unreadable
from rlvrscope.verify.math.expression import parse, plain_number
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.tree import Node, number, skeleton

MAX_PROMPT = 4_000
"""Characters at its end that are looked at."""
_MOST_PIECES = 100
_FORMULA = re.compile(r"\$([^$]+)\$")
_DELIMITER = re.compile(r"\\[()\[\]]")
_PROSE = re.compile(r"(?:[-+*/^=().,0-9 ]|\\[a-z]+|(?<![A-Za-z])[a-z](?![A-Za-z])|[{}])+")
_SIGNS = re.compile(r"\\(?:le|ge|ne|lt|gt)(?![a-z])|[=<>,;]|\\text\{[^{}]*\}")
_NAME = re.compile(
    r"[A-Za-z](?:_[A-Za-z0-9])?(?:\^\{-1\})?(?:'|\([A-Za-z]\)|\^\\circ ?)?"
    r"|[fghpqrFGPTV](?:\^\{-1\})?\([A-Za-z0-9,+-]{1,20}\)"
    r"|\\text\{[A-Za-z]{1,20}\}"
)
_TUPLE = re.compile(r"\(([^()]{1,60},[^()]{1,60})\)")
_DECORATION = re.compile(r"\\left|\\right|\\displaystyle|\\[,;:! ]|[\s${}]|(?<=\\)[dt](?=frac)")
_CHANGED = re.compile(
    r"express|write|convert|simplif|reduc|lowest terms|as an? (?:common |mixed )?(?:fraction|decimal|percent)"
)


@lru_cache(maxsize=1024)
def expressions(prompt: str) -> frozenset[str]:
    """The skeletons of all expressions in the prompt, and of their parts; of those that we can read."""
    found = set[str]()
    for piece in _pieces(prompt)[:_MOST_PIECES]:
        for node in _read(piece.strip(" .,")):
            found.update(skeleton(part) for part in node.walk() if part.args or part.op == "number")
    return frozenset(found)


@lru_cache(maxsize=1024)
def whole_expressions(prompt: str) -> frozenset[str]:
    """The skeletons of those that are a formula, or a side of one, by themselves."""
    return frozenset(skeleton(node) for piece in _pieces(prompt)[:_MOST_PIECES] for node in _read(piece.strip(" .,")))


def _pieces(prompt: str) -> list[str]:
    """Formulas between dollars, and what looks like one outside of them."""
    tail = _DELIMITER.sub("$", prompt[-MAX_PROMPT:])
    return [*_FORMULA.findall(tail), *_PROSE.findall(_FORMULA.sub(" ; ", tail))]


def _read(piece: str) -> list[Node]:
    found = []
    try:
        text = canonical(piece)
    except Refused:
        return []
    for side in [text, *_SIGNS.split(text)]:
        try:
            plain = plain_number(side.strip())
            found.append(number(plain) if plain is not None else parse(side.strip()))
        except (Refused, Unreadable):
            continue
    return found


def asks_for_another_form(prompt: str) -> bool:
    """Whether the answer is a number of the question, written in another way: "express 0.25 as a fraction"."""
    return bool(_CHANGED.search(prompt[-MAX_PROMPT:].lower()))


def names(text: str) -> bool:
    r"""Whether this, left of an equals sign, is the name of what is right of it: y, f(x), f^{-1}(x)."""
    return bool(_NAME.fullmatch(text))


def stands_alone(text: str, prompt: str) -> bool:
    """Whether the question has this expression, and not only as a part of another one: m+n, \\angle ABC."""
    wanted = _squashed(text)
    found = re.search(rf"(?<![-+*/^A-Za-z0-9]){re.escape(wanted)}(?![-+*/^A-Za-z0-9])", _squashed_formulas(prompt))
    return bool(wanted) and found is not None


@lru_cache(maxsize=1024)
def tuples(prompt: str) -> list[str]:
    """What stands in round brackets with a comma in the question, in its order: "x,y"."""
    return _TUPLE.findall(_squashed(prompt[-MAX_PROMPT:]))


@lru_cache(maxsize=1024)
def _squashed_formulas(prompt: str) -> str:
    return " ".join(map(_squashed, _pieces(prompt)))


def _squashed(text: str) -> str:
    return _DECORATION.sub("", text)
