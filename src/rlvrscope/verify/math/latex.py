r"""Canonical LaTeX: \dfrac becomes \frac, \left( becomes (, spaces are dropped; forbidden characters are refused."""

from __future__ import annotations

import re
import unicodedata

from rlvrscope.verify.decision import Refused, Unreadable

MAX_CHARACTERS = 2_000
MAX_NESTING = 40

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Control, format (zero-width, bidirectional), surrogate, private, unassigned, line separator."""
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_SIGNS = {
    "−": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "π": r"\pi ", "∞": r"\infty ",
    "°": r"^\circ ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∈": r"\in ", "±": r"\pm ",
    "≈": r"\approx ", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
_SPELLINGS = _FULL_WIDTH | {ord(sign): latex for sign, latex in _SIGNS.items()}
_DROPPED = (
    "left", "right", "displaystyle", "textstyle", "scriptstyle", "limits", "big", "Big", "bigg", "Bigg",
    "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr", "bf", "rm", "it", "boldsymbol", "underline",
)  # fmt: skip
_CANONICAL = {
    "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac", "dbinom": "\\binom", "tbinom": "\\binom",
    "leq": "\\le", "geq": "\\ge", "leqslant": "\\le", "geqslant": "\\ge", "neq": "\\ne", "lt": "<", "gt": ">",
    "lbrace": "\\{", "rbrace": "\\}", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "lbrack": "[",
    "rbrack": "]", "degree": "^\\circ", "varnothing": "\\emptyset", "ast": "\\cdot", "quad": " ", "qquad": " ",
    "textrm": "\\text", "textbf": "\\text", "textit": "\\text", "textnormal": "\\text", "mathrm": "\\text",
    "mathbf": "\\text", "mathit": "\\text", "mbox": "\\text", "hbox": "\\text", "textup": "\\text",
    "operatorname": "\\text", "infin": "\\infty", "dots": "\\ldots",
    "cdots": "\\ldots", "thinspace": " ", "space": " ",
}  # fmt: skip
_ROW_SKIP = re.compile(r"(\\\\) *\[-?[0-9.]{1,6} ?(?:pt|em|ex|mm|cm|in)\]")
_COLON = re.compile(r"(?<![A-Za-z])\{:\}")
_COLOR = re.compile(r"\\(?:text)?color ?\{[A-Za-z]{1,20}\}")
_EMPTY_TEXT = re.compile(r"\\text ?\{[ .]*\}")
_UPRIGHT = re.compile(
    r"(\\[A-Za-z]+|[0-9])?\s{0,3}"
    r"(?:\\mathrm(?:\s{0,3}\{\s{0,3}([ei])\s{0,3}\}|\s{1,3}([ei])(?![A-Za-z]))|\{\s{0,3}\\rm\s{1,3}([ei])\s{0,3}\})"
)
"""An upright e or i, with the command or digit before it: 2\\mathrm{e}3 is a product, not 2e3."""
_SEPARATED = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}(?:(?:\{,\}|,\\!)(?:\\,| )?[0-9]{3})+(?![0-9])")
"""Thousands separators that can't be commas of a list."""
_ROOT = re.compile(r"(?<![A-Za-z\\])sqrt ?\(([^()]{1,100})\)")
_COMMAND = re.compile(r"\\([A-Za-z]+)\s*")
_TEXT_DOLLAR = re.compile(r"\\text ?\{ ?\\\$ ?\}")
_THIN = re.compile(r"(?<!\\)\\[,;:> ]|~")
_NESTING = re.compile(r"\\[{}]|[{}()\[\]]")
_LOOSE_SPACE = re.compile(r" (?![A-Za-z0-9])|(?<![A-Za-z0-9,]) ")
_ONE_TOKEN = re.compile(r"([\^_])\{([A-Za-z0-9])\}")
_CIRCLE = re.compile(r"\^ ?(?:\{ ?\\circ ?\}|\\circ(?![A-Za-z]))")


def plain(text: str) -> str:
    r"""Replace full-width forms by ASCII and a few mathematical signs by LaTeX; keep all other characters.

    Other compatibility forms stay (5² is not 52), and so do digits of other scripts, which then match nothing.
    Raises Refused for control characters, invisible characters and bidirectional marks.

    >>> plain("\uff11\uff12−π")
    '12-\\pi '
    """
    if _CONTROL.search(text):
        raise Refused("control character in the answer")
    if text.isascii():
        return text
    text = text.translate(_SPELLINGS)
    for character in text:
        if character > "\x7f" and unicodedata.category(character) in _HIDDEN:
            raise Refused(f"hidden character U+{ord(character):04X} in the answer")
    return text


