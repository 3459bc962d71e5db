"""Words in a mathematical answer: phrases before it, its unit, numbers in words, and answers that are words."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from warmup_rl.grading.math_tokens import FUNCTIONS, Token, Tokens, closings, spelled, tokenize

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
NUMBERS = {word: number for number, word in enumerate(_SMALL)} | {
    f"{ten}-{_SMALL[unit]}" if unit else ten: 10 * place + unit
    for place, ten in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
    for unit in range(10)
}
_SCALES = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PHRASES = {
    r"(?:set of )?all real numbers|all reals|real numbers": r"\mathbb{R}",
    r"no (?:real )?solutions?|empty set|null set": r"\emptyset",
    r"(?:positive )?infinity": r"\infty", r"(?:negative|minus) infinity": r"-\infty",
    r"(?:one )?half": "1/2", r"one third": "1/3", r"two thirds": "2/3", r"one (?:quarter|fourth)": "1/4",
    r"three (?:quarters|fourths)": "3/4",
}  # fmt: skip
_LEAD = frozenset(
    "so thus hence therefore finally the final correct answer answers result results value values solution solutions "
    "is are equals that which we get have obtain find of it our ie".split()
)
"""Words that may stand before an answer."""
_NOUNS = {"answer", "result", "value", "solution"}
_LABELS = frozenset("point points pair pairs ordered interval set vector matrix".split())
"""Words that may stand before an answer in brackets."""
_QUALIFIERS = frozenset(
    "for where with all any every each real integer integers positive negative nonnegative natural number numbers "
    "values value of in and is are an a constant arbitrary".split()
)
"""Words behind an answer that say for which values of its names it holds."""
_MODULO = ("\\pmod", "\\bmod", "\\mod", "\\pod", "mod")
_STRONG = re.compile(r"(?<![\w)}])\*\*([^*]+)\*\*(?![\w({])")
_ENDS = frozenset([".", ",", ";", ":", "\\\\", "`", '"', "\\to"])
_LEADING = frozenset(["=", ":", "\\approx", "\\to", ","])
_WORDS = frozenset([",", "'", ".", "-", ":", "(", ")", ";", '"', "!"])
"""Marks in an answer that is text."""
_ARTICLE = re.compile(r"^(?:there (?:is|are)\s+)?(?:(?:an?|the)\s+)?(?=\w)")
_OPTION = re.compile(r"(?:option|choice|answer) \(?([a-j])\)?")

_BASES = {
    "m": "meter metre", "g": "gram gramme", "l": "liter litre", "s": "second sec", "h": "hour hr", "min": "minute",
    "in": "inch inche", "ft": "foot feet", "yd": "yard", "mi": "mile", "lb": "pound", "oz": "ounce", "gal": "gallon",
    "yr": "year", "d": "day", "wk": "week", "mo": "month", "deg": "degree circ", "rad": "radian",
    "$": "dollar buck usd", "\u20ac": "euro", "\u00a3": "gbp", "\u00a5": "yen", "%": "percent pct percentage",
    "cal": "calorie", "mol": "mole", "hz": "hertz", "n": "newton", "j": "joule", "w": "watt", "v": "volt",
    "a": "ampere amp", "k": "kelvin", "am": "a.m", "pm": "p.m", "child": "children",
    "person": "people", "cent": "", "qt": "quart", "pt": "pint", "t": "tonne",
}  # fmt: skip
_PREFIXES = {"k": "kilo", "c": "centi", "m": "milli", "d": "deci", "n": "nano", "u": "micro", "M": "mega", "G": "giga"}
_METRIC = ("m", "g", "l", "s", "cal", "mol", "hz", "n", "j", "w", "v", "a")
_UNITS = {name: base for base, others in _BASES.items() for name in (base, *others.split())} | {
    name: f"{prefix}{base}"
    for prefix, spoken in _PREFIXES.items()
    for base in _METRIC
    for name in (f"{prefix}{base}", *(f"{spoken}{other}" for other in _BASES[base].split()))
}
"""Canonical units by their names, in lower case (but for the prefixes M and G) and without the plural ending."""
_ASKED = re.compile(r"\b(?:in|how many)(?: square| cubic)? ([a-z]{3,})\b", re.IGNORECASE)
_CURRENCIES = {"\\$": "$", "\u20ac": "\u20ac", "\u00a3": "\u00a3", "\u00a5": "\u00a5"}
_COMPOUND = {"mph": ["mi", "/h"], "kph": ["km", "/h"], "kmh": ["km", "/h"]}
_COUNTED = frozenset("unit of each altogether total square sq cubic cu per way squared cubed".split())
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3", "squared": "^2", "cubed": "^3"}
_UNIT_PART = re.compile(
    r"(/|\b(?:per|a|p)\b)|\b(square|sq|cubic|cu)\b|\b(squared|cubed)\b|\^(-?\d+)|([^\W\d_]+|''|[%'$\u20ac\u00a3\u00a5])",
    re.IGNORECASE,
)
_WHOLE_UNITS = {"''": "in", "'": "ft", "a m": "am", "p m": "pm", "circ": "deg"}
_NO_UNIT = re.compile(
    r"\b(?:and|or|nor|not|no|never|neither|false|wrong|incorrect|impossible|undefined|unless|except|if|but|than|less|"
    r"fewer|to|over|plus|minus|divided|multiplied|mod|modulo|base|root|choose|remainder|negative|point|squared|cubed|"
    r"factorials?|powers|pi|infinity|inf|fails|denies|basis|through|percent of|times .*|"
    r"half|halves|quarters?|dozens?|tens|(?:hundred|thousand)(?:s|ths?)?|[mbtr]+illions?|lakhs|crores|quintals|"
    r"thirds?|eighths?|\w*[fnrtx](?:ie)?ths?)\b"
)
"""Words after a number that change its value."""
_PLURAL = re.compile(
    r"(?:[a-z]{2,}[ -]){0,2}[a-z]{3,}(?<!s)s(?: of [a-z]{3,}| long| tall| wide| deep| old| each| left| total| "
    r"altogether| away)?\.?|(?:men|boys|cars|eggs|cats|dogs|hats|jobs|bags|cans)"
)
_TAIL = re.compile(
    r"(?:\^?\{?o\}?[wv]?|%|\$|'{1,2})\.?$"
    r"|(?<=[nvx)}\]!])(?:w\.?+(?:\^\{?-?n\}?)?[/.-]?)+(?:(?<=[/.])v)?(?:\^\{?-?n\}?)?$"
    r"|(?<=n)v/v(?:\^\{?n\}?)?$"
)
"""A unit in the classes of tokens (see `_classes`)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in parts.

    Attributes:
        tokens: the mathematics, without unit, introductory phrase and final punctuation.
        unit: canonical, such as `cm^2`; empty if there is none.
        words: the answer in lower-case words if it is text, else empty.
    """

    tokens: Tokens
    unit: str = ""
    words: str = ""

    @property
    def text(self) -> str:
        return spelled(self.tokens)


def read_answer(text: str) -> Answer:
    """The parts of an answer that is not in a box any more."""
    text = _STRONG.sub(r"\1", text.strip()).strip(" *`_\n")
    return split_answer(tokenize(text))


def split_answer(tokens: Tokens) -> Answer:
    """The parts of an answer in tokens."""
    tokens = _without_phrases(tokens)
    if words := _words(tokens):
        if not (meaning := meaning_of(words)):
            return Answer(tokens, words=words)
        tokens = tokenize(meaning)
    if tokens and tokens[0].text in ("negative", "minus"):
        tokens = [Token("mark", "-"), *tokens[1:]]
    tokens, currency = _scaled(_without_ordinals(_without_qualifier(tokens)))
    tokens, unit = _split_modulus(tokens) or _split_unit(tokens)
    return Answer(_trimmed(tokens), unit or currency)


def meaning_of(words: str) -> str:
    """The mathematics that words such as `seven` or `no solution` stand for; empty for all others."""
    sign, number = ("-", words.split(" ", 1)[1]) if words.startswith(("negative ", "minus ")) else ("", words)
    if (spoken := _spoken(number)) is not None:
        return f"{sign}{spoken}"
    spaced = words.replace("-", " ")
    return next((value for phrase, value in _PHRASES.items() if re.fullmatch(phrase, spaced)), "")


def _spoken(words: str) -> int | None:
    """The value of `seven`, `two dozen` or `one thousand two hundred and five`; None if it is no number."""
    for name, scale in reversed(_SCALES.items()):
        count, found, rest = f" {words}".partition(f" {name}")
        if found:
            times = _spoken(count.strip()) if count else 1
            more = _spoken(rest.strip(" ,").removeprefix("and ")) if rest else 0
            fits = times and more is not None and more < scale and (times < 100 or scale > 100)
            return times * scale + more if times and more is not None and fits else None
    return NUMBERS.get(words.replace(" ", "-"))


def changes_value(words: str) -> bool:
    """Whether one of these words changes the value that it stands beside, or says that it is another one; `or` before
    the same value does not."""
    return bool(_NO_UNIT.search(words.lower().removeprefix("or")))


def in_words(tokens: Tokens) -> bool:
    """Whether a remark is words alone, none of which changes a value, such as `in total`."""
    text = " ".join(token.text.lower() for token in tokens if token.kind == "word")
    plain = all(token.kind == "word" or token.text in (",", "-", "'") for token in tokens)
    return plain and max(map(len, text.split()), default=0) > 3 and not _NO_UNIT.search(text) and not _number_in(text)


def with_letters_as_unit(answer: Answer, unit: str) -> Answer:
    """An answer with letters at its end, as in `5 m` and `9 m s^{-2}`, as the unit if that of the other is the same."""
    tokens = answer.tokens if unit and not answer.unit else []
    starts = [place for place, token in enumerate(tokens) if place and token.kind != "number" and token.spaced]
    same = (place for place in starts if unit == _canonical_unit(tokens[place:]))
    return Answer(tokens[:start], unit) if (start := next(same, 0)) else answer


def without_unit(text: str, names: Collection[str]) -> str:
    """A text without one of these units at its end, which must follow a digit or a bracket."""
    text = text.strip().rstrip(". ")
    closed = text.removesuffix("}").rstrip() if "\\text" in text else text
    for name in sorted(names, key=len, reverse=True):
        if closed.endswith(name):
            rest = closed.removesuffix(name).rstrip(" ~")
            rest = rest.removesuffix("\\text{").rstrip(" ~\\,") if closed != text else rest
            if rest[-1:].isdigit() or rest[-1:] in (".", ")", "}"):
                return rest
    return text


def another_unit(unit: str, question: str) -> bool:
    """Whether a question asks in its last sentence for other units than this one, as in `how many hours`."""
    last = re.split(r"[.?!]\s", question.strip())[-1]
    asked = {known for word in _ASKED.findall(last) if (known := _unit(word))}
    return bool(asked) and (base := unit.partition("^")[0]) in _UNITS.values() and base not in asked


def _trimmed(tokens: Tokens) -> Tokens:
    """Without punctuation around, and without braces around all."""
    start, end = 0, len(tokens)
    ends = closings(tokens) if any(token.text == "{" for token in tokens) else {}
    while True:
        while start < end and tokens[start].text in _LEADING:
            start += 1
        while start < end and tokens[end - 1].text in _ENDS:
            end -= 1
        if end - start < 3 or tokens[start].text != "{" or ends.get(start) != end - 1:
            return tokens[start:end]
        start, end = start + 1, end - 1


def _without_phrases(tokens: Tokens) -> Tokens:
    """Without `the answer is`, `Area:` and the like."""
    tokens = _trimmed(tokens)
    place = 0
    for before, token in zip([None, *tokens], tokens, strict=False):
        lead = token.kind == "word" and token.text.lower() in _LEAD
        subject = before is not None and (token.text in (",", ":", "=") or before.text == "of" and token.kind == "name")
        if not lead and not subject:
            break
        place += 1
    labels = place
    while labels < len(tokens) and tokens[labels].text.lower() in _LABELS:
        labels += 1
    if labels < len(tokens) and tokens[labels].text in ("(", "[", "\\{", "\\begin"):
        place = labels
    words = next((n for n, token in enumerate(tokens) if token.kind != "word"), 0)
    if 0 < words <= 4 and tokens[words].text == ":" and tokens[0].text[0].isupper() and words + 1 < len(tokens):
        place = max(place, words + 1)
    end = len(tokens)
    while end > place + 1 and tokens[end - 1].text.lower() in _LEAD and tokens[end - 1].kind == "word":
        end -= 1
    if tokens[end:] and tokens[end].text not in ("is", "are") or not {token.text for token in tokens[end:]} & _NOUNS:
        end = len(tokens)
    return _trimmed(tokens[place:end]) if place < end and (place or end < len(tokens)) else tokens


def _words(tokens: Tokens) -> str:
    """The lower-case words, without article, of an answer that is text; empty if it is mathematics."""
    if not tokens or tokens[0].kind == "number" or not any(token.kind in ("word", "name") for token in tokens):
        return ""
    upright = all(token.upright or token.kind == "mark" for token in tokens)
    if not upright and not any(token.kind == "word" and len(token.text) > 2 for token in tokens):
        return ""
    for token in tokens:
        letter = token.kind in ("word", "name") and token.text[0] != "\\"
        if not (letter or token.text in _WORDS or upright and token.kind == "number"):
            return ""
    parts = (f" {token.text}" if token.spaced or token.kind != "mark" else token.text for token in tokens)
    joined = "".join(parts).replace("- ", "-")
    found = " ".join(re.sub(r"[^\w\s,:+-]", " ", joined.lower()).strip(" .,;:").split())
    option = _OPTION.fullmatch(found)
    return option[1] if option else _ARTICLE.sub("", found)


def _without_qualifier(tokens: Tokens) -> Tokens:
    """Without `for all integers n` or `where x>0` at the end."""
    for place, token in enumerate(tokens[1:], start=1):
        if token.kind == "word" and token.text in ("for", "where", "with"):
            tail = tokens[place:]
            known = all(one.kind != "word" or one.text.lower() in _QUALIFIERS for one in tail)
            relation = any(one.text in ("<", ">", "\\le", "\\ge", "\\ne", "\\in") for one in tail)
            single = sum(one.kind == "name" for one in tail) and "," not in [one.text for one in tail]
            numbers = any(one.kind == "number" for one in tail) and not relation
            return _trimmed(tokens[:place]) if known and single and not numbers else tokens
    return tokens


def _without_ordinals(tokens: Tokens) -> Tokens:
    """`12^{\\text{th}}` and `3rd` as the numbers 12 and 3, where the ending is the right one."""
    texts = [token.text for token in tokens]
    if len(texts) < 2 or not texts[0].isdecimal():
        return tokens
    number = int(texts[0][-2:])
    ending = "th" if number // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    for written in ([ending], ["^", ending], ["^", "{", ending, "}"]):
        if texts[1 : 1 + len(written)] == written and not (tokens[1].spaced and len(written) == 1):
            return [tokens[0], *tokens[1 + len(written) :]]
    return tokens


def _scaled(tokens: Tokens) -> tuple[Tokens, str]:
    """`5 million dollars` as `5000000 dollars`, and the sign of a currency before the number."""
    sign = list(tokens[:1]) if tokens and tokens[0].text in ("-", "+") else []
    rest = tokens[len(sign) :]
    currency = _CURRENCIES.get(rest[0].text, "") if len(rest) > 1 else ""
    rest = [token for token in rest if token.text != rest[0].text] if currency else rest
    if not rest:
        return tokens, ""
    if not sign and currency and rest[0].text == "-":
        sign, rest = [rest[0]], rest[1:]
    scale = _SCALES.get(rest[1].text) if len(rest) > 1 and rest[0].kind == "number" else None
    if scale:
        number = Fraction(rest[0].text) * scale
        text = str(number.numerator) if number.denominator == 1 else str(float(number))
        rest = [Token("number", text), *rest[2:]]
    return [*sign, *rest], currency


def _split_modulus(tokens: Tokens) -> tuple[Tokens, str] | None:
    """`3 \\pmod 7` and `3 (mod 7)` as 3 with the modulus as its unit, `mod 7`; so `3 mod 7`, but not `10 mod 7`, which
    is not worked out."""
    texts = [token.text for token in tokens if token.text not in ("(", ")", "{", "}")]
    if len(texts) < 3 or texts[-2] not in _MODULO or not texts[-1].isdecimal() or int(texts[-1]) < 1:
        return None
    start = next(place for place, token in enumerate(tokens) if token.text in _MODULO)
    bracket = tokens[start - 1].text == "("
    before, modulus = tokens[start - 1 - bracket], int(texts[-1])
    reduced = before.kind == "number" and Fraction(before.text) < modulus
    return (tokens[: start - bracket], f"mod {modulus}") if bracket or texts[-2][:2] == "\\p" or reduced else None


def _classes(tokens: Tokens) -> str:
    """A character for each token: number, word (and upright name), other name, degree sign, mark or `x`."""
    kinds = {"number": "n", "word": "w", "name": "v", "command": "x"}
    found = []
    for token in tokens:
        if token.kind == "mark":
            mark = {"\\circ": "o", "*": ".", **dict.fromkeys(_CURRENCIES, "$")}.get(token.text, token.text)
            found.append(mark if mark in "^/-.'%{}()]!o$" else "x")
        else:
            unit = token.upright and token.kind == "name" and token.text not in ("e", "i")
            found.append("w" if unit else kinds[token.kind])
    return "".join(found)


def _split_unit(tokens: Tokens) -> tuple[Tokens, str]:
    """The tokens before the unit, and the canonical unit; empty if there is none."""
    found = _TAIL.search(_classes(tokens))
    if not found or found.start() == 0:
        return tokens, ""
    if tokens[-1].text in ("\\circ", "}") and any(token.text[1:] in FUNCTIONS for token in tokens):
        return tokens, ""  # the angle of a function
    tail = tokens[found.start() :]
    if not _is_unit(tail):
        return tokens, ""
    return tokens[: found.start()], _canonical_unit(tail)


def _is_unit(tail: Tokens) -> bool:
    """Whether what follows a number leaves its value unchanged."""
    words = [token.text.rstrip(".") for token in tail if token.kind in ("word", "name")]
    text = " ".join(words)
    if "\\circ" in [token.text for token in tail]:
        return text in ("", "C", "F")
    text = re.sub(r"(?<=\w) (?:squared|cubed)\b", "", text)
    if _number_in(text) or _NO_UNIT.search(text) and text != "times":
        return False
    if all(token.upright or token.kind in ("mark", "number") for token in tail):
        return True
    if {"/", "*"} & {token.text for token in tail}:  # 5 m/s
        return (tail[0].spaced or len(words[0]) > 1) and all(_unit(word) or _known(word) for word in words)
    plural = bool(_PLURAL.fullmatch(text)) and (tail[0].spaced or len(words) == 1)
    return plural or all(map(_known, words))


def _number_in(text: str) -> bool:
    return bool(NUMBERS.keys() & set(re.split(r"[^a-z]+", text.lower())))


def _known(word: str) -> bool:
    return _unit(word) is not None and len(word) > 1 or word.removesuffix("s") in _COUNTED


def _unit(word: str) -> str | None:
    """The canonical unit with this name; None if it is not known."""
    for name in (word, word.lower(), word.lower().removesuffix("s"), word.lower().removesuffix("es")):
        if name in _COMPOUND:
            return name
        if name in _UNITS:
            return _UNITS[name]
    return None


def _canonical_unit(tail: Tokens) -> str:
    """`square centimeters` and `cm^2` as `cm^2`; `miles per hour` and `mph` as `/h mi`."""
    factors: list[str] = []
    power, below = "", ""
    for over, before, after, exponent, word in _UNIT_PART.findall(re.sub(r"[{}.]", "", spelled(tail))):
        if over and (factors or over == "p"):
            below = "/"
        elif before or over:
            power = _POWERS.get(before.lower(), "")
        elif factors and (after or exponent):
            over = "/" if exponent.startswith("-") else ""
            factors[-1] = over + factors[-1] + (f"^{exponent.lstrip('-')}" if exponent else _POWERS[after.lower()])
            factors[-1] = factors[-1].removesuffix("^1") if over else factors[-1]
        elif word and word.lower().removesuffix("s") not in _COUNTED:
            name = word.lower()
            unit = _unit(word) or (name.removesuffix("s") if len(name) > 3 else name)
            factors += [f"{below}{part}{power}" for part in _COMPOUND.get(unit, [unit])]
            power = ""
    text = " ".join(sorted(factors))
    return _WHOLE_UNITS.get(text, text)
