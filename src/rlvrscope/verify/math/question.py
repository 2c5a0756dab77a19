"""Expressions and names in a question, for rejecting answers that only repeat it."""

from __future__ import annotations

import re
from functools import lru_cache

from rlvrscope.verify.decision import Refused, Unreadable
from rlvrscope.verify.math.expression import parse, plain_number
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.tree import Node, number, skeleton

MAX_PROMPT_CHARACTERS = 4_000
"""Characters at the end of the prompt that are searched."""
_MAX_PIECES = 100
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

_PERCENT = r"(?:percent(?:ages?)?\b|%)(?! points?)"
_NOT_A_NUMBER = r"(?!one |two |three |five |ten |fifteen |[a-z]+ty |hundred )"
_THE = rf"(?:(?:the|his|her|its|their|[a-z]+'s) (?:{_NOT_A_NUMBER}[a-z]+ )?)"
_ASKS_PERCENT = re.compile(
    rf"\b(?:what|which)(?:'s)? (?:is |was |are |were |would be |will be )?{_THE}?{_PERCENT}"
    rf"|\bhow (?:many|much) {_PERCENT}|\b(?:find|determine|compute|calculate|estimate|give|state) {_THE}{_PERCENT}"
    rf"|\b(?:as|in|to) (?:an? )?{_PERCENT}|\bnearest (?:whole |(?:tenth|hundredth) of an? )?{_PERCENT}"
)
_ASKS_OTHERWISE = re.compile(
    r"\bhow (?:many|much|long|old|far|tall|fast|often)\b|(?:[.?!;:,]|\band) (?:what|which) (?!percent|%)"
    r"|[.?!;:] (?:find|determine|compute|calculate) "
)
_NOT_PERCENT = re.compile(r"\b(?:as|in|to) (?:an? )?(?:[a-z]+ )?(?:decimal(?! place)|fraction|ratio)\b")


@lru_cache(maxsize=1024)
def asks_for_percent(prompt: str) -> bool:
    """Test whether the last thing that the question asks for is a percentage.

    >>> asks_for_percent("What percentage is absent?"), asks_for_percent("What is 20% of 50?")
    (True, False)
    """
    text = " ".join(prompt[-MAX_PROMPT_CHARACTERS:].lower().replace("\\%", "%").replace("$", " ").split())
    requests = list(_ASKS_PERCENT.finditer(text))
    if not requests or _NOT_PERCENT.search(text):
        return False
    return _ASKS_OTHERWISE.search(text, requests[-1].end()) is None


@lru_cache(maxsize=1024)
def expressions(prompt: str) -> frozenset[str]:
    """Return the skeletons of all readable expressions in the prompt and of their parts."""
    skeletons = set[str]()
    for piece in _pieces(prompt)[:_MAX_PIECES]:
        for node in _read(piece.strip(" .,")):
            skeletons.update(skeleton(part) for part in node.walk() if part.args or part.op == "number")
    return frozenset(skeletons)


@lru_cache(maxsize=1024)
def whole_expressions(prompt: str) -> frozenset[str]:
    """Return the skeletons of whole formulas and of whole sides of equations."""
    return frozenset(skeleton(node) for piece in _pieces(prompt)[:_MAX_PIECES] for node in _read(piece.strip(" .,")))


def _pieces(prompt: str) -> list[str]:
    """Return formulas between dollar signs, and text outside that looks like a formula."""
    tail = _DELIMITER.sub("$", prompt[-MAX_PROMPT_CHARACTERS:])
    return [*_FORMULA.findall(tail), *_PROSE.findall(_FORMULA.sub(" ; ", tail))]


def _read(piece: str) -> list[Node]:
    nodes = []
    try:
        text = canonical(piece)
    except Refused:
        return []
    for side in [text, *_SIGNS.split(text)]:
        try:
            plain = plain_number(side.strip())
            nodes.append(number(plain) if plain is not None else parse(side.strip()))
        except (Refused, Unreadable):
            continue
    return nodes


def asks_for_another_form(prompt: str) -> bool:
    """Test whether the question asks to rewrite one of its numbers: "express 0.25 as a fraction"."""
    return bool(_CHANGED.search(prompt[-MAX_PROMPT_CHARACTERS:].lower()))


def names(text: str) -> bool:
    r"""Test whether the left side of an equation is a name for the right side: y, f(x), f^{-1}(x)."""
    return bool(_NAME.fullmatch(text))


def stands_alone(text: str, prompt: str) -> bool:
    """Test whether the question has this expression, and not only as part of another one: m+n, \\angle ABC."""
    target = _squashed(text)
    pattern = rf"(?<![-+*/^A-Za-z0-9]){re.escape(target)}(?![-+*/^A-Za-z0-9])"
    return bool(target) and re.search(pattern, _squashed_formulas(prompt)) is not None


@lru_cache(maxsize=1024)
def tuples(prompt: str) -> list[str]:
    """Return the contents of tuples in the question, in order: "x,y"."""
    return _TUPLE.findall(_squashed(prompt[-MAX_PROMPT_CHARACTERS:]))


@lru_cache(maxsize=1024)
def _squashed_formulas(prompt: str) -> str:
    return " ".join(map(_squashed, _pieces(prompt)))


def _squashed(text: str) -> str:
    return _DECORATION.sub("", text)
