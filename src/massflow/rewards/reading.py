r"""What an answer is: a value with its unit, words, a list or tuple or set, a matrix, a relation, or only a string."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from massflow.rewards.decision import Broken, Refused, Unreadable
from massflow.rewards.expression import MOST_DIGITS, Node, literal, number, parse
from massflow.rewards.latex import balanced, canonical, split
from massflow.rewards.units import unit_of

MOST_ITEMS = 50


@dataclass(frozen=True)
class Value:
    """A number or an expression. unit: "" for none; "%" is percent."""

    node: Node
    unit: str = ""

    @property
    def literal(self) -> Fraction | None:
        return literal(self.node)


@dataclass(frozen=True)
class Based:
    """Digits in a base: 2516_8."""

    digits: str
    base: str


@dataclass(frozen=True)
class Words:
    """Text that is no mathematics: a name, a weekday."""

    text: str


@dataclass(frozen=True)
class Items:
    """Several: brackets is "," (a bare list), "{}" (a set), "()", "[)" and so on, "matrix", "row" or "union"."""

    brackets: str
    parts: tuple[Content, ...]

    @property
    def ordered(self) -> bool:
        return self.brackets not in (",", "{}", "union")


@dataclass(frozen=True)
class Relation:
    """left sign right: sign is =, <, >, \\le, \\ge or \\ne."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Opaque:
    """Nothing that we read: equal to the same string only. why: what could not be read."""

    text: str
    why: str
    broken: bool = False


Content = Value | Based | Words | Items | Relation | Opaque


@dataclass(frozen=True)
class Reading:
    """An answer in its one spelling, and what it is."""

    text: str
    content: Content


_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)")
_GROUPED = re.compile(r"([+-]?[0-9]{1,3})((?:,[0-9]{3})+|(?: [0-9]{3})+)(\.[0-9]+)?")
_REPEATING = re.compile(r"([+-]?)([0-9]*)\.([0-9]*)\\overline\{([0-9]+)\}")
_SCIENTIFIC = re.compile(
    r"([+-]?[0-9]+(?:\.[0-9]*)?)(?:\\(?:times|cdot) ?10\^(?:\{(-?[0-9]{1,3})\}|([0-9]))|[eE]([+-]?[0-9]{1,3}))"
)
_BASED = re.compile(r"([0-9][0-9A-F]*)_(?:\{([0-9]+)\}|([0-9]))")
_MATRIX = re.compile(r"\\begin\{([pb]?)matrix\}(.*)\\end\{\1matrix\}", re.DOTALL)
_APPLIED = re.compile(r"[A-Za-z]\([A-Za-z]\)")
_SIGN = re.compile(r"(\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])|=|<|>)")
_MEMBER = re.compile(r"[A-Za-z]\\in ?(?![a-z])")
_WORDS = re.compile(r"\\text\{([^{}\\]*)\}|([A-Za-z]{2,}(?:[ '][A-Za-z]+)+|[A-Z]{2,}|[A-Za-z]{4,})")
_JOIN = r",|;|\\text\{,? ?(?:and|or)\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|\\cup"
_BLANK = re.compile(r"\s+")


def read(text: str) -> Reading:
    """The answer in the text. Raises Refused for one past the limits or with characters that are refused."""
    spelled = canonical(text)
    try:
        return Reading(spelled, _content(spelled))
    except Unreadable as error:
        return Reading(spelled, Opaque(spelled, str(error), isinstance(error, Broken)))


read_gold = lru_cache(maxsize=4096)(read)
"""The same for gold answers, which come again and again."""


def _content(text: str) -> Content:
    if not text:
        raise Broken("there is nothing")
    if _WHOLE.fullmatch(text) and len(text) <= MOST_DIGITS:
        return Value(number(int(text)))
    if not balanced(text):
        raise Broken("braces that do not close")
    words = _WORDS.fullmatch(text)
    if words and words[1] is not None and re.search("[0-9]", words[1]):
        return _content(words[1].strip())
    if words:
        said = _BLANK.sub(" ", words[1] if words[1] is not None else words[2]).strip(" ().")
        return Words(said.lower() if len(said) > 1 else said)
    return _single(text) or _several(text) or _relation(text) or _value(text)


def _single(text: str) -> Content | None:
    """What is one number, though it may hold commas, spaces or an index."""
    plain = _plain_number(text)
    if plain is not None:
        return Value(number(plain))
    based = _BASED.fullmatch(text)
    return Based(based[1].lstrip("0") or "0", based[2] or based[3]) if based else None


