"""Grades a multiple-choice answer: one letter, said strictly, never the last capital of a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from warmup_rl.types import Grade

_DRESS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|textsf|mathsf|rm|bf)\s*(?=\{)|</?[a-z]{1,6}>|[*_`$\"]")
_NAMED = r"(?i:(?:option|choice|answer)\s*)?"
_LETTER = r"[\s({\[]*([A-Za-z])[\s)}\]]*"
_BARE = re.compile(rf"\W*{_NAMED}\W*([A-Za-z])\W*", re.IGNORECASE)
_SAID = re.compile(
    r"\banswer\s*(?:is|:)?\s*(?:(?:option|choice)\s*)?:?[\s'({\[]*(?:\\boxed\s*\{+)?[\s({]*"
    r"(?:(?-i:([A-Z]))(?![A-Za-z'])|(?-i:([a-z]))(?=[\s'\])}.]*$))",
    re.IGNORECASE,
)
_ANOTHER = re.compile(rf"[\s)\].}}]*(?:,|/|\bor\b|\band\b)[\s(\[{{]*{_NAMED}([A-Z])(?![A-Za-z'])")
_BOXED = re.compile(rf"\\boxed\s*\{{[\s{{]*{_NAMED}{_LETTER}(?:[.:)]\s*[^{{}}]*)?\}}", re.IGNORECASE)
_LISTED = re.compile(
    rf"{_NAMED}(?:[({{\[]+\s*([A-Z])\s*[)}}\]]+[.:]?|([A-Z])\s*(?:[.):=]|\s-(?=\s)))\s*(\S.*)"
    rf"|{_NAMED}([A-Z])\s*\((.+)\)\.?",
    re.DOTALL,
)
_OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s+(.*\S)\s*$", re.MULTILINE)


def choose(*, gold: str, answer: str, letters: str, question: str = "") -> Grade:
    """Grades `answer` against the letter `gold`.

    A letter counts when it is boxed, follows "answer is" or "answer:", stands alone, or opens the answer as in
    `B. south` or `B (south)`. Two different letters said in the same way are wrong; so is a letter that is no option,
    and one that stands before the text of another option.

    Args:
        letters: the letters of the options, e.g. `ABCD`.
        question: with a line such as `B. south` for each option, where their texts are to be compared.
    """
    text = _DRESS.sub("", unicodedata.normalize("NFKC", answer)).strip()
    said, wording = [found.upper() for found in _BOXED.findall(text)] or list(_said(text)), ""
    if not said and (match := _BARE.fullmatch(text)):
        said = [match[1].upper()]
    elif not said and (match := _LISTED.fullmatch(text)):
        said, wording = [match[1] or match[2] or match[4]], match[3] or match[5]
    if not said:
        return Grade("none", None, "no option letter")
    if len(set(said)) > 1:
        return Grade("wrong", ", ".join(dict.fromkeys(said)), "more than one letter")
    letter = said[-1]
    if letter not in letters:
        return Grade("wrong", letter, f"not one of {', '.join(letters)}")
    if wording and (meant := _letters_of(wording, question)) and letter not in meant:
        return Grade("wrong", letter, f"the letter {letter} before the text of {', '.join(meant)}")
    return Grade("correct" if letter == gold else "wrong", letter)


def _said(text: str) -> Iterator[str]:
    """Letters after "answer is", with those that are offered beside them, as in `answer is A or B`."""
    for match in _SAID.finditer(text):
        yield (match[1] or match[2]).upper()
        if another := _ANOTHER.match(text, match.end()):
            yield another[1]


def _letters_of(wording: str, question: str) -> list[str]:
    """The options of a question that have exactly this text."""
    return [letter for letter, text in _OPTION.findall(_DRESS.sub("", question)) if _plain(text) == _plain(wording)]


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .,;:()")
