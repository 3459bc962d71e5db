"""Answers in words: numbers, the empty set, the real line, a choice, and words that are the answer themselves."""

from __future__ import annotations

import re

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
NUMBERS = {word: number for number, word in enumerate(_SMALL)} | {
    f"{ten}-{_SMALL[unit]}" if unit else ten: 10 * place + unit
    for place, ten in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
    for unit in range(10)
}
SCALES = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_MEANINGS = (
    {word: str(number) for word, number in NUMBERS.items()}
    | dict.fromkeys(["all real numbers", "all reals", "real numbers", "set of all real numbers"], r"(-\infty,\infty)")
    | {"half": "1/2", "one half": "1/2", "one third": "1/3", "two thirds": "2/3", "one quarter": "1/4"}
    | {"one fourth": "1/4", "three quarters": "3/4", "three fourths": "3/4"}
    | dict.fromkeys(["no solution", "no solutions", "no real solution", "no real solutions"], r"\emptyset")
    | dict.fromkeys(["empty set", "null set"], r"\emptyset")
)
_FORMULA = re.compile(r"[\d=+*/^_<>|{}]")
_FUNCTION = re.compile(r"(?:sin|cos|tan|log|exp|sqrt|pi)\b.*")
_NUMBER = re.compile(r"\s*[-+]?\s*[\d.]")
_PUNCTUATION = re.compile(r"[^\w\s,:+-]")
_ARTICLE = re.compile(r"^(?:there (?:is|are)\s+)?(?:(?:an?|the)\s+)?(?=\w)")
_CHOICE = re.compile(r"(?:option|choice|answer) ([a-j])")


def words_of(text: str, *, in_text: bool) -> str:
    """Lower-case words, without an article, of an answer that is text and no mathematics; empty otherwise.

    Args:
        in_text: the answer stood in `\\text{}`, so that one letter is a word too.
    """
    if in_text:
        if _NUMBER.match(text) or not re.search(r"[A-Za-z]", text):
            return ""
    elif "\\" in text or _FORMULA.search(text) or not re.search(r"[A-Za-z]{3,}", text) or _FUNCTION.fullmatch(text):
        return ""
    found = " ".join(_PUNCTUATION.sub(" ", text.lower()).strip(" .,;:").split())
    choice = _CHOICE.fullmatch(found)
    return choice[1] if choice else _ARTICLE.sub("", found)


def meaning(words: str) -> str:
    """The mathematics that words stand for, `seven`, `no solution`; empty for all others."""
    sign, number = ("-", words.split(" ", 1)[1]) if words.startswith(("negative ", "minus ")) else ("", words)
    if (joined := number.replace(" ", "-")) in NUMBERS:
        return f"{sign}{NUMBERS[joined]}"
    count, _, scale = words.rpartition(" ")
    if scale in SCALES and (not count or count in NUMBERS):
        return str(NUMBERS.get(count, 1) * SCALES[scale])
    return _MEANINGS.get(words, "")
