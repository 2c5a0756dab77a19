r"""Expression trees, and the reading of expressions: numbers, symbols, + - * / ^ !, roots and brackets.

LaTeX is spelled as Python, whose grammar (`ast`, nothing is executed) makes the tree. Ambiguous input is not guessed:
1/2x, 2^3^2, x2, f(x). Functions and all else are left to math-verify.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from rlvrscope.verify.decision import Refused, Unreadable
from rlvrscope.verify.math.latex import GREEK

MAX_TOKENS = 400
MAX_DIGITS = 300
"""Consecutive digits."""
CONSTANTS = {"\\pi", "e", "i", "\\infty"}
"""Symbols that are not variables."""
_GROUP = r" ?\{([^{}]*)\}"
_GROUPS = (
    (re.compile(rf"\\frac{_GROUP}{_GROUP}"), r"((\1)/(\2))"),
    (re.compile(rf"\\binom{_GROUP}{_GROUP}"), r"((\1)%(\2))"),
    (re.compile(rf"\\sqrt ?\[([^\[\]{{}}]*)\]{_GROUP}"), r"((\2)@(\1))"),
    (re.compile(rf"\\sqrt{_GROUP}"), r"((\1)@(2))"),
    (re.compile(rf"\^{_GROUP}"), r"^(\1)"),
)
"""LaTeX groups as Python operators: % is the binomial, @ the root."""
_TOKEN = re.compile(
    rf"(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)|(?P<sign>\\times|\\cdot|\\div|[-+*/^%@])|(?P<factorial>!)"
    rf"|(?P<symbol>(?:\\(?:{'|'.join(GREEK)})(?![A-Za-z])|[A-Za-z])(?:_(?:[A-Za-z0-9]|\{{[A-Za-z0-9+-]+\}}))?)"
    r"|(?P<open>[({])|(?P<close>[)}])|(?P<space>\s+)|(?P<unknown>\\[A-Za-z]+|.)",
    re.DOTALL,
)
_SIGNS = {"\\times": "*", "\\cdot": "*", "\\div": "/", "^": "**"}
_OPERATIONS: dict[type, str] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power", ast.MatMult: "root",
    ast.Mod: "binomial",
}  # fmt: skip
_FUNCTION = re.compile(r"(?<![A-Za-z\\])[fghFGPQ](?:_[A-Za-z0-9])?(?:\^(?:[0-9]|\{[^{}]*\}))?\(")
_MIXED_INSIDE = re.compile(r"[0-9] ?\\frac\{[0-9]+\}\{[0-9]+\}")
_MIXED = re.compile(r"([+-]?)([0-9]+) ?(?:\\frac\{([0-9]+)\}\{([0-9]+)\}|(?<= )([0-9]+)/([0-9]+))")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+|(?: [0-9]{3})+)(?:\.[0-9]+)?")
_REPEATING = re.compile(r"([+-]?)([0-9]*)\.([0-9]*)\\overline(?: |\{)([0-9]+)\}?")
_SCIENTIFIC = re.compile(
    r"([+-]?[0-9]+(?:\.[0-9]+)?)(?:(?:\\(?:times|cdot) ?|\*)10\^(?:\{(-?[0-9]{1,3})\}|(-?[0-9]))|[eE]([+-]?[0-9]{1,3}))"
)


class Node(NamedTuple):
    """One operation with its arguments.

    op: number, symbol, add, multiply, divide, negate, power, root (n, x), factorial, binomial; for whole answers see
    `reading`. value: that of a number, the name of a symbol.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction | str = ""

    def symbols(self) -> set[str]:
        return {str(node.value) for node in self.walk() if node.op == "symbol"}

    def variables(self) -> set[str]:
        return self.symbols() - CONSTANTS

    def walk(self) -> Iterator[Node]:
        """Yield this node and all nodes below it."""
        yield self
        for arg in self.args:
            yield from arg.walk()


def number(value: Fraction | int) -> Node:
    return Node("number", value=Fraction(value))


def literal(node: Node) -> Fraction | None:
    """Return the value of a plain number (an integer, a decimal, a fraction of those, signed); else None."""
    if node.op == "number":
        return Fraction(node.value)
    if node.op == "negate" and node.args[0].op != "negate":
        inner = literal(node.args[0])
        return None if inner is None else -inner
    if node.op == "divide" and all(part.op in ("number", "negate") for part in node.args):
        above, below = map(literal, node.args)
        return None if above is None or not below else above / below
    return None


