r"""Units after a value: 5 cm, 5\text{ cm}, 90^\circ, 60 km/h, \$5 million; and the units that a question asks for."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache

from rlvrscope.verify.math.question import MAX_PROMPT_CHARACTERS

_SYNONYMS = {
    "cm": "centimeter centimetre", "mm": "millimeter millimetre", "m": "meter metre", "km": "kilometer kilometre",
    "in": "inch inche", "ft": "foot feet", "yd": "yard", "mi": "mile", "g": "gram gramme", "kg": "kilogram kilo",
    "mg": "milligram", "lb": "pound lbs", "oz": "ounce", "s": "second sec secs", "min": "minute mins",
    "h": "hour hr hrs", "day": "day",
    "week": "week wk", "month": "month", "year": "year yr yrs", "l": "liter litre", "ml": "milliliter",
    "dollars": "dollar usd buck", "cents": "cent", "degrees": "degree deg", "%": "percent",
    "rad": "radian", "units": "unit", "/": "per", "square": "sq", "cubic": "cu",
}  # fmt: skip
_NAME_OF = {word: short for short, words in _SYNONYMS.items() for word in (short, *words.split())}
_PREFIXES = ("/", "square", "cubic")
_SCALES = {
    "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
}  # fmt: skip
_NO_NOUNS = {
    "not", "no", "or", "and", "than", "is", "are", "minus", "plus", "negative", "factorial", "modulo",
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "half", "third",
    "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "hundredth", "thousandth", "millionth",
    "billionth", "halve", "quarter", "double", "pair", "score", "gross", "lakh", "crore",
}  # fmt: skip
"""Words that are never units, even if a question counts them, because they change the value."""
_NO_PLURALS = {
    "is", "was", "has", "does", "this", "as", "less", "minus", "plus", "gross", "unless", "pas", "thus", "its", "his",
}  # fmt: skip
_PLURALS = {"people", "children", "men", "women", "mice", "geese", "teeth", "dice", "fish", "sheep", "data"}
_LENGTHS = {"cm", "mm", "m", "km", "in", "ft", "yd", "mi", "units"}
_POWER_OF = {"area": 2, "volume": 3} | dict.fromkeys(
    ("perimeter", "circumference", "length", "height", "width", "radius", "diameter", "distance", "side", "edge"), 1
)
"""Power of the length unit in which a quantity is measured."""
_TASK = re.compile(r"\b(?:what|how|find|determine|compute|calculate)\b")
_POWERS = {"squared": "^2", "cubed": "^3"}
_TEXT = r"\\text\{[^{}\\]*\}"
_POWER = r"(?:\^(?:[23]|\{[23]\}))?"
_TEXTS = re.compile(rf"([^\\]*(?:\\(?!text)[^\\]*)*)((?:{_TEXT}{_POWER} ?/? ?)+)")
_RATE = re.compile(rf"\\frac ?\{{ ?({_TEXT}{_POWER}) ?\}} ?\{{ ?({_TEXT}{_POWER}) ?\}}$")
_WORD_AFTER = re.compile(r"([+-]?[0-9][0-9,./]*) ?((?:[A-Za-z]{2,}|m(?=/s))(?:(?: |/)[A-Za-z]+){0,3}(?:\^[23])?)")
_WORDS = re.compile(r"[a-z]+|[$/]|\^ ?\{?[23]|[0-9]+")
_VERBS = {
    "do", "does", "did", "is", "are", "was", "were", "will", "can", "could", "would", "should", "has", "have", "had",
}  # fmt: skip
_CIRCLE = re.compile(r"(.*?)\^\\circ ?(?:\\text\{([CF])\}|([CF]))?", re.DOTALL)
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")
MAX_WORDS = 4
"""Words of a unit."""
MAX_LETTERS_OF_A_PRODUCT = 3
_WINDOW = 5
"""Words after "how many" that may name the thing counted."""
_MAX_NOUN_WORDS = 4


def unit_of(text: str) -> tuple[str, int, str]:
    r"""Split into (text before the unit, scale factor, name of the unit); (text, 1, "") without a unit.

    >>> unit_of(r"12\text{ inches}^2"), unit_of("5 million dollars")
    (('12', 1, 'in^2'), ('5', 1000000, 'dollars'))
    """
    match = _CIRCLE.fullmatch(text)
    if match and not _TRIGONOMETRY.search(match[1]):
        scale = match[2] or match[3] or ""
        return match[1], 1, f"degrees{scale and ' '}{scale}"
    match = _TEXTS.fullmatch(_RATE.sub(r"\1/\2", text))
    if match is None:
        match = _WORD_AFTER.fullmatch(text)
        if match is None or not _is_word(match[2]):
            return text, 1, ""
    scale, name = _name(match[2].replace("\\text", " ")) if match[1].strip() else (1, "")
    return (match[1].strip(), scale, name) if name or scale > 1 else (text, 1, "")


def is_known(unit: str) -> bool:
    """Test for a known unit; any other word is a unit only if the question counts it."""
    return all(word in _SYNONYMS for word in re.findall("[a-z]+|%", unit.partition(" ")[0]))


def _is_word(text: str) -> bool:
    """Test for a word rather than a product of variables: 2 yx is a product."""
    first = re.split("[^A-Za-z]", text)[0]
    return len(first) > MAX_LETTERS_OF_A_PRODUCT or first.lower() in _NAME_OF


def _name(text: str) -> tuple[int, str]:
    """Return (scale, canonical name of the unit); (1, "") if the words are not a unit."""
    words = re.findall(r"[A-Za-z]+|/|\^[23]|[^A-Za-z\s.]", text.replace("{", "").replace("}", ""))
    words = [_POWERS.get(word.lower(), "") or _short(word) for word in words]
    words = ["year"] if words == ["year", "old"] else words
    scale = 1
    while words and words[0] in _SCALES:
        scale *= _SCALES[words.pop(0)]
    if len(words) > MAX_WORDS or scale > 10**15:
        return 1, ""
    power = {"square": "^2", "cubic": "^3"}.get(words[0], "") if len(words) > 1 else ""
    words = words[1 if power else 0 :]
    mph = [part for word in words for part in (("mi", "/", "h") if word == "mph" else (word,))]
    if not _is_unit(mph) and not _is_noun(words):
        return (scale, "") if not words else (1, "")
    joined = "".join(mph) if _is_unit(mph) else " ".join(words)
    return scale, joined + power


def _is_unit(words: list[str]) -> bool:
    """Test for known units with slashes and powers: km, cm ^2, km / h, m / s ^2."""
    bare = [word for word in words if word[0] != "^"]
    units, slashes = bare[::2], bare[1::2]
    return len(bare) % 2 == 1 and all(word in _SYNONYMS and word not in _PREFIXES for word in units) and all(
        word == "/" for word in slashes
    )  # fmt: skip


def _is_noun(words: list[str]) -> bool:
    return 0 < len(words) <= _MAX_NOUN_WORDS and all(
        word.isalpha() and word not in _NO_NOUNS and word not in _SCALES and word not in _PREFIXES for word in words
    )


def _short(word: str) -> str:
    word = word.lower()
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        if form in _NAME_OF:
            return _NAME_OF[form]
    return word if word in _NO_PLURALS else word.removesuffix("s")


@dataclass(frozen=True)
class _Question:
    """Units and counted nouns in a prompt.

    units: units that occur. nouns: the things counted. context: the words after "how many". asked_units: units to
    answer in, with powers. power: that of the length unit of the quantity asked for, 0 if unknown. powers: powers that
    occur. rates: units after "per", "each" and the like in the task.
    """

    units: frozenset[str]
    nouns: frozenset[str]
    context: frozenset[str]
    asked_units: frozenset[str]
    power: int
    powers: frozenset[int]
    rates: frozenset[str]


def asked_for(unit: str, prompt: str) -> bool:
    """Test whether a question can be answered in this unit, which the gold answer does not name.

    The prompt must name the unit. If it asks for a unit ("how many cents", "in square feet"), it must be that unit with
    that power. A word that is not a known unit must be the thing counted: "how many apples". "units" always fits.
    """
    question = _question(prompt)
    name, _, power = unit.partition("^")
    words = re.findall("[a-z]+", name.lower())
    if not is_known(name):
        return _is_counted(words, question)
    if unit in question.asked_units:
        return True
    above, _, below = name.partition("/")
    if below in question.rates:
        return asked_for(above, prompt)
    if question.asked_units and words[0] != "units":
        return False
    if question.asked_units and not any(_power(other) == int(power or 1) for other in question.asked_units):
        return False
    if name in _LENGTHS and question.power not in (0, int(power or 1)):
        return False
    if words[0] == "units":
        return True
    if question.nouns:
        return words[0] in question.nouns
    return set(words) <= question.units and (not power or "/" in name or int(power) in question.powers)


def _power(unit: str) -> int:
    return int(unit.partition("^")[2] or 1)


def _is_counted(words: list[str], question: _Question) -> bool:
    """Test for a counted noun with words from its context in the question: red apples, cups of flour."""
    noun = words[: words.index("of")] if "of" in words else words
    return bool(noun) and noun[-1] in question.nouns and set(words) <= question.context | question.nouns


@lru_cache(maxsize=1024)
def _question(prompt: str) -> _Question:
    text = prompt[-MAX_PROMPT_CHARACTERS:].lower().replace("²", "^2").replace("³", "^3").replace("°", " degrees ")
    text = text.replace("\\circ", " degrees ").replace("$", " $ ").replace("squared", "^2").replace("cubed", "^3")
    text = text.replace("mph", "miles / hour").replace("km/h", "kilometers / hour")
    written, task = _WORDS.findall(text), [_short(word) for word in _WORDS.findall(_TASK.split(text)[-1])]
    words = [_short(word) for word in written]
    units = {word for n, word in enumerate(words) if _is_named(words, n, written[n])}
    units |= {"dollars"} if "$" in words and re.search(r"\$ +\d", text) else set()
    units |= {"year"} if {"old", "age"} & set(words) else set()
    units |= (
        {"degrees"} if "angle" in task and not {"sin", "cos", "tan", "sine", "radian", "rad"} & set(task) else set()
    )
    power = next((_POWER_OF[word] for word in task if word in _POWER_OF), 0)
    nouns, context = _counted(words, written)
    asked_units = _asked_units(words, power)
    if "dollars" in units and _has(words, "how", "much"):
        asked_units |= {"dollars"} if asked_units else set()
    powers = {2} if {"square", "area", "surface"} & set(words) or "^2" in text else set()
    powers |= {3} if {"cubic", "volume"} & set(words) or "^3" in text else set()
    rates = {second for first, second in itertools.pairwise(task) if first in ("/", "a", "an", "each", "every")}
    return _Question(
        frozenset(units),
        frozenset(nouns),
        frozenset(context),
        frozenset(asked_units),
        power,
        frozenset(powers),
        frozenset(rates),
    )


def _has(words: list[str], first: str, second: str) -> bool:
    return (first, second) in itertools.pairwise(words)


def _is_named(words: list[str], n: int, written: str) -> bool:
    """Test whether a word is a unit; "in", "m" and other short ones are only after a number or a slash."""
    word, before = words[n], words[n - 1] if n else ""
    if word not in _SYNONYMS or word in _PREFIXES:
        return False
    return len(written) > 2 or written in ("km", "kg", "cm", "mm", "ft") or before.isdigit() or before in (
        "/", "text", "mathrm", "mbox", "square", "cubic",
    )  # fmt: skip


def _counts(words: list[str], n: int) -> bool:
    if words[n : n + 2] == ["of", "money"]:
        return False
    return words[n] == "many" or (words[n] == "of" and n > 0 and words[n - 1] in ("number", "amount"))


def _counted(words: list[str], written: list[str]) -> tuple[set[str], set[str]]:
    """Return (nouns counted, words after "how many"). The noun is the first plural there, or else any plural."""
    nouns, context = set[str](), set[str]()
    anything = {"people"} | {_short(word) for word in written if _is_plural(word)}
    for n in range(len(words)):
        if not _counts(words, n):
            continue
        window = range(n + 1, min(n + 1 + _WINDOW, len(words)))
        context |= {words[m] for m in window}
        plain = [m for m in itertools.takewhile(lambda m: written[m] not in _VERBS, window) if _is_plural(written[m])]
        nouns |= {words[plain[0]]} if plain else anything
    return nouns - _NO_NOUNS - _SCALES.keys(), context


def _is_plural(written: str) -> bool:
    return written in _PLURALS or (
        len(written) > 2 and written.endswith("s") and written not in _NO_PLURALS and _short(written) not in _NO_NOUNS
    )


def _asked_units(words: list[str], power: int) -> set[str]:
    """Return the units asked for, with powers: cm^2. power: that of the quantity asked for, 0 if unknown."""
    units = set[str]()
    for n, word in enumerate(words):
        counts = word == "nearest" or _counts(words, n)
        if not counts and word != "in":
            continue
        window = words[n + 1 : n + 1 + _WINDOW]
        window = window if counts else [word for word in window if word not in ("the", "total")]
        unit = next((m for m, other in enumerate(window) if other in _SYNONYMS and other not in _PREFIXES), None)
        if unit is None or (not counts and (unit > 1 or (unit == 1 and window[0] not in _PREFIXES))):
            continue
        rate = window[unit + 1 : unit + 2] == ["/"]
        name = "".join(window[unit : unit + 3]) if rate else window[unit]
        after = "".join(window[unit + (3 if rate else 1) :][:1])
        before = {"square": "^2", "cubic": "^3"}.get(window[unit - 1] if unit else "", "")
        raised = f"^{after[-1]}" if after.startswith("^") else before
        units.add(name + raised)
        if not raised and not counts and power > 1 and name in _LENGTHS:  # an area in cm
            units.add(f"{name}^{power}")
    return units
