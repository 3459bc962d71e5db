"""Mathematical answers in one spelling: LaTeX variants, phrases, thousands, units; text kept apart."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

from warmup_rl.grading.numbers import without_recurring
from warmup_rl.grading.spoken import meaning, words_of
from warmup_rl.grading.units import multiplied, without_unit

_UNICODE = str.maketrans({
    "\u2212": "-", "\u2013": "-", "\u00d7": "\\times ", "\u00b7": "\\cdot ", "\u00f7": "\\div ", "\u03c0": "\\pi ",
    "\u221e": "\\infty ", "\u2264": "\\le ", "\u2265": "\\ge ", "\u2260": "\\ne ", "\u00b0": "^\\circ ",
    "\u222a": "\\cup ", "\u2229": "\\cap ", "\u2205": "\\emptyset ", "\u00b1": "\\pm ", "\u211d": "\\mathbb{R}",
    "\u00a0": " ", "\u200b": "",
    "\u2248": "\\approx ", "\u2019": "'", "\u20ac": "\\text{ euros}", "\u2208": "\\in ",
})  # fmt: skip
_SPELLINGS = (
    (re.compile(r"<(b|i|em|strong|u|span|code|div|p)(?:\s[^<>]*)?>(.*?)</\1>", re.DOTALL), r"\2"),
    (re.compile(r"<su([bp])>([^<>]{1,40})</su\1>"), lambda found: f"{'_^'[found[1] == 'p']}{{{found[2]}}}"),
    (re.compile(r"\\textcolor\s*\{[^{}]*\}|\\color\s*\{[^{}]*\}"), ""),
    (re.compile(r"\\(?:underline|boldsymbol|bm|mathit|mathsf|pmb|displaystyle)(?![A-Za-z])\s*"), ""),
    (re.compile(r"\\bar\s*(?=\{\d)"), r"\\overline"),
    (re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\.?"), ""),
    (re.compile(r"\\(?:textstyle|limits|nolimits|,|;|:|!|quad|qquad|hspace\{[^{}]*\})(?![A-Za-z])"), " "),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:leq|leqslant)(?![A-Za-z])"), r"\\le"),
    (re.compile(r"\\(?:geq|geqslant)(?![A-Za-z])"), r"\\ge"),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"\\neq(?![A-Za-z])"), r"\\ne"),
    (re.compile(r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}"), r"\\emptyset"),
    (re.compile(r"\\(?:mathrm|rm|text)\s*\{\s*([ie])\s*\}"), r" \1"),
    (re.compile(r"\\log_\{?e\}?(?![A-Za-z])"), r"\\ln "),
    (re.compile(r"\\(?:mathrm|textrm|textbf|textit|mbox|mathbf|textnormal|rm|operatorname)\s*(?=\{)"), r"\\text"),
    (re.compile(r"\\equiv(?![A-Za-z])"), "="),
    (re.compile(r"\\langle(?![A-Za-z])"), "("),
    (re.compile(r"\\rangle(?![A-Za-z])"), ")"),
    (re.compile(r"\\lbrace(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![A-Za-z])"), r"\\}"),
    (re.compile(r"\\l(?:brack)(?![A-Za-z])"), "["),
    (re.compile(r"\\r(?:brack)(?![A-Za-z])"), "]"),
    (re.compile(r"\\[lr]vert(?![A-Za-z])|\\mid(?![A-Za-z])"), "|"),
    (re.compile(r"\^\s*\{\s*\\circ\s*\}"), r"^\\circ"),
    (re.compile(r"\\degree(?![A-Za-z])"), r"^\\circ"),
    (
        re.compile(r"\\(sin|cos|tan|cot|sec|csc)\s*(?:\(\s*|\{\s*)?(\d{1,4})\s*\^\s*\\circ\s*[)}]?"),
        r"\\\1(\\frac{\2\\pi}{180})",
    ),
    (re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*(?=\{)"), r"\\frac{\1}"),
    (re.compile(r"\\frac\s*(\\pi|[A-Za-z\d])\s*(\d|[A-Za-z])(?![A-Za-z\d])"), r"\\frac{\1}{\2}"),
    (re.compile(r"(\\frac\{[^{}]*\})\s*(\d)(?!\d)"), r"\1{\2}"),
    (re.compile(r"\\sqrt\s*(\d|[A-Za-z])(?![\d}])"), r"\\sqrt{\1}"),
    (re.compile(r"\\\\(?=%)"), r"\\"),
    (re.compile(r"(?:\\\\|\\newline)\s*$"), ""),
    (re.compile(r"^(?:negative|minus)\s+(?=\d)"), "-"),
    (re.compile(r"(?<![\\A-Za-z])(?:negative|minus) infinity(?![A-Za-z])"), r"-\\infty "),
    (re.compile(r"(?<![\\A-Za-z])(?:positive )?infinity(?![A-Za-z])"), r"\\infty "),
    (re.compile(r"(?<=\d)[eE]([+-]?\d{1,3})(?![\d.])"), r"\\times 10^{\1}"),
)
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:(?:(?:,|\{,\})?\\[,!]|,|\{,\}|\\ |\s)\d{3})+(?![\d])")
_SEPARATOR = re.compile(r",|\{,\}|\\,|\\!|\\ |\s")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_PHRASE = re.compile(
    r"^\W*(?:(?:so|thus|hence|therefore),?\s+)?(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|result|value|solution)s?"
    r"(?:\s+of\s+\$?\\?[A-Za-z]+\$?)?\s*(?:is|are|:|=|equals)\s*:?\s*",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^the (?:points?|ordered pairs?|pair|interval|set|vector|matrix) (?=[(\[\\])"
    r"|^[A-Z][a-z]{2,}(?: [a-z]{2,}){0,3}: +(?=[-+\d\\$(\[])"
)
_LEADING = re.compile(r"^(?:\\therefore|\\approx|\\thickapprox|\\sim|=|\\implies|\\Rightarrow|:)\s*")
_IN_A_SENTENCE = re.compile(
    r"(?:(?:therefore|thus|hence|so|finally|the|final|correct|answer|result|value|solution|is|are|that|which|equals|"
    r"we (?:get|have|obtain|find))[\s,:]+)+(?:\$([^$]+)\$|\\\((.+)\\\))\s*\.?",
    re.IGNORECASE,
)
_STRONG = re.compile(r"(?<![\w)}])\*\*([^*]+)\*\*(?![\w({])")
_BRACES = re.compile(r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_RAISED = re.compile(r"[\u00b2\u00b3\u00b9\u2070-\u207f]+")
_LOWERED = re.compile(r"[\u2080-\u208e]+")
_VULGAR = re.compile(r"[\u00bc-\u00be\u2150-\u215e]")
_ROOT = re.compile(r"([\u221a-\u221c])\s*(\d+(?:\.\d+)?|[A-Za-z]|\([^()]*\))?")
_DEGREES = {"\u221a": "", "\u221b": "[3]", "\u221c": "[4]"}
_CURRENCY = re.compile(r"^(-?)\s*(?:\\\$|\$|\\text\{\s*\\?\$\s*\})\s*(?=[\d.])")
_CHOICE = re.compile(
    r"(?:\\text\s*\{\s*)?\(?([A-J])(?:\)|\.(?=\s+[\d\\$-]))\s*(?:\}\s*)?(?=[\w\\$.-])(?!\\(?:cup|cap|times|cdot)\b)"
)
"""A choice named before its value: `(B) 5`."""
_NO_VALUE = re.compile(r"\([A-J]\)|\b(?:or|and|nor|not|no|maybe)\b|^\W*[A-J]\W*$|\?")


@dataclass(frozen=True, slots=True)
class Clean:
    """An answer in one spelling.

    Attributes:
        body: the mathematics, without unit, phrase and closing punctuation.
        unit: canonical, such as `cm^2`; empty where there is none.
        words: the answer as lower-case words where it is text, else empty.
        choice: the letter of a choice that is named with its value, `(B) 5`; empty otherwise.
    """

    body: str
    unit: str = ""
    words: str = ""
    choice: str = ""


def clean(text: str) -> Clean:
    """An answer (without its box) in one spelling."""
    text = _bare(text)
    if lettered := _CHOICE.match(text):
        rest = text[lettered.end() :].removesuffix("}" if text.count("}") > text.count("{") else "")
        if not _NO_VALUE.search(rest) and not (value := clean(rest)).words:
            return replace(value, choice=lettered[1])
    whole = _TEXT.fullmatch(text)
    inner = whole[1].strip() if whole else text
    words = words_of(inner, in_text=whole is not None)
    if words and not meaning(words):
        return Clean(text, words=words)
    text = meaning(words) if words else inner
    text = multiplied(without_recurring(text))
    currency = bool(_CURRENCY.match(text))
    text = _CURRENCY.sub(r"\1", text)
    text, unit = without_unit(text)
    text = _TEXT.sub(lambda match: f" {match[1]} ", text)
    text = _THOUSANDS.sub(_joined, text)
    text = _mixed(re.sub(r"\s+", " ", text).strip().rstrip(".,;: "))
    return Clean(text.strip(), unit or ("$" if currency else ""))


def _bare(text: str) -> str:
    """Without dollar signs, decoration, phrases and spelling variants."""
    text = _STRONG.sub(r"\1", _plain_characters(text)).strip().strip("*`").strip()
    if said := _IN_A_SENTENCE.fullmatch(text):
        text = said[1] or said[2]
    if text.count("$") - text.count("\\$") >= 2:
        text = re.sub(r"^\$+(.*?)\$+[\s.,;:]*$", r"\1", text, flags=re.DOTALL)
    text = text.removeprefix("\\(").removesuffix("\\)").removeprefix("\\[").removesuffix("\\]").strip()
    text = text.strip("*").replace("**", "^")
    text = _THOUSANDS.sub(_joined, text)
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = re.sub(r"(?<!\\)\\ ", " ", text).replace("~", " ").strip().rstrip(".,;: ")
    text = _TEXT.sub(lambda match: _PHRASE.sub("", match[1]) or " " if _PHRASE.match(match[1]) else match[0], text, 1)
    text = _LABEL.sub("", _PHRASE.sub("", text))
    previous = ""
    while previous != text:
        previous, text = text, _LEADING.sub("", text).strip()
        if whole := _BRACES.fullmatch(text):
            text = whole[1].strip()
    return text


def _plain_characters(text: str) -> str:
    """Unicode mathematics as LaTeX."""
    if text.isascii():
        return text
    text = text.translate(_UNICODE)
    text = _RAISED.sub(lambda found: f"^{{{_flat(found[0])}}}", text)
    text = _LOWERED.sub(lambda found: f"_{{{_flat(found[0])}}}", text)
    text = _VULGAR.sub(lambda found: "\\frac{{{}}}{{{}}}".format(*_flat(found[0]).split("\u2044")), text)
    text = _ROOT.sub(_root, text)
    return text.replace("\u2044", "/")


def _root(found: re.Match[str]) -> str:
    command = f"\\sqrt{_DEGREES[found[1]]}"
    return f"{command}{{{found[2].removeprefix('(').removesuffix(')')}}}" if found[2] else command


def _flat(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\u2212", "-")


def _joined(match: re.Match[str]) -> str:
    """Thousands without separators; a plain comma in brackets separates members instead."""
    before = match.string[: match.start()]
    inside = sum(before.count(opening) for opening in "([") > sum(before.count(closing) for closing in ")]")
    plain = re.search(r"(?<![{\\]),", match[0])
    return match[0] if plain and (inside or "\\{" in before) else _SEPARATOR.sub("", match[0])


def _mixed(text: str) -> str:
    """`3 1/2` as a mixed number, which it is where a whole number stands before a fraction."""
    return re.sub(r"^(-?)(\d+) (\d+)/(\d+)$", r"\1\2\\frac{\3}{\4}", text)
