r"""Canonical LaTeX: \dfrac becomes \frac, \left( becomes (, spaces are dropped; forbidden characters are refused."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rlvrscope.verify.decision import Refused, Unreadable

MAX_CHARACTERS = 2_000
MAX_NESTING = 40
FUNCTIONS = (
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "exp",
)  # fmt: skip
GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "pi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega", "Delta", "Omega", "infty", "ell",
)  # fmt: skip

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Control, format (zero-width, bidirectional), surrogate, private, unassigned, line separator."""
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_SIGNS = {
    "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "∞": r"\infty ",
    "°": r"^\circ ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "±": r"\pm ", "≈": r"\approx ", "√": r"\sqrt ", "∅": r"\emptyset ", "ℝ": r"\mathbb R", "∠": r"\angle ",
    "€": r"\text{euros}", "£": r"\text{pounds}", "¥": r"\text{yen}", "₹": r"\text{rupees}",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
_GREEK_LETTERS = "αβγδε_ζηθικλμνξπρστφ_χψωΔΩ__"
"""Letters of the names in GREEK, with _ for names without one."""
_GREEK_SIGNS = {sign: f"\\{name} " for sign, name in zip(_GREEK_LETTERS, GREEK, strict=True) if sign != "_"}
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", [f"^{{{digit}}}" for digit in range(10)], strict=True))
_SPELLINGS = _FULL_WIDTH | {ord(sign): latex for sign, latex in (_SIGNS | _GREEK_SIGNS | _SUPERSCRIPTS).items()}
_CANONICAL = {
    "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac", "dbinom": "\\binom", "tbinom": "\\binom",
    "leq": "\\le", "geq": "\\ge", "leqslant": "\\le", "geqslant": "\\ge", "neq": "\\ne", "lt": "<", "gt": ">",
    "lbrace": "\\{", "rbrace": "\\}", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "lbrack": "[",
    "rbrack": "]", "degree": "^\\circ", "varnothing": "\\{\\}", "emptyset": "\\{\\}", "ast": "\\cdot",
    "infin": "\\infty", "dots": "\\ldots", "cdots": "\\ldots", "thinspace": " ", "space": " ", "colon": ":",
    "quad": " ", "qquad": " ", "measuredangle": "\\angle", "langle": "(", "rangle": ")", "bmod": "\\mod",
    "vee": "\\text{or}", "lor": "\\text{or}",
}  # fmt: skip
_NAMES = "|".join(sorted((*FUNCTIONS, *GREEK), key=len, reverse=True))
_BARE = "|".join((*FUNCTIONS, "pi", "phi", *(name for name in GREEK if len(name) > 3 and name != "iota")))
_REPLACED: tuple[tuple[re.Pattern[str], str], ...] = tuple((re.compile(pattern), new) for pattern, new in (
    (r"\\(?:left|right|[bB]igg?[lr]?|limits|(?:display|text|script)style)(?![A-Za-z])\s*", ""),
    (r"\\(?:bf|rm|it|boldsymbol|underline)(?![A-Za-z])\s*", ""),
    (r"\\(?:text(?:rm|bf|it|up|normal)|math(?:rm|bf|it|sf)|[mh]box|operatorname)(?![A-Za-z])\s*", r"\\text "),
    (r"\\(?:text)?color ?\{[A-Za-z]{1,20}\}", " "),
    (r"\\!", ""),
    (r"\{([^{}]*)\\choose\b ?([^{}]*)\}", r"\\binom{\1}{\2}"),
    (r"\\pounds? ?([0-9.,]+)", r"\1\\text{pounds}"),
    (r"(?<=[0-9.])\\(?:bar|dot) ?\{?([0-9]+)\}?", r"\\overline{\1}"),
    (r"\\%", "%"),
    (r"(\\\\) *\[-?[0-9.]{1,6} ?(?:pt|em|ex|mm|cm|in)\]", r"\1"),
    (r"\\&", " "),
    (r"(?<![A-Za-z])\{:\}", ":"),
    (r"<=|=<", r"\\le "), (r">=", r"\\ge "), (r"(?<![0-9)])!=", r"\\ne "), (r"\*\*", "^"),
    (r"(?<!\\)\\[,;:> ]|~", " "),
))  # fmt: skip
"""Spellings replaced before commands are read."""
_UPRIGHT: tuple[tuple[re.Pattern[str], str], ...] = tuple((re.compile(pattern), new) for pattern, new in (
    (rf"\\text ?\{{(?! ?sec ?\}}$) ?\\?({_NAMES}) ?\}}", r"\\\1 "),
    (r"(?<![A-Za-z\\])log([0-9]{1,2})(?=\()", r"\\log_{\1}"),
    (rf"(?<![A-Za-z\\])(?!sec ?\}}$)({_BARE})(?![A-Za-z])", r"\\\1 "),
    (r"(?<![A-Za-z\\])(?:inf(?:inity)?|oo)(?![A-Za-z])", r"\\infty "),
    (r"(?<![A-Za-z\\])a(sin|cos|tan)(?![A-Za-z])", r"\\arc\1 "),
    (r"(?<![A-Za-z\\])abs ?\(([^()]{1,100})\)", r"|\1|"),
    (r"\\exp ?(?:\(([^()]{1,100})\)|\{([^{}]{1,100})\})", r"e^{\1\2}"),
    (r"\* ?I(?![A-Za-z])", "i"),
    (r"\\text ?\{ ?(gcd|lcm|max|min|det|sup|inf) ?\}(?!$)", r"\\\1 "),
    (r"([0-9])? ?(?:\\text ?(?:\{ ?([ei]) ?\}|([ei])(?![A-Za-z]))|\{ ?\\rm ([ei]) ?\})", r"\1 \2\3\4"),
    (r"(?<![A-Za-z\\])\\?sqrt ?\(([^()]{1,100})\)", r"\\sqrt{\1}"),
    (r"\\text ?\{[ .]*\}", ""),
    (r"\^ ?(?:\{ ?\\circ ?\}|\\circ(?![A-Za-z]))", r"^\\circ "),
    (r"\\(overline|angle|triangle|vec|hat|bar|mathbb|mathcal|odot) ?\{ ?([A-Za-z]+) ?\}", r"\\\1 \2"),
    (r"\\(frac|binom) ?(\\pi|[0-9A-Za-z])", r"\\\1{\2}"),
    (r"(\\(?:frac|binom)\{[^{}]*\}) ?(\\pi|[0-9A-Za-z])", r"\1{\2}"),
    (r"(\\sqrt(?:\[[^\[\]]*\])?) ?(\\pi|[0-9A-Za-z])", r"\1{\2}"),
    (r"\{ ?(\\times|\\cdot|\\div|[-+*/]) ?\}", r"\1 "),
    (r"\s+", " "),
    (r" (?![A-Za-z0-9])|(?<![A-Za-z0-9,]) ", ""),
    (r"([\^_])\{([A-Za-z0-9])\}(?![0-9])", r"\1\2"),
    (r"([A-Za-z])\^([0-9]|\{[^{}]{1,9}\})_([A-Za-z0-9]|\{[A-Za-z0-9]{1,9}\})", r"\1_\3^\2"),
))  # fmt: skip
"""Upright names, bare names of functions, one spacing, index before power."""
_SEPARATED = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}(?:(?:\{,\}|,\\!|\\,|\\text\{,\})(?:\\,| )?[0-9]{3})+(?![0-9])")
"""Thousands separators that can't be commas of a list."""
_ARITHMETIC = re.compile(r"[-+0-9 .,()\[\]/:;]*")
"""Texts without letters and commands, which have one spelling up to white space."""
_COMMAND = re.compile(r"\\([A-Za-z]+)\s*")
_NESTING = re.compile(r"\\[{}]|[{}()\[\]]")


