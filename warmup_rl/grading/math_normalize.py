"""Rewrites a mathematical answer in a normal form: one spelling of LaTeX, words, numbers and units."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from fractions import Fraction

_UNICODE = str.maketrans({
    "\u2212": "-", "\u2013": "-", "\u00d7": "\\times ", "\u00b7": "\\cdot ", "\u00f7": "\\div ", "\u03c0": "\\pi ",
    "\u221e": "\\infty ", "\u2264": "\\le ", "\u2265": "\\ge ", "\u2260": "\\ne ", "\u00b0": "^\\circ ",
    "\u222a": "\\cup ", "\u2229": "\\cap ", "\u2205": "\\emptyset ", "\u00b1": "\\pm ", "\u211d": "\\mathbb{R}",
    "\u00a0": " ", "\u200b": "", "\u2248": "\\approx ", "\u2019": "'", "\u20ac": "\\text{ euros}", "\u2208": "\\in ",
})  # fmt: skip
_RAISED = re.compile(r"[\u00b2\u00b3\u00b9\u2070-\u207f]+")
_LOWERED = re.compile(r"[\u2080-\u208e]+")
_VULGAR_FRACTION = re.compile(r"[\u00bc-\u00be\u2150-\u215e]")
_ROOT = re.compile(r"([\u221a-\u221c])\s*(\d+(?:\.\d+)?|[A-Za-z]|\([^()]*\))?")
_ROOT_INDEX = {"\u221a": "", "\u221b": "[3]", "\u221c": "[4]"}

_COMMANDS = {
    name: replacement
    for replacement, names in {
        "\\frac": "dfrac tfrac cfrac", "\\le": "leq leqslant", "\\ge": "geq geqslant", "\\ne": "neq", "=": "equiv",
        "\\emptyset": "varnothing", "(": "langle", ")": "rangle", "\\{": "lbrace", "\\}": "rbrace", "[": "lbrack",
        "]": "rbrack", "|": "lvert rvert mid", "^\\circ": "degree", " ": "textstyle limits nolimits quad qquad",
    }.items()
    for name in names.split()
}  # fmt: skip
"""LaTeX commands without arguments, and what replaces them."""
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_RULES = [
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"<(b|i|em|strong|u|span|code|div|p)(?:\s[^<>]*)?>(.*?)</\1>", r"\2"),
        (r"<sup>([^<>]{1,40})</sup>", r"^{\1}"),
        (r"<sub>([^<>]{1,40})</sub>", r"_{\1}"),
        (r"\\(?:text)?color\s*\{[^{}]*\}", ""),
        (r"\\(?:underline|boldsymbol|bm|mathit|mathsf|pmb|displaystyle)(?![A-Za-z])\s*", ""),
        (r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\.?", ""),
        (r"\\(?:[,;:!]|hspace\{[^{}]*\})(?![A-Za-z])", " "),
        (r"\\bar\s*(?=\{\d)", r"\\overline"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"\\\{\s*\\\}", r"\\emptyset"),
        (r"\\(?:mathrm|rm|text)\s*\{\s*([ie])\s*\}", r" \1"),
        (r"\\log_\{?e\}?(?![A-Za-z])", r"\\ln "),
        (r"\\(?:mathrm|textrm|textbf|textit|mbox|mathbf|textnormal|rm|operatorname)\s*(?=\{)", r"\\text"),
        (r"\^\s*\{\s*\\circ\s*\}", r"^\\circ"),
        (r"\\(sin|cos|tan|cot|sec|csc)\s*[({]?\s*(\d{1,4})\s*\^\s*\\circ\s*[)}]?", r"\\\1(\\frac{\2\\pi}{180})"),
        (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*(?=\{)", r"\\frac{\1}"),
        (r"\\frac\s*(\\pi|[A-Za-z\d])\s*(\d|[A-Za-z])(?![A-Za-z\d])", r"\\frac{\1}{\2}"),
        (r"(\\frac\{[^{}]*\})\s*(\d)(?!\d)", r"\1{\2}"),
        (r"\\sqrt\s*(\d|[A-Za-z])(?![\d}])", r"\\sqrt{\1}"),
        (r"\\\\(?=%)", r"\\"),
        (r"(?:\\\\|\\newline)\s*$", ""),
        (r"^(?:negative|minus)\s+(?=\d)", "-"),
        (r"(?<![\\A-Za-z])(?:negative|minus) infinity(?![A-Za-z])", r"-\\infty "),
        (r"(?<![\\A-Za-z])(?:positive )?infinity(?![A-Za-z])", r"\\infty "),
        (r"(?<=\d)[eE]([+-]?\d{1,3})(?![\d.])", r"\\times 10^{\1}"),
        (r"(?<!\\)\\ |~", " "),
    )
]
"""Applied in this order, after `_COMMANDS`."""
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_BRACES = re.compile(r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_STRONG = re.compile(r"(?<![\w)}])\*\*([^*]+)\*\*(?![\w({])")
_SENTENCE = re.compile(
    r"(?:(?:therefore|thus|hence|so|finally|the|final|correct|answer|result|value|solution|is|are|that|which|equals|"
    r"we (?:get|have|obtain|find))[\s,:]+)+(?:\$([^$]+)\$|\\\((.+)\\\))\s*\.?",
    re.IGNORECASE,
)
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
_CHOICE = re.compile(
    r"(?:\\text\s*\{\s*)?\(?([A-J])(?:\)|\.(?=\s+[\d\\$-]))\s*(?:\}\s*)?(?=[\w\\$.-])(?!\\(?:cup|cap|times|cdot)\b)"
)
_NO_VALUE = re.compile(r"\([A-J]\)|\b(?:or|and|nor|not|no|maybe)\b|^\W*[A-J]\W*$|\?")

_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:(?:(?:,|\{,\})?\\[,!]|,|\{,\}|\\ |\s)\d{3})+(?![\d])")
_SEPARATOR = re.compile(r",|\{,\}|\\,|\\!|\\ |\s")
_DECIMAL = re.compile(r"[+-]?(?=\.?\d)(\d{0,40})(?:\.(\d{0,40}))?")
_FRACTION = re.compile(
    r"([+-]?)\s*(\d{1,20})??\s*(?:\\frac\s*\{\s*([+-]?\d{1,20})\s*\}\s*\{\s*(\d{1,20})\s*\}|(?<!\d)(\d{1,20})\s*/\s*(\d{1,20}))"
)
_RECURRING = re.compile(r"(\d{0,40})\.(\d{0,20})\\overline\s*\{\s*(\d{1,20})\s*\}")
_MIXED = re.compile(r"^(-?)(\d+) (\d+)/(\d+)$")
_MIN_DECIMALS, _MIN_DIGITS = 6, 4
"""A decimal with at least this many places and significant digits may be a rounded value (as in math-verify)."""

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_NUMBERS = {word: number for number, word in enumerate(_SMALL)} | {
    f"{ten}-{_SMALL[unit]}" if unit else ten: 10 * place + unit
    for place, ten in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
    for unit in range(10)
}
_SCALES = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PHRASES = {
    r"(?:set of )?all real numbers|all reals|real numbers": r"(-\infty,\infty)",
    r"no (?:real )?solutions?|empty set|null set": r"\emptyset",
    r"(?:one )?half": "1/2", r"one third": "1/3", r"two thirds": "2/3", r"one (?:quarter|fourth)": "1/4",
    r"three (?:quarters|fourths)": "3/4",
}  # fmt: skip
_FORMULA = re.compile(r"[\d=+*/^_<>|{}]|\\")
_FUNCTION = re.compile(r"(?:sin|cos|tan|log|exp|sqrt|pi)\b.*")
_NUMBER = re.compile(r"\s*[-+]?\s*[\d.]")
_PUNCTUATION = re.compile(r"[^\w\s,:+-]")
_ARTICLE = re.compile(r"^(?:there (?:is|are)\s+)?(?:(?:an?|the)\s+)?(?=\w)")
_OPTION = re.compile(r"(?:option|choice|answer) ([a-j])")

_SYNONYMS = {
    name: unit
    for unit, names in {
        "cm": "centimeter centimetre", "mm": "millimeter", "km": "kilometer kilometre", "m": "meter metre", "g": "gram",
        "in": "inch inche", "ft": "foot feet", "yd": "yard", "mi": "mile", "kg": "kilogram", "lb": "pound",
        "oz": "ounce", "l": "liter litre", "h": "hour hr", "min": "minute", "s": "second sec", "deg": "degree circ",
        "rad": "radian", "$": "dollar buck usd", "%": "percent", "square": "sq", "cubic": "cu", "am": "a.m",
        "pm": "p.m", "child": "children", "person": "people",
    }.items()
    for name in names.split()
}  # fmt: skip
"""Canonical units by their other names, in lower case and without the plural ending."""
_UNIT_WORD = (
    r"cm|mm|dm|km|nm|in|ft|yd|mi|kg|mg|oz|ml|mL|cal|kcal|mol|Hz|rad|USD|AM|PM|am|pm|[ap]\.m\.?|mph|kph|km/h|m/s|sq\.?|"
    r"cu\.?|square|cubic|per|of|each|times|roots|zeros|men|boys|cars|eggs|cats|dogs|hats|jobs|bags|cans|"
    rf"(?:{'|'.join(name for name in _SYNONYMS if name.isalpha() and len(name) > 2)}|"
    r"millimetre|decimeter|decimetre|deg|lb|min|day|week|month|year|cent|euro|ton|gallon|quart|cup|pint|unit|person|"
    r"student|way|joule|watt|volt|newton|solution|pen)s?"
)
_UNITS = (
    re.compile(r"\s*(\^\s*\\circ|\\?%)\s*$"),
    re.compile(r"(?<=[\d})!a-z])\s*((?:\\text\s*\{[^{}]*\}(?:\s*\^\s*\{?-?\d\}?)?[\s/]*)+)$"),
    re.compile(rf"(?<=[\d}})])\s*((?:(?:{_UNIT_WORD})(?![A-Za-z])(?:\^?\{{?[23]\}}?)?[\s/\-]*)+)\.?$"),
    re.compile(
        r"(?<=[\d})])\s+((?:[a-z]{2,}[ -]){0,2}[a-z]{3,}(?<!s)s"
        r"(?: of [a-z]{3,}| long| tall| wide| deep| old| each| left| total| altogether| away)?)\.?$"
    ),
)
"""A unit after a number: a sign, text, a known unit, or a plural with up to two words before it (`paper clips`)."""
_CURRENCY = re.compile(r"^(-?)\s*(?:\\\$|\$|\\text\{\s*\\?\$\s*\})\s*(?=[\d.])")
_NO_UNIT = re.compile(
    r"\b(?:and|or|nor|not|no|never|neither|false|wrong|incorrect|impossible|undefined|unless|except|if|but|than|less|"
    r"fewer|to|over|plus|minus|divided|multiplied|mod|modulo|base|root|choose|remainder|negative|point|squared|cubed|"
    r"factorials?|powers|pi|infinity|inf|sin|cos|tan|cot|sec|csc|log|exp|ln|sqrt|fails|denies|basis|through|percent of|"
    r"times|half|halves|quarters?|dozens?|tens|(?:hundred|thousand)(?:s|ths?)?|[mbtr]+illions?|lakhs|crores|quintals|"
    r"thirds?|eighths?|\w*[fnrtx](?:ie)?ths?)\b"
)
"""Words after a number that change its value."""
_SCALED = re.compile(
    rf"(?P<sign>[-+]?)(?P<currency>\\?\$)?\s*(?P<number>\d{{1,15}}(?:\.\d{{1,15}})?)\s*(?P<text>\\text\s*\{{\s*)?"
    rf"\b(?P<scale>{'|'.join(_SCALES)})\b(?P<rest>[^{{}}]*(?(text)\}}|)(?:\s*\^\s*\{{?\d\}}?)?)"
)


@dataclass(frozen=True, slots=True)
class NormalForm:
    """An answer in its normal form.

    Attributes:
        body: the mathematics, without unit, introductory phrase and final punctuation.
        unit: canonical, such as `cm^2`; empty if there is none.
        words: the answer in lower-case words if it is text, else empty.
        choice: the letter of an answer that starts with an option's letter, as in `(B) 5`; else empty.
    """

    body: str
    unit: str = ""
    words: str = ""
    choice: str = ""


def normalize(text: str) -> NormalForm:
    """The normal form of an answer that is not in a box any more."""
    text = _strip_phrases(_to_latex(text))
    if option := _CHOICE.match(text):
        rest = text[option.end() :].removesuffix("}" if text.count("}") > text.count("{") else "")
        if not _NO_VALUE.search(rest) and not (value := normalize(rest)).words:
            return replace(value, choice=option[1])
    whole = _TEXT.fullmatch(text)
    inner = whole[1].strip() if whole else text
    words = _words(inner, in_text=whole is not None)
    meaning = words and meaning_of(words)
    if words and not meaning:
        return NormalForm(text, words=words)
    text = _expand_scale(_RECURRING.sub(_recurring_fraction, meaning or inner))
    currency = "$" if _CURRENCY.match(text) else ""
    text, unit = _split_unit(_CURRENCY.sub(r"\1", text))
    text = _THOUSANDS.sub(_join_thousands, _TEXT.sub(r" \1 ", text))
    text = re.sub(r"\s+", " ", text).strip().rstrip(".,;: ")
    return NormalForm(_MIXED.sub(r"\1\2\\frac{\3}{\4}", text).strip(), unit or currency)


def rational(text: str) -> Fraction | None:
    """The value of an integer, decimal, fraction or mixed number; None for anything else."""
    text = text.strip()
    if _DECIMAL.fullmatch(text):
        return Fraction(text)
    if found := _FRACTION.fullmatch(text):
        top, bottom = int(found[3] or found[5]), int(found[4] or found[6])
        if bottom == 0 or found[2] and top < 0:
            return None
        value = int(found[2] or 0) + Fraction(top, bottom)
        return -value if found[1] == "-" else value
    return None


def rounds_to(decimal: str, value: Fraction) -> bool:
    """Whether a decimal with enough digits is the rounded value."""
    found = _DECIMAL.fullmatch(decimal.strip())
    places = found[2] or "" if found else ""
    if not found or len(places) < _MIN_DECIMALS or len((found[1] + places).lstrip("0")) < _MIN_DIGITS:
        return False
    return abs(Fraction(decimal.strip()) - value) * 2 * 10 ** len(places) <= 1


def meaning_of(words: str) -> str:
    """The mathematics that words such as `seven` or `no solution` stand for; empty for all others."""
    sign, number = ("-", words.split(" ", 1)[1]) if words.startswith(("negative ", "minus ")) else ("", words)
    if (joined := number.replace(" ", "-")) in _NUMBERS:
        return f"{sign}{_NUMBERS[joined]}"
    count, _, scale = words.rpartition(" ")
    if scale in _SCALES and (not count or count in _NUMBERS):
        return str(_NUMBERS.get(count, 1) * _SCALES[scale])
    return next((value for phrase, value in _PHRASES.items() if re.fullmatch(phrase, words)), "")


def _to_latex(text: str) -> str:
    """Unicode mathematics as LaTeX."""
    if text.isascii():
        return text
    text = text.translate(_UNICODE)
    text = _RAISED.sub(lambda found: f"^{{{_compatible(found[0])}}}", text)
    text = _LOWERED.sub(lambda found: f"_{{{_compatible(found[0])}}}", text)
    text = _VULGAR_FRACTION.sub(lambda found: "\\frac{{{}}}{{{}}}".format(*_compatible(found[0]).split("\u2044")), text)
    return _ROOT.sub(_root, text).replace("\u2044", "/")


def _root(found: re.Match[str]) -> str:
    command = f"\\sqrt{_ROOT_INDEX[found[1]]}"
    return f"{command}{{{found[2].removeprefix('(').removesuffix(')')}}}" if found[2] else command


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\u2212", "-")


def _strip_phrases(text: str) -> str:
    """The answer with LaTeX in one spelling and without dollar signs, Markdown and introductory phrases."""
    text = _STRONG.sub(r"\1", text).strip().strip("*`").strip()
    if sentence := _SENTENCE.fullmatch(text):
        text = sentence[1] or sentence[2]
    if text.count("$") - text.count("\\$") >= 2:
        text = re.sub(r"^\$+(.*?)\$+[\s.,;:]*$", r"\1", text, flags=re.DOTALL)
    text = text.removeprefix("\\(").removesuffix("\\)").removeprefix("\\[").removesuffix("\\]").strip()
    text = _THOUSANDS.sub(_join_thousands, text.strip("*").replace("**", "^"))
    text = _COMMAND.sub(lambda found: _COMMANDS.get(found[1], found[0]), text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.strip().rstrip(".,;: ")
    text = _TEXT.sub(lambda found: _PHRASE.sub("", found[1]) or " " if _PHRASE.match(found[1]) else found[0], text, 1)
    text = _LABEL.sub("", _PHRASE.sub("", text))
    previous = ""
    while previous != text:
        previous, text = text, _LEADING.sub("", text).strip()
        if whole := _BRACES.fullmatch(text):
            text = whole[1].strip()
    return text


def _join_thousands(found: re.Match[str]) -> str:
    """A number without thousands separators, unless plain commas inside brackets separate members."""
    before = found.string[: found.start()]
    inside = sum(map(before.count, "([")) > sum(map(before.count, ")]")) or "\\{" in before
    plain = re.search(r"(?<![{\\]),", found[0])
    return found[0] if plain and inside else _SEPARATOR.sub("", found[0])


def _recurring_fraction(found: re.Match[str]) -> str:
    """`0.1\\overline{6}` as a fraction."""
    whole, fixed, period = found[1] or "0", found[2], found[3]
    shift = 10 ** len(fixed)
    value = Fraction(int(whole + fixed), shift) + Fraction(int(period), (10 ** len(period) - 1) * shift)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _words(text: str, *, in_text: bool) -> str:
    """The lower-case words, without article, of an answer that is text; empty if it is mathematics.

    Args:
        in_text: the answer is the argument of `\\text`, where even one letter is a word.
    """
    if in_text and (_NUMBER.match(text) or not re.search(r"[A-Za-z]", text)):
        return ""
    if not in_text and (_FORMULA.search(text) or not re.search(r"[A-Za-z]{3,}", text) or _FUNCTION.fullmatch(text)):
        return ""
    found = " ".join(_PUNCTUATION.sub(" ", text.lower()).strip(" .,;:").split())
    option = _OPTION.fullmatch(found)
    return option[1] if option else _ARTICLE.sub("", found)


def _expand_scale(text: str) -> str:
    """`5 million dollars` as `5000000 dollars`; other texts unchanged."""
    found = _SCALED.fullmatch(text)
    if not found:
        return text
    number = Fraction(found["number"]) * _SCALES[found["scale"]]
    rest = found["rest"].strip()
    unit = f" \\text{{{rest}" if found["text"] and rest != "}" else "" if found["text"] else f" {rest}"
    return f"{found['sign']}{found['currency'] or ''}{number}{unit}".strip()


def _split_unit(text: str) -> tuple[str, str]:
    """The text before its unit, and the canonical unit; empty if there is none."""
    for pattern in _UNITS:
        found = pattern.search(text)
        if found and _is_unit(found[1]):
            return text[: found.start()], _canonical_unit(found[1])
    return text, ""


def _is_unit(text: str) -> bool:
    """Whether words after a number leave its value unchanged."""
    if _NUMBERS.keys() & set(re.split(r"[^a-z]+", text)):
        return False
    return not _NO_UNIT.search(text) or text.strip(" {}\\") in ("times", "text{ times")


def _canonical_unit(text: str) -> str:
    """`square centimeters` and `cm^2` as `cm^2`."""
    flat = re.sub(r"[{}\\]|\btext\b", " ", text.replace("\\text", " ")).lower().replace("^", " ^").replace("^ ", "^")
    power, names = "", []
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
