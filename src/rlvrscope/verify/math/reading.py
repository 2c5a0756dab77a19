r"""Reading of a whole answer: a value with its unit, words, a list, tuple, interval, set or matrix, a relation.

The result is a `Node` with an op of `expression` or: quantity (value: the unit), word, list, set, tuple (value: its
brackets), union, matrix, row, relation (value: its signs), ratio, labelled (value: the letter), raw (value: LaTeX for
math-verify), text (value: a string, equal only to itself).
"""

from __future__ import annotations

import re
from fractions import Fraction

from rlvrscope.verify.decision import Refused, Unreadable
from rlvrscope.verify.math.expression import Node, number, parse
from rlvrscope.verify.math.latex import cut, split
from rlvrscope.verify.math.units import is_known, scale_and_name

MAX_ITEMS = 50
INFINITY = Node("symbol", value="\\infty")
_MATRIX = re.compile(
    r"([(\[]?) ?\\begin\{([pb]?matrix|array)\}(?:\{[clr| ]{1,40}\})?((?:(?!\\begin).)*)\\end\{\2\} ?([)\]]?)", re.DOTALL
)
_SIGN = r"\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])|\\approx(?![a-z])|=|<|>"
_FLIPPED = {">": "<", "\\ge": "\\le", "<": ">", "\\le": "\\ge"}
_MEMBER = re.compile(r"[A-Za-z]\\in ?(?![a-z])")
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
_RATIO = re.compile(r"[^:]+(?::[^:]+)+")
_HALF_DAY = re.compile(r"[ap]\.?m\}?$", re.IGNORECASE)
_TEXT_UNIT = r"\\text\{[^{}\\]*\}(?:\^(?:[23]|\{[23]\}))?"
_UNIT = re.compile(
    rf"(?P<value>.*?[^\\{{\s])\s*(?P<unit>(?:{_TEXT_UNIT} ?/? ?)+|\^\\circ ?(?:\\text\{{[CF]\}}|[CF])?|%"
    rf"|\\frac\{{{_TEXT_UNIT}\}}\{{{_TEXT_UNIT}\}}"
    r"|(?<=[0-9}]) ?(?:[A-Za-z]{2,}|m(?=/s))(?:(?: |/)[A-Za-z]+){0,3}(?:\^[23])?)",
    re.DOTALL,
)


def read(text: str) -> Node:
    """Read an answer in canonical LaTeX; one that can't be read is a text. Raises Refused for one past the limits."""
    try:
        return _content(_ungrouped(text))
    except Unreadable:
        return Node("text", value=text)


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


def _content(text: str) -> Node:
    if not text:
        raise Unreadable("it is empty")
    if text.isdigit() and text.isascii() and len(text) < 300:
        return number(int(text))
    if label := _LABEL.fullmatch(text):
        inner = _content(label[3].strip())
        if inner.op in ("labelled", "word", "text", "list"):
            raise Unreadable("words or a second label after a label")
        return Node("labelled", (inner,), label[1] or label[2])
    split(text, "$^")  # brackets must close
    return _words(text) or _several(text) or _relation(text) or _scalar(text)


def _words(text: str) -> Node | None:
    match = _WORDS.fullmatch(text)
    if match is None or _CAPITALISED.fullmatch(text):
        return None
    inside = match[1].strip() if match[1] is not None else ""
    if re.search("[0-9]", inside) or _CAPITALISED.fullmatch(inside):
        return _content(inside)
    short = len(text) < 4 and not text.isupper() and not (len(text) == 3 and text.istitle())
    if short and not _SHORT_WORDS.fullmatch(text):
        return None
    words = " ".join((inside or text).split()).strip("().")
    return Node("word", value=words if words.isupper() and len(words) < 5 else words.lower())


def _several(text: str) -> Node | None:
    if member := _MEMBER.match(text):
        inside = _content(text[member.end() :])
        return Node("relation", (Node("symbol", value=text[0]), inside), "in")
    if re.fullmatch(r"[A-Z]\(.*,.*\)", text):  # a point with its name
        return _content(text[1:])
    if text == "\\mathbb R":
        return Node("tuple", (Node("negate", (INFINITY,)), INFINITY), "()")
    if (match := _MATRIX.fullmatch(text)) and match[1] + match[4] in ("", "()", "[]"):
        rows = split(match[3].strip().removesuffix("\\\\"), r"\\\\")
        return Node("matrix", tuple(Node("row", _parts(split(row, "&"))) for row in rows))
    joined = split(text, _JOIN)
    if len(joined) > 1:
        return _joined(text, joined)
    if text.count("\\pm") == 1:
        before, _, after = text.partition("\\pm")
        plus = "" if not before or before[-1] in "({=" else "+"
        return Node("list", (_content(f"{before}{plus}{after.strip()}"), _content(f"{before}-{after.strip()}")))
    return _bracketed(text)


