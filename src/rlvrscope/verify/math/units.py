"""Units after a value, and what a question asks for: a unit, a percentage, a ratio."""

from __future__ import annotations

import itertools
import re
from functools import lru_cache

MAX_PROMPT_CHARACTERS = 4_000
"""Characters at the end of the prompt that are read."""
_SYNONYMS = {
    "cm": "centimeter centimetre", "mm": "millimeter millimetre", "m": "meter metre", "km": "kilometer kilometre",
    "in": "inch inche", "ft": "foot feet", "yd": "yard", "mi": "mile", "g": "gram gramme", "kg": "kilogram kilo",
    "mg": "milligram", "lb": "pound", "oz": "ounce", "s": "second sec", "min": "minute", "h": "hour hr", "day": "day",
    "week": "week wk", "month": "month", "year": "year yr", "l": "liter litre", "ml": "milliliter millilitre",
    "dollar": "dollar usd buck", "cent": "cent", "euro": "euro", "degree": "degree deg", "%": "percent",
    "rad": "radian", "unit": "unit", "hz": "hertz", "n": "newton", "j": "joule", "v": "volt", "w": "watt",
}  # fmt: skip
_NAME_OF = {word: name for name, words in _SYNONYMS.items() for word in (name, *words.split())}
SINGLE_LETTERS = {"m", "g", "s", "h", "l", "L", "N", "J", "V", "W"}
_SCALES = {
    "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
}  # fmt: skip
_LENGTHS = {"cm", "mm", "m", "km", "in", "ft", "yd", "mi", "unit"}
_TIMES = {"s", "min", "h", "day", "week", "month", "year"}
_ABOUT_MONEY = re.compile(
    r"much|cost|price|pay|paid|earn|sp[eo]n[dt]|money|worth|charge|profit|s[ao]l[ed]|bill|saving|owe|wage|salar|interest|income|change"
)
_MONEY = {"dollar", "euro", "lb", "cent"}
_NO_UNITS = {
    "not", "no", "or", "and", "to", "than", "is", "are", "minus", "plus", "negative", "factorial", "modulo", "less",
    "more", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "half", "third", "quarter",
    "fourth", "fifth", "tenth", "hundredth", "thousandth", "double", "pair", "score", "gross", "squared", "cubed",
    "maybe", "false", "true", "lakh", "crore", *_SCALES,
}  # fmt: skip
"""Words that change a value or deny it."""
_SPELLED = {
    "\\circ": " degrees ", "°": " degrees ", "\\angle": " angle ", "mph": "mi/h", "years old": "years", "²": "^2",
    "³": "^3", "squared": "^2", "cubed": "^3",
}  # fmt: skip
_WORD = re.compile(r"[0-9][0-9.,]*|[a-z%]+|/|\^\{?[23]\}?|[,;?]")
_ASKS = re.compile(r"\b(?:what|which|how|find|determine|compute|calculate|express|give|write|state|estimate)\b")
_SENTENCE = re.compile(r"(?<=[.?!;:])\s+|, and (?=what|how)")
_ASKS_PERCENT = re.compile(
    r"(?<![0-9] )(?<!one )(?<!two )(?<!five )(?<!ten )(?<!ty )(?<![0-9])(?:\bpercent(?:ages?)?\b|%)(?! points?)"
)
_NOT_PERCENT = re.compile(r"\b(?:as|in|to) (?:an? )?(?:[a-z]+ )?(?:decimal(?! place)|fraction|ratio)\b")


def scale_and_name(text: str) -> tuple[int, str] | None:
    r"""Return (factor, canonical name) of the unit in a text; None if its words are no unit.

    >>> scale_and_name("square inches"), scale_and_name("km/h"), scale_and_name("million dollars")
    ((1, 'in^2'), (1, 'km/h'), (1000000, 'dollar'))
    """
    words, scale = _normal(text).split(" "), 1
    while words and words[0] in _SCALES:
        scale *= _SCALES[words.pop(0)]
    if re.search(r"[^A-Za-z%/^{}23.\s$]", text) or len(words) > 5 or set(words) & _NO_UNITS or scale > 10**15:
        return None
    return scale, " ".join(words)


