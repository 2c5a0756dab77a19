r"""Units after a value: 5 cm, 5\text{ cm}, 90^\circ."""

from __future__ import annotations

import re

_SYNONYMS = {
    "cm": "centimeter centimetre", "mm": "millimeter millimetre", "m": "meter metre", "km": "kilometer kilometre",
    "in": "inch inche", "ft": "foot feet", "yd": "yard", "mi": "mile", "g": "gram gramme", "kg": "kilogram kilo",
    "mg": "milligram", "lb": "pound lbs", "oz": "ounce", "s": "second sec", "min": "minute", "h": "hour hr",
    "day": "day", "week": "week wk", "month": "month", "year": "year yr", "l": "liter litre", "ml": "milliliter",
    "mph": "mph", "dollars": "dollar usd buck", "cents": "cent", "degrees": "degree deg", "%": "percent",
    "rad": "radian", "units": "unit", "/": "per", "square": "sq", "cubic": "cu",
}  # fmt: skip
_NAME_OF = {word: short for short, words in _SYNONYMS.items() for word in (short, *words.split())}
_ABOUT_NUMBERS = set(
    re.findall(
        "[a-z]+",
        "and or not no is are than less more least most at about approximately nearly over under plus minus "
        "times divided by half quarter third double twice squared cubed root power hundred thousand million "
        "billion trillion dozen ten one two three four five six seven eight nine zero pair pairs couple gross "
        "score percentage negative positive mod modulo base if where when such that for either neither any "
        "all none other else but to from through between wrong false true undefined",
    )
)
"""Words that are no unit of a number before them: they change it, or add another."""
_UNITS = set(_SYNONYMS) - {"/", "square", "cubic", "units", "%"}
_ASKED = re.compile(
    r"(?:how many|number of|nearest|(?<![a-z])in|amount of)\s+(?:the\s+|total\s+|square\s+|cubic\s+|whole\s+)*([a-z]+)"
)
_TEXT = re.compile(r"([^\\]*(?:\\(?!text)[^\\]*)*)((?:\\text\{[^{}\\]*\}(?:\^(?:[23]|\{[23]\}))? ?/? ?)+)")
_WORD_AFTER = re.compile(r"([+-]?[0-9][0-9,./]*) ?([A-Za-z]{2,}(?:[ /][A-Za-z]+){0,3}(?:\^[23])?)")
_CIRCLE = re.compile(r"(.*?)\^\\circ ?(?:\\text\{([CF])\}|([CF]))?", re.DOTALL)
MOST_WORDS = 4
MOST_LETTERS_OF_A_PRODUCT = 3


def unit_of(text: str) -> tuple[str, str]:
    r"""(what stands before the unit, the unit's name); the text and "" where there is none.

    >>> unit_of(r"12\text{ inches}^2")
    ('12', 'in^2')
    """
    if match := _CIRCLE.fullmatch(text):
        scale = match[2] or match[3] or ""
        return match[1], f"degrees{scale and ' '}{scale}"
    match = _TEXT.fullmatch(text)
    if match is None:
        match = _WORD_AFTER.fullmatch(text)
        if match is None or not _is_word(match[2]):
            return text, ""
    name = _name(match[2].replace("\\text", " ")) if match[1].strip() else ""
    return (match[1].strip(), name) if name else (text, "")


def asked_for(unit: str, prompt: str) -> bool:
    """Whether every word of the unit is in the prompt, in one of its spellings.

    Where the prompt has several units, such as dollars and cents, it must ask for this one: "how many dollars", "in
    dollars".
    """
    prompt = prompt.lower()
    after_numbers = re.findall(r"[0-9]\s?([a-z]+)", prompt)  # "in" and "m" mean a unit only there
    long = [word for word in re.findall(r"[a-z]{2,}", prompt) if word != "in"]
    words = {_short(word) for word in (*after_numbers, *long)}
    if "$" in prompt.replace("\\$", "$ "):
        words.add("dollars")
    if "\\circ" in prompt or "°" in prompt:
        words.add("degrees")
    wanted = re.findall(r"[a-z]+", unit.lower())
    if not all(word in words for word in wanted):
        return False
    if len(words & _UNITS) <= 1 or not _UNITS & set(wanted):
        return True
    asked = {_short(word) for word in _ASKED.findall(prompt)} & _UNITS
    return len(asked) == 1 and asked <= set(wanted)


def _is_word(text: str) -> bool:
    """2 yx is a product."""
    first = re.split("[^A-Za-z]", text)[0]
    return len(first) > MOST_LETTERS_OF_A_PRODUCT or first.lower() in _NAME_OF


def _name(text: str) -> str:
    """The unit in its one spelling; "" if these words are none."""
    words = re.findall(r"[A-Za-z]+|/|\^[23]|[^A-Za-z\s.]", text.replace("{", "").replace("}", ""))
    if not words or len(words) > MOST_WORDS or any(not word.isalpha() and word[0] not in "/^" for word in words):
        return ""
    if _ABOUT_NUMBERS & {word.lower() for word in words}:
        return ""
    power = {"square": "^2", "cubic": "^3"}.get(_short(words[0]), "") if len(words) > 1 else ""
    return " ".join(_short(word) for word in words[1 if power else 0 :]).replace(" ^", "^") + power


def _short(word: str) -> str:
    word = word.lower()
    for form in (word, word.removesuffix("s"), word.removesuffix("es")):
        if form in _NAME_OF:
            return _NAME_OF[form]
    return word.removesuffix("s")
