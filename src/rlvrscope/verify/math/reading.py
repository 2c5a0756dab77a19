r"""Reading of an answer: its kind and content, or an opaque string."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

from rlvrscope.verify.decision import Broken, Refused, Unreadable
from rlvrscope.verify.math.content import (
    Based,
    Clock,
    Content,
    Items,
    Labelled,
    Named,
    Opaque,
    Reading,
    Relation,
    Value,
    Words,
)
from rlvrscope.verify.math.expression import MAX_DIGITS, parse, plain_number
from rlvrscope.verify.math.latex import balanced, canonical, cut, split
from rlvrscope.verify.math.question import names
from rlvrscope.verify.math.tree import CONSTANTS, Node, number
from rlvrscope.verify.math.units import unit_of

MAX_ITEMS = 50

_WHOLE = re.compile(r"[+-]?[0-9]+")
_BASED = re.compile(r"([0-9][0-9A-F]*)_(?:\{([0-9]+)\}|([0-9]))")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?: ?([ap])\.?m\.?)?", re.IGNORECASE)
_MATRIX = re.compile(r"\\begin\{([pb]?)matrix\}(.*)\\end\{\1matrix\}", re.DOTALL)
_SIGN = r"\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])|=|<|>"
_ARRAY = re.compile(
    r"(\(|\[) ?\\begin\{(matrix|array)\}(?:(?<=y\}) ?\{[clr| ]{1,40}\})?((?:(?!\\begin).)*)\\end\{\2\} ?(\)|\])",
    re.DOTALL,
)
"""Other spellings of pmatrix and bmatrix."""
_ALL_REALS = ("\\mathbb{R}", "\\mathbb R")
_INEQUALITIES = ("<", ">", "\\le", "\\ge")
_MEMBER = re.compile(r"([A-Za-z])\\in ?(?![a-z])")
_WORDS = re.compile(r"\\text\{([^{}\\]*)\}|([A-Za-z]{2,}(?:[ '][A-Za-z]+)+|[A-Z]{2,}|[A-Z][a-z]{2,}|[A-Za-z]{2,})")
_SHORT_WORDS = re.compile(r"yes|no|odd|red|mon|tue|wed|thu|fri|sat|sun|[a-z]*([a-z])\1[a-z]*", re.IGNORECASE)
"""Words of two or three letters; others are products (xy, abc), in which no letter occurs twice in a row."""
_CAPITALISED = re.compile(r"(?:[A-Z]{2,4}|[A-Z][a-z]+)(?: and (?:[A-Z]{2,4}|[A-Z][a-z]+))+")
"""Names with "and" between them: PQ and RS."""
_GROUPED = re.compile(
    r"(?P<open>\\\{|[(\[])|(?P<close>\\\}|[)\]])|(?<![0-9A-Za-z.,^_)])(?P<digits>[0-9]+(?:,[0-9]+)+)(?![0-9_])"
)
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_LABEL = re.compile(r"(?:\\text\{ ?\(?([A-J])\)[ .]*\}|\(([A-J])\)(?=[0-9]))(.+)", re.DOTALL)
_JOIN = r",|;|\\text\{,? ?(?:and|or)\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|\\cup"
_NO_OR = re.compile(r",|;|and(?![A-Za-z])|\\cup")
_BLANK = re.compile(r"\s+")


def read(text: str) -> Reading:
    """Read an answer. Raises Refused for one past the limits or with forbidden characters."""
    spelled = canonical(text)
    try:
        return Reading(spelled, _content(_ungrouped(spelled)))
    except Unreadable as error:
        return Reading(spelled, Opaque(spelled, str(error), isinstance(error, Broken)))


def _ungrouped(text: str) -> str:
    r"""Remove thousands separators outside of tuples, intervals and sets: x=1,500 and \frac{12}{5,525}, not (1,500)."""
    if "," not in text:
        return text
    depth = 0

    def plain(match: re.Match[str]) -> str:
        nonlocal depth
        depth += 1 if match["open"] else -1 if match["close"] else 0
        digits = match["digits"]
        return digits.replace(",", "") if digits and not depth and _THOUSANDS.fullmatch(digits) else match[0]

    return _GROUPED.sub(plain, text)


def _content(text: str) -> Content:
    if not text:
        raise Broken("it is empty")
    if _WHOLE.fullmatch(text) and len(text) <= MAX_DIGITS:
        return Value(number(int(text)))
    if not balanced(text):
        raise Broken("braces that do not close")
    if label := _LABEL.fullmatch(text):
        return Labelled(label[1] or label[2], _content(label[3].strip()))
    return _words(text) or _single(text) or _several(text) or _relation(text) or _value(text)


def _words(text: str) -> Content | None:
    match = _WORDS.fullmatch(text)
    if match is None or _CAPITALISED.fullmatch(text):
        return None
    if match[1] is not None and (re.search("[0-9]", match[1]) or _CAPITALISED.fullmatch(match[1].strip())):
        with contextlib.suppress(Unreadable):
            return _content(match[1].strip())
    short = len(text) < 4 and not text.isupper() and not (len(text) == 3 and text.istitle())
    if short and not _SHORT_WORDS.fullmatch(text):
        return None
    words = _BLANK.sub(" ", match[1] if match[1] is not None else match[2]).strip(" ().")
    return Words(words.lower() if len(words) > 1 else words)


def _single(text: str) -> Content | None:
    """Read a single number, possibly with commas, spaces, a unit or a base; a time of day."""
    plain = plain_number(text)
    if plain is not None:
        return Value(number(plain))
    if based := _BASED.fullmatch(text):
        return Based(based[1].lstrip("0") or "0", based[2] or based[3])
    if clock := _CLOCK.fullmatch(text.replace("\\text{", "").replace("}", "")):
        return Clock(f"{int(clock[1])}:{clock[2]}", f"{clock[3].lower()}m" if clock[3] else "")
    before_unit, scale, unit = _split_unit(text)
    value = plain_number(before_unit) if before_unit != text else None
    return Value(number(value * scale), unit) if value is not None else None


def _several(text: str) -> Content | None:
    if member := _MEMBER.match(text):
        inside = _content(text[member.end() :])
        return replace(inside, variable=member[1]) if isinstance(inside, Items) else inside
    if text == "\\emptyset":
        return Items("{}", ())
    if text in _ALL_REALS:
        infinity = Node("symbol", value="\\infty")
        return Items("()", (Value(Node("negate", (infinity,))), Value(infinity)))
    if match := _MATRIX.fullmatch(text):
        return _matrix(match[2])
    if (match := _ARRAY.fullmatch(text)) and match[1] + match[4] in ("()", "[]"):
        return _matrix(match[3])
    joined = split(text, _JOIN)
    if len(joined) > 1:
        return _joined(text, joined)
    if "\\pm" in text and "=" not in text:
        return _both_signs(text)
    return _bracketed(text)


def _matrix(inside: str) -> Items:
    rows = split(inside.strip().removesuffix("\\\\"), r"\\\\")
    return Items("matrix", tuple(Items("row", _parts(split(row, "&"))) for row in rows))


def _bracketed(text: str) -> Content | None:
    brackets = re.fullmatch(r"(\\\{|\(|\[)(.*)(\\\}|\)|\])", text, flags=re.DOTALL)
    if brackets is None or not _closes(brackets[2]):
        return None
    kind = (brackets[1] + brackets[3]).replace("\\", "")
    if kind == "{}" and not brackets[2].strip():
        return Items("{}", ())
    inside = split(brackets[2], "[,;]")
    if len(inside) == 1 and kind == "()":
        return _content(brackets[2])
    if kind in ("{]", "[}", "(}", "{)") or (len(inside) == 1 and kind != "{}"):
        raise Unreadable("brackets of different kinds")
    return Items(kind, _parts(inside))


def _closes(inside: str) -> bool:
    """Test whether the brackets around this text match each other."""
    try:
        split(inside, "$^")
    except Unreadable:
        return False
    return True


def _joined(text: str, joined: list[str]) -> Content:
    cups = text.count("\\cup")
    if cups and cups != len(joined) - 1:
        raise Unreadable("a union within a list")
    parts = [part for part in joined if part.strip()] if not cups else joined  # "1, 2, and 3" has an empty part
    items = _flattened(_parts(parts))
    if cups and all(isinstance(item, Items) and item.brackets == "{}" for item in items):
        return Items("{}", tuple(part for item in items if isinstance(item, Items) for part in item.parts))
    if not _NO_OR.search(text) and all(map(_is_range, items)):  # x < 1 or x > 2
        return Items("union", items)
    return Items("union" if cups else ",", items)


def _is_range(part: Content) -> bool:
    return (isinstance(part, Relation) and part.sign in _INEQUALITIES) or (
        isinstance(part, Items) and bool(part.variable)
    )


def _flattened(parts: tuple[Content, ...]) -> tuple[Content, ...]:
    """Merge lists within the list, which come from plus-minus signs."""
    lists = [part.parts if isinstance(part, Items) and part.brackets == "," else (part,) for part in parts]
    return tuple(part for parts in lists for part in parts)


def _both_signs(text: str) -> Content:
    if text.count("\\pm") != 1:
        raise Unreadable("more than one plus-minus")
    before, _, after = text.partition("\\pm")
    plus = f"{before}+{after.strip()}" if before and before[-1] not in "({" else f"{before}{after.strip()}"
    return Items(",", (_content(plus), _content(f"{before}-{after.strip()}")))


def _parts(texts: list[str]) -> tuple[Content, ...]:
    if len(texts) > MAX_ITEMS:
        raise Refused(f"a list of more than {MAX_ITEMS}")
    return tuple(_content(text.strip()) for text in texts)


def _relation(text: str) -> Content | None:
    sides = [side.strip() for side in cut(text, _SIGN)]
    if len(sides) == 1:
        return None
    if any(side.count("|") % 2 for side in sides):
        raise Unreadable("a bar that does not close or means such that")
    if len(sides) == 5 and sides[1] in ("<", "\\le") and sides[3] in ("<", "\\le"):
        low, high = _node(sides[0]), _node(sides[4])
        middle = parse(sides[2])
        if middle.op == "symbol":  # a < x < b is an interval
            brackets = ("(" if sides[1] == "<" else "[") + (")" if sides[3] == "<" else "]")
            return Items(brackets, (Value(low), Value(high)), str(middle.value))
    if len(sides) != 3:
        raise Unreadable("a chain of equations")
    left, sign, right = sides
    try:
        return Relation(sign, _left_side(left), _node(right), left)
    except Broken:
        raise
    except Unreadable:
        if sign != "=":
            raise
        return _named(left, right)


def _left_side(text: str) -> Node:
    """Read f(x) alone as the name of a value."""
    return Node("symbol", value=text) if names(text) and "(" in text else _node(text)


def _named(name: str, text: str) -> Content:
    """Read a named answer; x = \\pm 2 becomes the list x = 2, x = -2."""
    content = _content(text)
    if isinstance(content, Items) and content.brackets == "," and len(name) == 1:
        symbol = Node("symbol", value=name)
        parts = [part for part in content.parts if isinstance(part, Value) and not part.unit]
        if len(parts) == len(content.parts) and name not in CONSTANTS:
            return Items(",", tuple(Relation("=", symbol, part.node, name) for part in parts))
    return Named(name, content)


def _value(text: str) -> Value:
    if text.endswith("%"):
        return Value(_node(text[:-1]), "%")
    before_unit, scale, unit = _split_unit(text)
    node = _node(before_unit)
    return Value(node if scale == 1 else Node("multiply", (number(scale), node)), unit)


def _split_unit(text: str) -> tuple[str, int, str]:
    r"""Split like `unit_of`, also where a scale precedes the unit: \$5 million."""
    before, scale, unit = unit_of(text)
    if not unit or before == text:
        return before, scale, unit
    inner, inner_scale, inner_unit = unit_of(before)
    return (before, scale, unit) if inner_unit else (inner, scale * inner_scale, unit)


def _node(text: str) -> Node:
    text = text.strip()
    if "\\infty" in text and text not in ("\\infty", "+\\infty", "-\\infty"):
        raise Unreadable("arithmetic with infinity")
    plain = plain_number(text)
    return parse(text) if plain is None else number(plain)