def _joined(text: str, joined: list[str]) -> Node:
    cups = text.count("\\cup")
    joined = [re.sub(r"^\{(.*)\}$", r"\\{\1\\}", part.strip()) for part in joined] if cups else joined
    if cups and cups != len(joined) - 1:
        raise Unreadable("a union within a list")
    parts = [part for part in joined if part.strip()] if not cups else joined  # "1, 2, and 3" has an empty part
    nodes = _parts(parts)
    if cups and all(node.op == "set" for node in nodes):
        return Node("set", tuple(part for node in nodes for part in node.args))
    only_and = not re.search(r",|;|or(?![A-Za-z])|\\cup", text)
    only_or = not re.search(r",|;|and(?![A-Za-z])", text)
    if cups or (only_or and all(node.op == "relation" and node.value != "=" for node in nodes)):
        return Node("union", nodes)
    if only_and and len(nodes) == 2 and (between := _between(*nodes)):
        return between
    lists = [node.args if node.op == "list" else (node,) for node in nodes]
    return Node("list", tuple(part for parts in lists for part in parts))


def _between(first: Node, second: Node) -> Node | None:
    """Return 2 < x < 5 for 2 < x and x < 5, in either order; None for other parts."""
    low, high = (first, second) if len(first.args) == 2 and first.args[1].op == "symbol" else (second, first)
    is_range = {low.value, high.value} <= {"<", "\\le"} and len(low.args) == len(high.args) == 2
    if not is_range or low.args[1] != high.args[0] or low.args[1].op != "symbol":
        return None
    return Node("relation", (*low.args, high.args[1]), f"{low.value} {high.value}")


def _bracketed(text: str) -> Node | None:
    match = re.fullmatch(r"(\\?\{|\(|\[)(.*?)(\\?\}|\)|\])", text, flags=re.DOTALL)
    if match is None:
        return None
    try:
        inside = split(match[2], "[,;]")
    except Unreadable:  # the brackets do not match each other: (1)(2)
        return None
    kind = (match[1] + match[3]).replace("\\", "")
    if kind == "{}" and (match[1] == "\\{" or len(inside) > 1):
        return Node("set", _parts(inside) if match[2].strip() else ())
    if len(inside) == 1 and kind in ("()", "{}"):
        return _content(match[2].strip())
    if kind not in ("()", "[]", "(]", "[)") or len(inside) == 1:
        raise Unreadable("brackets of different kinds")
    return Node("tuple", _parts(inside), kind)


def _parts(texts: list[str]) -> tuple[Node, ...]:
    if len(texts) > MAX_ITEMS:
        raise Refused(f"a list of more than {MAX_ITEMS}")
    return tuple(_content(text.strip()) for text in texts)


def _relation(text: str) -> Node | None:
    sides = [side.strip() for side in cut(text, _SIGN)]
    if len(sides) == 1:
        return None
    if not all(sides) or any(side.count("|") % 2 for side in sides):
        raise Unreadable("a side that is missing, or a bar that means such that")
    nodes, signs = tuple(map(_side, sides[::2])), sides[1::2]
    if ">" in signs or "\\ge" in signs:  # every range is written upwards
        nodes, signs = nodes[::-1], [_FLIPPED.get(sign, sign) for sign in signs[::-1]]
    return Node("relation", nodes, " ".join(signs))


def _side(text: str) -> Node:
    """Read one side; a name such as f(x), \\angle ABC or (x,y) that is not an expression stays a text."""
    try:
        node = _words(text) or _several(text) or _scalar(text)
    except Unreadable:
        return Node("text", value=text)
    is_letter = node.op == "word" and len(str(node.value)) == 1
    return Node("symbol", value=node.value) if is_letter else Node("text", value=text) if node.op == "word" else node


def _scalar(text: str) -> Node:
    """Read an expression or a quantity; unknown commands are left to math-verify."""
    if (
        _RATIO.fullmatch(text)
        and not _HALF_DAY.search(text)
        and "\\" not in text.replace("\\frac", "").replace("\\sqrt", "")
    ):
        return Node("ratio", tuple(parse(part.strip()) for part in text.split(":")))
    if (quantity := _quantity(text)) is not None:
        return quantity
    try:
        node = parse(text)
        if INFINITY in node.walk() and text.lstrip("+-") != "\\infty":
            raise Unreadable("arithmetic with infinity")
        return node
    except Unreadable as error:
        is_command = error.token.startswith("\\") and error.token[1:].isalpha() and "\\text{" not in text
        if text.isascii() and (is_command or (error.token == "|" and text.count("|") % 2 == 0)):
            return Node("raw", value=text)
        raise


def _quantity(text: str) -> Node | None:
    match = _UNIT.fullmatch(text)
    if match is None:
        return None
    unit = re.sub(rf"\\frac\{{({_TEXT_UNIT})\}}\{{({_TEXT_UNIT})\}}", r"\1/\2", match["unit"].strip())
    named = scale_and_name(re.sub(r"\\text\{([^{}]*)\}", r" \1 ", unit).replace("^\\circ", "degrees "))
    is_product = unit[:1].isalpha() and len(unit.split("/")[0]) < 4 and not is_known((named or (1, ""))[1])  # 2 yx
    if named is None or is_product:
        return None
    scale, name = named
    inner = _scalar(match["value"].strip())
    if inner.op in ("raw", "quantity", "ratio"):
        return None
    value = inner if scale == 1 else Node("multiply", (number(scale), inner))
    value = number(Fraction(inner.value) * scale) if inner.op == "number" else value
    return Node("quantity", (value,), name) if name else value
