"""What stands behind a number: its unit, or a word that multiplies it."""

from __future__ import annotations

import re
from fractions import Fraction

from warmup_rl.grading.spoken import NUMBERS, SCALES

_WORDS = (
    r"square|cubic|sq\.?|cu\.?|per|of|each|in|"
    r"cm|mm|dm|km|nm|inch(?:es)?|ft|foot|feet|yd|yards?|mi|miles?|met(?:er|re)s?|(?:centi|kilo|milli|deci)met(?:er|re)s?|"
    r"degrees?|deg|rad|radians?|dollars?|bucks|cents?|euros?|pounds?|lbs?|oz|ounces?|kg|mg|grams?|kilograms?|tons?|"
    r"hours?|hrs?|minutes?|mins?|min|seconds?|secs?|sec|days?|weeks?|months?|years?|mph|kph|km/h|m/s|"
    r"gallons?|liters?|litres?|ml|mL|quarts?|cups?|pints?|units?|percent|people|persons?|students?|children|ways?|"
    r"USD|AM|PM|am|pm|[ap]\.m\.?|Hz|mol|cal|kcal|joules?|watts?|volts?|newtons?|inches|times|solutions?|roots|zeros|"
    r"men|boys|cars|eggs|pens?|cats|dogs|hats|jobs|bags|cans"
)
_KNOWN = re.compile(rf"(?<=[\d}})])\s*((?:(?:{_WORDS})(?![A-Za-z])(?:\^?\{{?[23]\}}?)?[\s/\-]*)+)\.?$")
_NOUNS = re.compile(
    r"(?<=[\d})])\s+((?:[a-z]{2,}[ -]){0,2}[a-z]{3,}(?<!s)s"
    r"(?: of [a-z]{3,}| long| tall| wide| deep| old| each| left| total| altogether| away)?)\.?$"
)
"""A noun in the plural, with up to two words before it: `72 paper clips`."""
_TEXT = re.compile(r"(?<=[\d})!a-z])\s*((?:\\text\s*\{[^{}]*\}(?:\s*\^\s*\{?-?\d\}?)?[\s/]*)+)$")
_DEGREES = re.compile(r"\s*\^\s*\\circ\s*$")
_PERCENT = re.compile(r"\s*(?:\\%|%)\s*$")
_OPERATORS = re.compile(
    r"\b(?:and|or|nor|not|no|never|neither|false|wrong|incorrect|impossible|undefined|unless|except|if|but|than|less|"
    r"fewer|to|over|plus|minus|divided|multiplied|mod|modulo|base|root|choose|remainder|negative|point|squared|"
    r"cubed|factorial|pi|infinity|inf|sin|cos|tan|cot|sec|csc|log|exp|ln|sqrt|half|halves|quarters?|dozens?|"
    r"hundred|thousand|[mbtr]+illion|lakhs|crores|quintals|factorials|cubed|powers|fails|denies|basis|through|"
    r"percent of|times|\w*elfths?|thirds?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|"
    r"\w*[tnr](?:ie)?ths?|hundredths?|thousandths?|tens|hundreds|thousands|millions|billions)\b"
)
"""Words behind a number that change it, which makes them no unit."""
_SYNONYMS = {
    "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "kilometer": "km", "kilometre": "km", "meter": "m",
    "metre": "m", "inche": "in", "inch": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi", "hour": "h",
    "hr": "h", "minute": "min", "second": "s", "sec": "s", "gram": "g", "kilogram": "kg", "pound": "lb", "ounce":
    "oz", "liter": "l", "litre": "l", "degree": "deg", "dollar": "$", "percent": "%", "buck": "$", "sq": "square",
    "cu": "cubic", "a.m": "am", "p.m": "pm", "usd": "$", "radian": "rad", "minutes": "min", "secs": "s", "mins":
    "min", "children": "child", "people": "person",
}  # fmt: skip
_SCALED = re.compile(
    rf"(?P<sign>[-+]?)(?P<currency>\\?\$)?\s*(?P<number>\d{{1,15}}(?:\.\d{{1,15}})?)\s*(?P<text>\\text\s*\{{\s*)?"
    rf"\b(?P<scale>{'|'.join(SCALES)})\b(?P<rest>[^{{}}]*(?(text)\}}|)(?:\s*\^\s*\{{?\d\}}?)?)"
)


def multiplied(text: str) -> str:
    """`5 million dollars` as `5000000 dollars`; a text that is not of this kind as it is."""
    found = _SCALED.fullmatch(text)
    if not found:
        return text
    value = Fraction(found["number"]) * SCALES[found["scale"]]
    number = str(value) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    rest = found["rest"].strip()
    behind = f" \\text{{{rest}" if found["text"] and rest != "}" else "" if found["text"] else f" {rest}"
    return f"{found['sign']}{found['currency'] or ''}{number}{behind}".strip()


def without_unit(text: str) -> tuple[str, str]:
    """The text before its unit, and the unit in one spelling; empty where there is none."""
    if match := _DEGREES.search(text):
        return text[: match.start()], "deg"
    if match := _PERCENT.search(text):
        return text[: match.start()], "%"
    for pattern in (_TEXT, _KNOWN, _NOUNS):
        match = pattern.search(text)
        if match and _is_unit(match[1]):
            return text[: match.start()], _canonical(match[1])
    return text, ""


def _is_unit(text: str) -> bool:
    """Whether words behind a number leave it as it is."""
    if NUMBERS.keys() & set(re.split(r"[^a-z]+", text)):
        return False
    return not _OPERATORS.search(text) or text.strip(" {}\\") in ("times", "text{ times")


def _canonical(text: str) -> str:
    """`square centimeters` and `cm^2` as `cm^2`."""
    flat = re.sub(r"[{}\\]|\btext\b", " ", text.replace("\\text", " ")).lower().replace("^", " ^").replace("^ ", "^")
    power = ""
    names = []
    for word in re.findall(r"\^-?\d|[a-z$%.]+", flat):
        word = word.rstrip(".")
        word = _SYNONYMS.get(word) or _SYNONYMS.get(word.removesuffix("s")) or word
        word = word.removesuffix("s") if len(word) > 3 else word
        if word in ("square", "cubic"):
            power = "^2" if word == "square" else "^3"
        elif word.startswith("^"):
            power = word
        elif word not in ("per", "of", "each", "unit"):
            names.append(word)
    return "/".join(names) + power if names else ""
