r"""Parser for numbers and expressions with a single reading; everything else is unreadable.

    sum     = ["+" | "-"] product (("+" | "-") product)*
    product = factor (("\cdot" | "\times" | "*" | "/" | "\div") factor | factor)*        next to each other: a product
    factor  = ["-"] atom ("!" | "^" exponent)*
    atom    = number | symbol ["_" index] | "(" sum ")" | "|" sum "|" | \frac.. | \sqrt.. | \binom.. | \sin..

Ambiguous input is not guessed: 1/2x, 2^3^2, x2, f(x).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from rlvrscope.verify.decision import Broken, Refused, Unreadable
from rlvrscope.verify.math.tree import Node, literal, number

MAX_TOKENS = 400
MAX_DEPTH = 60
"""Nesting of brackets and commands."""
MAX_DIGITS = 300
"""Consecutive digits."""
FUNCTIONS = (
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "exp",
)  # fmt: skip
GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "pi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega", "Delta", "Omega", "infty", "ell",
)  # fmt: skip
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+|[A-Za-z]|.", re.DOTALL)
_TIMES = ("\\cdot", "\\times", "*")
_OVER = ("/", "\\div")
_MIXED = re.compile(r"(-?)([0-9]+) ([0-9]+)/([0-9]+)")
_CLOSED_BY = {"(": ")", "{": "}", "|": "|", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}
_BRACKET_OF = {"|": "abs", "\\lfloor": "floor", "\\lceil": "ceil"}
_STARTS = {*GREEK, *FUNCTIONS, "frac", "sqrt", "binom", "lfloor", "lceil"}
_DECIMAL = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)")
_GROUPED = re.compile(r"([+-]?[0-9]{1,3})((?:,[0-9]{3})+|(?: [0-9]{3})+)(\.[0-9]+)?")
_REPEATING = re.compile(r"([+-]?)([0-9]*)\.([0-9]*)\\overline\{([0-9]+)\}")
_SCIENTIFIC = re.compile(
    r"([+-]?[0-9]+(?:\.[0-9]*)?)(?:(?:\\(?:times|cdot) ?|\*)10\^(?:\{(-?[0-9]{1,3})\}|([0-9]))|[eE]([+-]?[0-9]{1,3}))"
)


def plain_number(text: str) -> Fraction | None:
    r"""Return the value of one number with separators, a repeating period or a power of ten; None for anything else.

    >>> print(plain_number("1,200"), plain_number(r"0.\overline{27}"), plain_number(r"3\times 10^{-2}"))
    1200 3/11 3/100
    """
    if len(text) > MAX_DIGITS:
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


def parse(text: str) -> Node:
    """Parse an expression in canonical LaTeX. Raises Unreadable, and Refused for too many tokens or digits."""
    if match := _MIXED.fullmatch(text):
        mixed = _mixed(*map(_number, match.groups()[1:]))
        return Node("negate", (mixed,)) if match[1] else mixed
    if not text.isascii():
        raise Unreadable("a character that is not ASCII")
    tokens = _TOKEN.findall(text)
    if len(tokens) > MAX_TOKENS:
        raise Refused(f"an expression of more than {MAX_TOKENS} symbols")
    reader = _Reader(tokens)
    node = reader.sum()
    if reader.peek():
        raise Unreadable(f"unexpected {reader.peek()!r}")
    return node


def _mixed(whole: Fraction, above: Fraction, below: Fraction) -> Node:
    """Build a mixed number: 2\\frac{1}{2} and "2 1/2" are two and a half. Raises Unreadable for a fraction >= 1."""
    if not above < below or whole.denominator != 1:
        raise Unreadable("a mixed number with a fraction of 1 or more")
    return number(whole + above / below)


def _is_fraction_of_numbers(node: Node) -> bool:
    return node.op == "divide" and all(arg.op == "number" for arg in node.args)


def _number(digits: str) -> Fraction:
    if len(digits) > MAX_DIGITS:
        raise Refused(f"a number of more than {MAX_DIGITS} digits")
    whole, _, part = digits.partition(".")
    return Fraction(int(f"{whole}{part}"), 10 ** len(part))


class _Reader:
    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens, self.at, self.depth, self.in_bars, self.in_function = tokens, 0, 0, 0, 0

    def peek(self) -> str:
        self._skip()
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *tokens: str) -> str:
        """Consume and return the next token if it is one of these, else return ""."""
        token = self.peek()
        if not token or token not in tokens:
            return ""
        self.at += 1
        return token

    def need(self, token: str) -> None:
        if not self.take(token):
            raise (Unreadable if self.peek() else Broken)(f"{token!r} is missing")

    def _skip(self) -> None:
        while self.at < len(self.tokens) and self.tokens[self.at] == " ":
            self.at += 1

    def sum(self) -> Node:
        terms = [self._term(self.take("+", "-"))]
        while sign := self.take("+", "-"):
            terms.append(self._term(sign))
        return Node("add", tuple(terms)) if len(terms) > 1 else terms[0]

    def _term(self, sign: str) -> Node:
        node = self.product()
        return Node("negate", (node,)) if sign == "-" else node

    def product(self) -> Node:
        factors, below = [self.factor(signed=False)], None
        while True:
            if self.take(*_TIMES):
                right = self.factor(signed=True)
            elif self.take(*_OVER):
                if below is not None:
                    raise Unreadable("a/b/c is ambiguous")
                below, factors = self.factor(signed=True), [_product(factors)]
                continue
            elif self._starts_factor():
                right = self.factor(signed=False)
                if factors[-1].op == "number" and _is_fraction_of_numbers(right):
                    if len(factors) > 1 or below is not None or self._starts_factor():
                        raise Unreadable("a mixed number or a product")
                    return _mixed(*(Fraction(node.value) for node in (factors[0], *right.args)))
            else:
                return _product(factors) if below is None else Node("divide", (_product(factors), below))
            if below is not None:
                raise Unreadable("a/bc is ambiguous")
            factors.append(right)

    def _starts_factor(self) -> bool:
        token = self.peek()
        if token[:1].isdigit() or token.startswith("."):
            if self.tokens[self.at - 1] != ")":
                raise Unreadable("a number right after another factor")
            return True
        return bool(token) and (token.isalpha() or token == "(" or token[1:] in _STARTS or self._opens_bar())

    def _opens_bar(self) -> bool:
        return self.peek() == "|" and not self.in_bars

    def factor(self, signed: bool) -> Node:
        if signed and self.take("-"):
            return Node("negate", (self.factor(signed=False),))
        node, powered = self.atom(), False
        while mark := self.take("!", "^"):
            if powered:
                raise Unreadable("two powers or factorials in a row")
            powered = True
            if mark == "^" and self.take("\\circ"):
                node = self._degrees(node)
                continue
            node = Node("factorial", (node,)) if mark == "!" else Node("power", (node, self.argument(sign=True)))
        return node

    def _degrees(self, node: Node) -> Node:
        if not self.in_function:
            raise Unreadable("degrees within an expression")
        return Node("multiply", (node, Node("divide", (Node("symbol", value="\\pi"), number(180)))))

    def argument(self, sign: bool = False) -> Node:
        """Parse the argument of ^ or of a command: a group in braces or one token."""
        if self.take("{"):
            node = self.sum()
            self.need("}")
            return node
        if sign and self.take("-"):
            return Node("negate", (self.argument(),))
        return self._token_argument()

    def _token_argument(self) -> Node:
        token = self.peek()
        if token.isdigit():  # \frac12 is a half: TeX takes one digit and leaves the rest
            if self.tokens[self.at - 1] == "^":
                self.at += 1
                return number(_number(token))
            self.tokens = [*self.tokens[: self.at], *token, *self.tokens[self.at + 1 :]]
            self.at += 1
            return number(int(token[0]))
        if token == "(":
            raise Unreadable("a bracket where TeX wants a brace")
        return self.atom()

    def atom(self) -> Node:
        token = self.peek()
        self.at += 1
        if token[:1].isdigit() or (token[:1] == "." and token[1:]):
            return number(_number(token))
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refused(f"an expression nested more than {MAX_DEPTH} deep")
        node = self._nested(token)
        self.depth -= 1
        return node

    def _nested(self, token: str) -> Node:
        if token in _CLOSED_BY:
            self.in_bars += token == "|"
            node = self.sum()
            self.need(_CLOSED_BY[token])
            self.in_bars -= token == "|"
            return node if token in "({" else Node(_BRACKET_OF[token], (node,))
        if token.isalpha() and token.isascii():
            return self._symbol(token)
        return self._command(token[1:]) if token.startswith("\\") else self._unknown(token)

    def _symbol(self, name: str) -> Node:
        if self.take("_"):
            name = f"{name}_{self._index()}"
        if self.peek() == "(" and name[0] in "fghFGPQ":
            raise Unreadable("a function or a product")
        return Node("symbol", value=name)

    def _index(self) -> str:
        if not self.take("{"):
            self.at += 1
            index = self.tokens[self.at - 1] if self.at <= len(self.tokens) else ""
        else:
            end = self.tokens.index("}", self.at) if "}" in self.tokens[self.at :] else self.at
            index = "".join(self.tokens[self.at : end])
            self.at = end + 1
        if not index.isalnum() or not index.isascii():
            raise Unreadable("an index that is neither a name nor a number")
        return index

    def _command(self, name: str) -> Node:
        if name in GREEK:
            return self._symbol(f"\\{name}")
        if name == "frac":
            return Node("divide", (self.argument(), self.argument()))
        if name == "binom":
            return Node("binomial", (self.argument(), self.argument()))
        if name == "sqrt":
            return Node("root", (self._degree(), self.argument()))
        if name in FUNCTIONS:
            return self._function(name)
        return self._unknown(f"\\{name}")

    def _degree(self) -> Node:
        if not self.take("["):
            return number(2)
        node = self.sum()
        self.need("]")
        return node

    def _function(self, name: str) -> Node:
        base = self.argument() if name == "log" and self.take("_") else number(10)
        power = self.argument() if self.take("^") else None
        if power is not None and literal(power) == -1:
            if f"arc{name}" not in FUNCTIONS:
                raise Unreadable("the inverse function or the reciprocal")
            name, power = f"arc{name}", None
        self.in_function += 1
        inner = self._argument_of_function()
        self.in_function -= 1
        if name == "exp":
            node = Node("power", (Node("symbol", value="e"), inner))
        else:
            node = Node("log", (base, inner)) if name == "log" else Node(name, (inner,))
        return node if power is None else Node("power", (node, power))

    def _argument_of_function(self) -> Node:
        r"""Parse the brackets that follow, or the factors up to the next sign: \sin 2x is \sin(2x)."""
        if self.peek() in ("(", "{"):
            node = self.atom()
            if self.peek() == "^":
                raise Unreadable("a power of the argument or of the function")
            return node
        factors = [self.factor(signed=False)]
        while self._starts_factor() and self.peek()[1:] not in FUNCTIONS:
            if self.peek() == "(":
                raise Unreadable("the argument of a function has no clear end")
            factors.append(self.factor(signed=False))
        if self.peek() in (*_OVER, *_TIMES):
            raise Unreadable("the argument of a function has no clear end")
        return _product(factors)

    def _unknown(self, token: str) -> Node:
        raise Broken("something is missing") if not token else Unreadable(f"unknown {token!r}")


def _product(factors: Sequence[Node]) -> Node:
    return Node("multiply", tuple(factors)) if len(factors) > 1 else factors[0]