def canonical(text: str) -> str:
    r"""Return the canonical spelling. Raises Refused for length, nesting or forbidden characters.

    >>> print(canonical(r"$\dfrac{1}{2} \,\pi .$"))
    \frac{1}{2}\pi
    """
    if len(text) > MAX_CHARACTERS:
        raise Refused(f"an answer of {len(text)} characters; at most {MAX_CHARACTERS} are read")
    text = _COLOR.sub(" ", plain(text).strip())
    if len(text) > 4 and text.startswith("**") and text.endswith("**"):
        text = text[2:-2].strip()
    text = _SEPARATED.sub(lambda match: re.sub("[^0-9]", "", match[0]), text)
    text = text.replace("\\!", "").replace("{,}", ",").replace("\\%", "%").replace("\\&", " ")
    text = _dollars(_undelimited(_COLON.sub(":", text)))
    text = _UPRIGHT.sub(_italic, text)
    text = _ROOT.sub(r"\\sqrt{\1}", text).replace("**", "^")
    text = _THIN.sub(" ", _ROW_SKIP.sub(r"\1", text))
    text = _COMMAND.sub(_command, text)
    text = _EMPTY_TEXT.sub("", _CIRCLE.sub(r"^\\circ ", text))
    check_nesting(text)
    text = re.sub(r"\s+", " ", text).strip()
    text = _ONE_TOKEN.sub(r"\1\2", _LOOSE_SPACE.sub("", text).strip())
    return _unbraced(text.removesuffix("."))


def check_nesting(text: str) -> None:
    """Raise Refused for brackets nested more than MAX_NESTING deep."""
    depth = 0
    for match in _NESTING.finditer(text):
        depth += 1 if match[0][-1] in "{([" else -1
        if depth > MAX_NESTING:
            raise Refused(f"brackets nested more than {MAX_NESTING} deep")


def balanced(text: str) -> bool:
    """Test whether braces close in order; round and square brackets need not, as in the interval [1, 2)."""
    depth = 0
    for match in re.finditer(r"\\[\s\S]|[{}]", text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0


def split(text: str, separator: str) -> list[str]:
    """Split at separators (a regular expression) outside of brackets. Raises Unreadable for unmatched brackets."""
    return cut(text, separator)[::2]


def cut(text: str, separator: str) -> list[str]:
    """Split like `split`, with the separators in between."""
    parts, depth, start = list[str](), 0, 0
    for match in re.finditer(rf"(?P<open>\\\{{|[{{(\[])|(?P<close>\\\}}|[}})\]])|(?P<cut>{separator})|\\[\s\S]", text):
        depth += 1 if match["open"] else -1 if match["close"] else 0
        if depth < 0:
            raise Unreadable("brackets that do not close in order")
        if match["cut"] and depth == 0:
            parts += [text[start : match.start()], match["cut"]]
            start = match.end()
    if depth:
        raise Unreadable("brackets that do not close")
    return [*parts, text[start:]]


def _italic(match: re.Match[str]) -> str:
    before, letter = match[1], match[2] or match[3] or match[4]
    return letter if before is None else f"{before} {letter}"


def _command(match: re.Match[str]) -> str:
    name = match[1]
    if name in _DROPPED:
        return ""
    spelled = _CANONICAL.get(name, f"\\{name}")
    return f"{spelled} " if spelled[-1].isalpha() else spelled


def _undelimited(text: str) -> str:
    for left, right in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
            return text[len(left) : -len(right)].strip()
    return text


def _dollars(text: str) -> str:
    r"""Read an escaped or a single dollar sign before a number as the unit; drop pairs, which are delimiters."""
    text = _TEXT_DOLLAR.sub(r"\\$", text)
    signs = len(re.findall(r"(?<!\\)\$", text))
    if signs % 2 == 0:
        text = re.sub(r"(?<!\\)\$", "", text)
    text = re.sub(r"(?<=[0-9]) *\\\$$", r"\\text{dollars}", text)
    return re.sub(r"^([+-]?) *\\?\$ *(?=[0-9.])(.*)$", r"\1\2\\text{dollars}", text, flags=re.DOTALL)


def _unbraced(text: str) -> str:
    """Remove braces around the whole text."""
    while text.startswith("{") and text.endswith("}") and balanced(text[1:-1]):
        text = text[1:-1].strip()
    return text