def plain(text: str) -> str:
    r"""Replace full-width forms by ASCII and mathematical signs by LaTeX; keep all other characters.

    Digits of other scripts stay, and match nothing. Raises Refused for control characters, invisible characters and
    bidirectional marks.

    >>> plain("\uff11\uff12−π")
    '12-\\pi '
    """
    if _CONTROL.search(text):
        raise Refused("control character in the answer")
    if text.isascii():
        return text
    text = re.sub("√ ?([0-9]+)", r"\\sqrt{\1}", text).translate(_SPELLINGS)
    for character in text:
        if character > "\x7f" and unicodedata.category(character) in _HIDDEN:
            raise Refused(f"hidden character U+{ord(character):04X} in the answer")
    return text


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    r"""Return the canonical spelling. Raises Refused for length, nesting or forbidden characters.

    >>> print(canonical(r"$\dfrac{1}{2} \,\pi .$"))
    \frac{1}{2}\pi
    """
    if len(text) > MAX_CHARACTERS:
        raise Refused(f"an answer of {len(text)} characters; at most {MAX_CHARACTERS} are read")
    text = plain(text).strip()
    if len(text) > 4 and text.startswith("**") and text.endswith("**"):
        text = text[2:-2].strip()
    if _ARITHMETIC.fullmatch(text):
        check_nesting(text)
        return re.sub(r" (?![0-9])|(?<![0-9,]) ", "", " ".join(text.split())).removesuffix(".")
    text = _SEPARATED.sub(lambda match: re.sub("[^0-9]", "", match[0]), text).replace("{,}", ",")
    text = _dollars(re.sub(r"(?<!\\)\\[()\[\]]", "", text.removesuffix(".")).strip())
    for pattern, new in _REPLACED:
        text = pattern.sub(new, text)
    text = _COMMAND.sub(_command, text)
    check_nesting(text)
    for pattern, new in _UPRIGHT:
        text = pattern.sub(new, text)
    return text.strip().removesuffix(".")


def check_nesting(text: str) -> None:
    """Raise Refused for brackets nested more than MAX_NESTING deep."""
    depth = 0
    for match in _NESTING.finditer(text):
        depth += 1 if match[0][-1] in "{([" else -1
        if depth > MAX_NESTING:
            raise Refused(f"brackets nested more than {MAX_NESTING} deep")


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


def _command(match: re.Match[str]) -> str:
    spelled = _CANONICAL.get(match[1], f"\\{match[1]}")
    return f"{spelled} " if spelled[-1].isalpha() else spelled


def _dollars(text: str) -> str:
    r"""Read an escaped or a single dollar sign, or another currency, next to a number as the unit; drop pairs."""
    text = re.sub(r"\\text ?\{ ?\\\$ ?\}", r"\\$", text)
    if len(re.findall(r"(?<!\\)\$", text)) % 2 == 0:
        text = re.sub(r"(?<!\\)\$", "", text)
    text = re.sub(r"(?<=[0-9]) *\\?\$$", r"\\text{dollars}", text)
    text = re.sub(r"^([+-]?) *\\?\$ *(?=[0-9.])(.*)$", r"\1\2\\text{dollars}", text, flags=re.DOTALL)
    return re.sub(r"^(\\text\{(?:euros|pounds|yen|rupees)\}) *([0-9.,]+)$", r"\2\1", text)