def is_known(unit: str) -> bool:
    return all(part in _SYNONYMS for part in re.split("/", re.sub(r"\^[23]", "", unit)))


def is_asked_for(unit: str, prompt: str) -> bool:
    """Test whether a question asks for this unit, which the gold answer does not name.

    The last request must name it, or name no other unit and fit its dimension, while the prompt has it somewhere. What
    is not a known unit must be the things counted: "how many apples".
    """
    request, everything = _normal(_request(prompt)), _normal(prompt[-MAX_PROMPT_CHARACTERS:])
    if "/" in unit and "^" not in unit and set(unit.split("/")) <= set(re.split("[ /]", request)):
        return True
    if unit == "people" and " many " in request:
        return True
    if not is_known(unit):
        before = r"(?:(?:many|number of|much)(?: \w+){0,5}?|in(?: the)?)"
        return bool(re.search(rf"\b{before} {re.escape(unit)}(?!\w)", request))
    words = re.sub(r"(?<!\^)\b[0-9][0-9.,]* \S+", "#", request).split(" ")
    if unit in words and not (unit == "in" and words.count("in") < 2):
        return True
    named = {after for word, after in itertools.pairwise(words) if word in ("in", "many", "nearest")}
    power = "^2" if {"area", "square"} & set(words) else "^3" if "volume" in words else ""
    base = unit.partition("^")[0]
    is_other_dimension = base in _LENGTHS and unit != base + power and (power or base != "unit")
    if any(map(is_known, named - {"in", ""})) or is_other_dimension:
        return False
    if unit in _MONEY:
        is_topic = unit == "dollar" and (not prompt or _ABOUT_MONEY.search(everything))
        return bool(is_topic or unit in everything.split(" ")) and not {"many", "number", "cent"} & set(words)
    if "/" not in unit and {"speed", "rate", "velocity", "fast"} & set(words):
        return False
    if base in _TIMES or base in _LENGTHS:
        asks_for_time = bool({"time", "take", "when", "old", "age"} & set(words))
        if asks_for_time != (base in _TIMES) and not (base in _TIMES and "long" in words):
            return False
    if unit in ("degree", "year"):
        return bool({"angle", "degree", "old", "age"} & set(everything.split(" "))) and "rad" not in words
    return base == "unit" or set(re.split(r"[/^]", unit)) - {"2", "3"} <= set(re.split(r"[ /]", everything))


def asks_for_percent(prompt: str) -> bool:
    """Test whether the last thing that the question asks for is a percentage.

    >>> asks_for_percent("What percentage is absent?"), asks_for_percent("What is 20% of 50?")
    (True, False)
    """
    request = _request(prompt)
    return bool(_ASKS_PERCENT.search(request)) and not _NOT_PERCENT.search(request)


def asks_for_ratio(prompt: str) -> bool:
    return bool(re.search(r"\bratio\b", _request(prompt)))


@lru_cache(maxsize=1024)
def _request(prompt: str) -> str:
    """Return the last sentence that asks for something, in lower case; without one, the end of the prompt."""
    text = " ".join(prompt[-MAX_PROMPT_CHARACTERS:].lower().replace("\\%", "%").split())
    asking = [sentence for sentence in _SENTENCE.split(text) if _ASKS.search(sentence)]
    return asking[-1] if asking else text


@lru_cache(maxsize=1024)
def _normal(text: str) -> str:
    """Return the words with one name for each unit: "square centimeters" is cm^2, "miles per hour" mi/h."""
    text = re.sub(r"\\?\$ ?(?=[0-9.])", " dollars ", text.lower())
    for sign, word in _SPELLED.items():
        text = text.replace(sign, word)
    text = " ".join(map(_short, _WORD.findall(text)))
    text = re.sub(r"\b(?:square|sq) (\w+)", r"\1^2", text).replace(" per ", "/")
    return re.sub(r" ?(/|\^) ?", r"\1", re.sub(r"\b(?:cubic|cu) (\w+)", r"\1^3", text))


def _short(word: str) -> str:
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        if form in _NAME_OF:
            return _NAME_OF[form]
    return re.sub("[{}]", "", word) if len(word) < 4 or word.endswith(("ss", "us", "is")) else word.removesuffix("s")