def plain_number(text: str) -> Fraction | None:
    r"""Return the value of one number: with separators, a mixed one, a repeating period or a power of ten; else None.

    >>> print(plain_number("1,200"), plain_number(r"0.\overline{27}"), plain_number(r"3\times 10^{-2}"))
    1200 3/11 3/100
    """
    if len(text) > MAX_DIGITS:
        return None
    if _GROUPED.fullmatch(text):
        text = re.sub("[, ]", "", text)
    if _DECIMAL.fullmatch(text):
        return Fraction(text.removesuffix("."))
    if match := _SCIENTIFIC.fullmatch(text):
        return Fraction(match[1]) * Fraction(10) ** int(match[2] or match[3] or match[4])
    sign, value = "", None
    if match := _REPEATING.fullmatch(text):
        sign, whole, part, period = match.groups()
        nines = 10 ** len(part) * (10 ** len(period) - 1)
        value = Fraction(int(f"{whole}{part}{period}") - int(f"0{whole}{part}"), nines)
    elif match := _MIXED.fullmatch(text):
        sign, whole, above, below = match[1], int(match[2]), int(match[3] or match[5]), int(match[4] or match[6])
        value = whole + Fraction(above, below) if above < below else None
    return -value if value is not None and sign == "-" else value


def parse(text: str) -> Node:
    """Parse an expression in canonical LaTeX. Raises Unreadable, and Refused for too many symbols or digits."""
    value = plain_number(text)
    if value is not None:
        return number(value)
    if unknown := re.search(r"[%@]|[^\x00-\x7f]", text):
        raise Unreadable(f"unknown {unknown[0]!r}")
    if _MIXED_INSIDE.search(text) or _FUNCTION.search(text):
        raise Unreadable("a mixed number or a product, or a function or a product")
    changed = True
    while changed:
        before = text
        for pattern, spelled in _GROUPS:
            text = pattern.sub(spelled, text)
        changed = text != before
    spelled, leaves = _as_python(text)
    try:
        return _tree(ast.parse(spelled, mode="eval").body, leaves)
    except (SyntaxError, MemoryError) as error:
        raise Unreadable("not an expression") from error


def _as_python(text: str) -> tuple[str, list[Node]]:
    """Return the expression in Python, with names v0, v1, ... for its numbers and symbols, and those."""
    words, leaves, last = list[str](), list[Node](), ""
    after_slash, after_power = [False], [False]
    """By depth: whether a product would be ambiguous (1/2x), and whether a power would be (2^3^2)."""
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match[0]
        if kind == "unknown":
            raise Unreadable(f"unknown {token!r}", token)
        if kind == "space":
            continue
        if len(words) > MAX_TOKENS or len(token) > MAX_DIGITS:
            raise Refused(f"more than {MAX_TOKENS} symbols, or {MAX_DIGITS} digits in a number")
        if last in ("number", "symbol", "close", "factorial") and kind in ("number", "symbol", "open"):
            if after_slash[-1] or token == "{" or (kind == "number" and words[-1] not in (")", "**factorial")):
                raise Unreadable("a product with two readings")
            words.append("*")
            after_power[-1] = False
        if kind in ("number", "symbol"):
            words.append(f"v{len(leaves)}")
            name = re.sub("[{}]", "", token)
            leaves.append(number(Fraction(token.removesuffix("."))) if kind == "number" else Node("symbol", value=name))
        elif kind in ("open", "close"):
            words.append("(" if kind == "open" else ")")
            for state in (after_slash, after_power):
                state.append(False) if kind == "open" else state.pop() if len(state) > 1 else None
        elif token in ("^", "!"):
            if after_power[-1]:
                raise Unreadable("two powers or factorials in a row")
            after_power[-1] = True
            words.append("**" if token == "^" else "**factorial")
        else:
            words.append(_SIGNS.get(token, token))
            if last != "sign":
                after_slash[-1], after_power[-1] = words[-1] == "/", False
        last = kind
    return " ".join(words), leaves


def _tree(node: ast.AST, leaves: list[Node]) -> Node:
    if isinstance(node, ast.Name):
        return leaves[int(node.id[1:])]
    if isinstance(node, ast.UnaryOp):
        inner = _tree(node.operand, leaves)
        return Node("negate", (inner,)) if isinstance(node.op, ast.USub) else inner
    if not isinstance(node, ast.BinOp):
        raise Unreadable("not an expression")
    left = _tree(node.left, leaves)
    if isinstance(node.right, ast.Name) and node.right.id == "factorial":
        return Node("factorial", (left,))
    op, right = _OPERATIONS[type(node.op)], _tree(node.right, leaves)
    if op == "root":
        return Node(op, (right, left))
    if op == "subtract":
        op, right = "add", Node("negate", (right,))
    if op in ("add", "multiply") and left.op == op:
        return Node(op, (*left.args, right))
    return Node(op, (left, right))
