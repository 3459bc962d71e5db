"""Mathematical answers in one spelling: LaTeX variants, phrases, thousands, units; text kept apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNICODE = str.maketrans({
    "\u2212": "-", "\u2013": "-", "\u00d7": "\\times ", "\u00b7": "\\cdot ", "\u00f7": "\\div ", "\u03c0": "\\pi ",
    "\u221e": "\\infty ", "\u2264": "\\le ", "\u2265": "\\ge ", "\u2260": "\\ne ", "\u00b0": "^\\circ ",
    "\u222a": "\\cup ", "\u2229": "\\cap ", "\u2205": "\\emptyset ", "\u00b1": "\\pm ", "\u00b2": "^2",
    "\u00b3": "^3", "\u00a0": " ", "\u200b": "",
    "\u00bd": "\\frac{1}{2}", "\u00bc": "\\frac{1}{4}", "\u00be": "\\frac{3}{4}",
    "\u2248": "\\approx ", "\u2019": "'", "\u20ac": "\\text{ euros}", "\u2208": "\\in ",
})  # fmt: skip
_SPELLINGS = (
    (re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\.?"), ""),
    (re.compile(r"\\(?:displaystyle|textstyle|limits|nolimits|,|;|:|!|quad|qquad|hspace\{[^{}]*\})(?![A-Za-z])"), " "),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:leq|leqslant)(?![A-Za-z])"), r"\\le"),
    (re.compile(r"\\(?:geq|geqslant)(?![A-Za-z])"), r"\\ge"),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"\\neq(?![A-Za-z])"), r"\\ne"),
    (re.compile(r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}"), r"\\emptyset"),
    (re.compile(r"\\(?:mathrm|textrm|textbf|textit|mbox|mathbf|textnormal|rm|operatorname)\s*(?=\{)"), r"\\text"),
    (re.compile(r"\\lbrace(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![A-Za-z])"), r"\\}"),
    (re.compile(r"\\l(?:brack)(?![A-Za-z])"), "["),
    (re.compile(r"\\r(?:brack)(?![A-Za-z])"), "]"),
    (re.compile(r"\\[lr]vert(?![A-Za-z])|\\mid(?![A-Za-z])"), "|"),
    (re.compile(r"\^\s*\{\s*\\circ\s*\}"), r"^\\circ"),
    (re.compile(r"\\degree(?![A-Za-z])"), r"^\\circ"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*(?=\{)"), r"\\frac{\1}"),
    (re.compile(r"(\\frac\{[^{}]*\})\s*(\d)(?!\d)"), r"\1{\2}"),
    (re.compile(r"\\sqrt\s*(\d|[A-Za-z])(?![\d}])"), r"\\sqrt{\1}"),
    (re.compile(r"\\\\(?=%)"), r"\\"),
    (re.compile(r"(?<=\d)[eE]([+-]?\d{1,3})(?![\d.])"), r"\\times 10^{\1}"),
)
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:(?:(?:,|\{,\})?\\[,!]|,|\{,\}|\\ |\s)\d{3})+(?![\d])")
_SEPARATOR = re.compile(r",|\{,\}|\\,|\\!|\\ |\s")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_PHRASE = re.compile(
    r"^\W*(?:(?:so|thus|hence|therefore),?\s+)?(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|result|value|solution)s?\s*"
    r"(?:is|are|:|=|equals)\s*:?\s*",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^(?:\\therefore|\\approx|\\thickapprox|\\sim|=|\\implies|\\Rightarrow|:)\s*")
_UNIT_WORDS = (
    r"square|cubic|sq\.?|cu\.?|per|of|each|in|"
    r"cm|mm|dm|km|nm|inch(?:es)?|ft|foot|feet|yd|yards?|mi|miles?|met(?:er|re)s?|(?:centi|kilo|milli|deci)met(?:er|re)s?|"
    r"degrees?|deg|rad|radians?|dollars?|bucks|cents?|euros?|pounds?|lbs?|oz|ounces?|kg|mg|grams?|kilograms?|tons?|"
    r"hours?|hrs?|minutes?|mins?|min|seconds?|secs?|sec|days?|weeks?|months?|years?|mph|kph|km/h|m/s|"
    r"gallons?|liters?|litres?|ml|mL|quarts?|cups?|pints?|units?|percent|people|persons?|students?|children|ways?|"
    r"apples?|oranges?|balls?|marbles?|books?|coins?|cards?|points?|pages?|times|boxes|bottles?|tickets?|games?|"
    r"girls?|boys?|men|women|pencils?|pens|cookies|eggs|cars?|trees|flowers|steps?|sides?|rows?|edges|vertices|faces|"
    r"triangles?|squares?|numbers?|integers?|solutions?|values?|digits?|zeros|zeroes|roots?|terms?|factors?|divisors?|"
    r"AM|PM|am|pm|a\.m\.|p\.m\.|Hz|mol|cal|kcal|joules?|watts?|volts?|newtons?|inches"
)
_PLAIN_UNIT = re.compile(rf"(?<=[\d}})])\s*((?:(?:{_UNIT_WORDS})(?![A-Za-z])(?:\^?\{{?[23]\}}?)?[\s/\-]*)+)\.?$")
_TEXT_UNIT = re.compile(r"(?<=[\d})!a-z])\s*((?:\\text\s*\{[^{}]*\}(?:\s*\^\s*\{?-?\d\}?)?[\s/]*)+)$")
_DEGREES = re.compile(r"\s*\^\s*\\circ\s*$")
_PERCENT = re.compile(r"\s*(?:\\%|%)\s*$")
_CURRENCY = re.compile(r"^(-?)\s*(?:\\\$|\$|\\text\{\s*\\?\$\s*\})\s*(?=[\d.])")
_SYNONYMS = {
    "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "kilometer": "km", "kilometre": "km", "meter": "m",
    "metre": "m", "inche": "in", "inch": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi", "hour": "h",
    "hr": "h", "minute": "min", "second": "s", "sec": "s", "gram": "g", "kilogram": "kg", "pound": "lb", "ounce": "oz",
    "liter": "l", "litre": "l", "degree": "deg", "dollar": "$", "percent": "%", "buck": "$", "sq": "square",
    "cu": "cubic", "radian": "rad", "minutes": "min", "secs": "s", "mins": "min", "children": "child",
    "people": "person",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clean:
    """An answer in one spelling.

    Attributes:
        body: the mathematics, without unit, phrase and closing punctuation.
        unit: canonical, such as `cm^2`; empty where there is none.
        words: the answer as lower-case words where it is text, else empty.
    """

    body: str
    unit: str = ""
    words: str = ""


def clean(text: str) -> Clean:
    """An answer (without its box) in one spelling."""
    text = _bare(text)
    if words := _words(text):
        return Clean(text, words=words)
    if whole := _TEXT.fullmatch(text):
        text = whole[1].strip()
    currency = bool(_CURRENCY.match(text))
    text = _CURRENCY.sub(r"\1", text)
    text, unit = _without_unit(text)
    text = _TEXT.sub(lambda match: f" {match[1]} ", text)
    text = _THOUSANDS.sub(_joined, text)
    text = _mixed(re.sub(r"\s+", " ", text).strip().rstrip(".,;: "))
    return Clean(text.strip(), unit or ("$" if currency else ""))


def _bare(text: str) -> str:
    """Without dollar signs, phrases and spelling variants."""
    text = text.translate(_UNICODE).strip().strip("*`").strip()
    text = re.sub(r"^\$+(.*?)\$+$", r"\1", text, flags=re.DOTALL) if text.count("$") - text.count("\\$") >= 2 else text
    text = text.removeprefix("\\(").removesuffix("\\)").removeprefix("\\[").removesuffix("\\]").strip()
    text = _THOUSANDS.sub(_joined, text)
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = re.sub(r"(?<!\\)\\ ", " ", text).replace("~", " ").strip().rstrip(".,;: ")
    text = _TEXT.sub(lambda match: _PHRASE.sub("", match[1]) or " " if _PHRASE.match(match[1]) else match[0], text, 1)
    text = _PHRASE.sub("", text)
    previous = ""
    while previous != text:
        previous, text = text, _LEADING.sub("", text).strip()
    return text.strip()


def _joined(match: re.Match[str]) -> str:
    """Thousands without separators; a plain comma in brackets separates members instead."""
    before = match.string[: match.start()]
    inside = sum(before.count(opening) for opening in "([") > sum(before.count(closing) for closing in ")]")
    plain = re.search(r"(?<![{\\]),", match[0])
    return match[0] if plain and (inside or "\\{" in before) else _SEPARATOR.sub("", match[0])


def _words(text: str) -> str:
    """Lower-case words of an answer that is text and no mathematics; empty otherwise."""
    whole = _TEXT.fullmatch(text.strip())
    inner = whole[1] if whole else text
    if whole and re.match(r"\s*[-+]?[\d.]", inner):
        return ""
    if whole is None and ("\\" in text or re.search(r"[\d=+*/^_<>|{}]", text) or not re.search(r"[A-Za-z]{3,}", text)):
        return ""
    if re.fullmatch(r"(?:sin|cos|tan|log|exp|sqrt|inf|infinity|pi)\b.*", inner.strip()) and whole is None:
        return ""
    if not re.search(r"[A-Za-z]", inner) or re.fullmatch(r"\s*[-+]?[\d.,/]+\s*", inner):
        return ""
    found = re.sub(r"[^\w\s,:+-]", " ", inner.lower())
    return " ".join(found.strip(" .,;:").split())


def _without_unit(text: str) -> tuple[str, str]:
    if match := _DEGREES.search(text):
        return text[: match.start()], "deg"
    if match := _PERCENT.search(text):
        return text[: match.start()], "%"
    for pattern in (_TEXT_UNIT, _PLAIN_UNIT):
        match = pattern.search(text)
        if match and not re.search(r"\b(?:and|or)\b", match[1]):
            return text[: match.start()], _unit(match[1])
    return text, ""


def _unit(text: str) -> str:
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


def _mixed(text: str) -> str:
    """`3 1/2` as a mixed number, which it is where a whole number stands before a fraction."""
    return re.sub(r"^(-?)(\d+) (\d+)/(\d+)$", r"\1\2\\frac{\3}{\4}", text)