def _plain_number(text: str) -> Fraction | None:
    if len(text) > MOST_DIGITS:
        return None
    if match := _GROUPED.fullmatch(text):
        return _fraction(match[1] + re.sub("[, ]", "", match[2]) + (match[3] or ""))
    if match := _SCIENTIFIC.fullmatch(text):
        return _fraction(match[1]) * Fraction(10) ** int(match[2] or match[3] or match[4])
    if match := _REPEATING.fullmatch(text):
        sign, whole, part, period = match.groups()
        nines = 10 ** len(part) * (10 ** len(period) - 1)
        value = Fraction(int(f"{whole}{part}{period}") - int(f"0{whole}{part}"), nines)
        return -value if sign == "-" else value
    match = _DECIMAL.fullmatch(text)
    return _fraction(text) if match and (match[2] or match[3]) else None


def _fraction(digits: str) -> Fraction:
    return Fraction(digits.removesuffix("."))


def _several(text: str) -> Content | None:
    text = _MEMBER.sub("", text, count=1) if _MEMBER.match(text) else text
    if match := _MATRIX.fullmatch(text):
        rows = [Items("row", _parts(split(row, "&"))) for row in split(match[2].removesuffix("\\\\"), r"\\\\")]
        return Items("matrix", tuple(rows))
    joined = split(text, _JOIN)
    if len(joined) > 1:
        return _joined(text, joined)
    if "\\pm" in text:
        return _both_signs(text)
    brackets = re.fullmatch(r"(\\\{|\(|\[)(.*)(\\\}|\)|\])", text, flags=re.DOTALL)
    if brackets is None or not _closes(brackets[2]):
        return None
    inside = split(brackets[2], "[,;]")
    kind = (brackets[1] + brackets[3]).replace("\\", "")
    if len(inside) == 1 and kind == "()":
        return _content(brackets[2])
    if kind in ("{]", "[}", "(}", "{)") or (len(inside) == 1 and kind != "{}"):
        raise Unreadable("brackets that do not belong together")
    return Items(kind, _parts(inside))


def _closes(inside: str) -> bool:
    """Whether the bracket before this and the one after it belong together."""
    try:
        split(inside, "$^")
    except Unreadable:
        return False
    return True


def _joined(text: str, joined: list[str]) -> Content:
    cups = text.count("\\cup")
    if cups and cups != len(joined) - 1:
        raise Unreadable("a union within a list")
    parts = [part for part in joined if part] if not cups else joined  # "1, 2, and 3" has an empty part
    return Items("union" if cups else ",", _flattened(_parts(parts)))


def _flattened(parts: tuple[Content, ...]) -> tuple[Content, ...]:
    """A list within a list is what a plus-minus gives."""
    inner = [part.parts if isinstance(part, Items) and part.brackets == "," else (part,) for part in parts]
    return tuple(part for some in inner for part in some)


def _both_signs(text: str) -> Content:
    if text.count("\\pm") != 1:
        raise Unreadable("more than one plus-minus")
    before, _, after = text.partition("\\pm")
    plus = f"{before}+{after.strip()}" if before and before[-1] not in "({" else f"{before}{after.strip()}"
    return Items(",", (_content(plus), _content(f"{before}-{after.strip()}")))


def _parts(texts: list[str]) -> tuple[Content, ...]:
    if len(texts) > MOST_ITEMS:
        raise Refused(f"a list of more than {MOST_ITEMS}")
    return tuple(_content(text.strip()) for text in texts)


def _relation(text: str) -> Content | None:
    sides = _SIGN.split(text)
    if len(sides) == 1:
        return None
    if len(sides) == 3:
        return Relation(sides[1], _left_side(sides[0].strip()), _node(sides[2]))
    if len(sides) == 5 and sides[1] in ("<", "\\le") and sides[3] in ("<", "\\le"):
        low, high = _node(sides[0]), _node(sides[4])
        if parse(sides[2].strip()).op == "symbol":  # a < x < b is an interval
            brackets = ("(" if sides[1] == "<" else "[") + (")" if sides[3] == "<" else "]")
            return Items(brackets, (Value(low), Value(high)))
    raise Unreadable("a chain of equations")


def _left_side(text: str) -> Node:
    """f(x), on its own, is the name of a value."""
    return Node("symbol", value=text) if _APPLIED.fullmatch(text) else _node(text)


def _value(text: str) -> Value:
    if text.endswith("%"):
        return Value(_node(text[:-1]), "%")
    rest, unit = unit_of(text)
    return Value(_node(rest), unit)


def _node(text: str) -> Node:
    text = text.strip()
    if "\\infty" in text and text not in ("\\infty", "+\\infty", "-\\infty"):
        raise Unreadable("arithmetic with infinity")
    plain = _plain_number(text)
    return parse(text) if plain is None else number(plain)
