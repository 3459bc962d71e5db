"""Grades a multiple-choice answer: the letter must be stated as the answer, not just be the last capital of a text."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Iterator

from warmup_rl.base.types import Grade

_MARKUP = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|textsf|mathsf|rm|bf)\s*(?=\{)|</?[a-z]{1,6}>|[*_`$\"]")
_NAMED = r"(?i:(?:option|choice|answer)\s*)?"
_EDGE = r"[\s({\[\])}.,:;'!-]*"
_BARE = re.compile(rf"{_EDGE}{_NAMED}{_EDGE}([A-Za-z]){_EDGE}")
_STATED = re.compile(
    r"\b(?i:answer\s*(?:is|must be|should be|would be|:)?|(?:option|choice)\s*(?:is|:))\s*(?i:(?:option|choice)\s*)?:?"
    r"[\s'({\[-]*(?:\\boxed\s*\{+)?[\s({]*(?:([A-Z])(?![A-Za-z0-9'+?])|([a-z])(?=[\s'\])}.]*$))"
)
_CALLED_RIGHT = re.compile(
    rf"(?i:(?:so|therefore|thus|hence|i choose|it is|it's)[\s,:]+)?{_NAMED}\(?([A-Z])\)?\s+is\s+"
    r"(?i:correct|right|the (?:correct |right )?(?:answer|option|choice))\W*"
    r"|(?i:so|therefore|thus|hence|i choose|it is|it's)[\s,:]+\(?([A-Z])\)?[\s.]*"
)
_ANOTHER = re.compile(
    r"[\s)\]}]*(?:(?:[,;/|&+-]|\((?=or\b)|\.\s*(?=(?i:actually|wait|no)\b)|"
    r"\b(?i:or|and|to|if|unless|maybe|perhaps|not|but|x|else|it|is|which|option|choice|actually|wait|no)\b)[\s(\[{,]*)*"
    r"[\s(\[{]*([A-Z])(?![A-Za-z'])"
)
_ARTICLE = re.compile(r"\s+(?!(?:is|because|since|as|or|and|with|which|if|unless|to)\b)[a-z]")
_NEGATED = re.compile(r"(?i:\b(?:not|false|doubt|nobody|never|if|whether|wrong|unlikely|is the)\b|n't)[^.\n]*$")
_REJECTED = re.compile(r"[\s')\]}]*\b(?:is|was)\s+(?:wrong|false|incorrect|not)\b")
_BOXED = re.compile(rf"\\boxed\s*\{{[\s{{(\[]*{_NAMED}[\s{{(\[]*([A-Za-z])[\s)}}\]]*(?:[.:)]\s*([^{{}}]*))?[\s}})]*\}}")
_LISTED = re.compile(
    rf"{_NAMED}(?:[({{\[]+\s*([A-Z])\s*[)}}\]]+[.:]?|([A-Z])\s*(?:[.):=]|\s-(?=\s)))\s*(\S.*)"
    rf"|{_NAMED}([A-Z])\s*\((.+)\)\.?",
    re.DOTALL,
)
_TEXT_AFTER = re.compile(r"[\s)\]}]*[.:)(-]?\s*\(?([^\n]+?)\)?(?:\.\s|\.?$|\n)")
_FURTHER = re.compile(r"[,;]\s*\(?([A-Z])[).]\s")
_LINES = re.compile(r"^\s*\(?([A-Z])[.)]\s", re.MULTILINE)
_OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s+(.*\S)\s*$", re.MULTILINE)


def choose(*, gold: str, answer: str, letters: str, question: str = "") -> Grade:
    """Grades `answer` against the letter `gold`.

    A letter counts if it is boxed, follows "answer is" or "answer:", stands alone, or starts the answer, as in
    `B. south` or `B (south)`. Two different letters stated in the same way are wrong; so are a letter that is not an
    option, and a letter before the text of another option. Negated and hypothetical statements do not count.

    Args:
        letters: the letters of the options, e.g. `ABCD`.
        question: contains a line such as `B. south` for each option, if their texts are to be compared.
    """
    text = _MARKUP.sub("", unicodedata.normalize("NFKC", answer)).strip()
    stated = list(_boxed(text)) or list(_stated(text)) or list(_alone(text))
    if not stated:
        return Grade("none", None, "no option letter")
    letters_stated = list(dict.fromkeys(letter for letter, _ in stated))
    if len(letters_stated) > 1:
        return Grade("wrong", ", ".join(letters_stated), "more than one letter")
    letter = letters_stated[0]
    if letter not in letters:
        return Grade("wrong", letter, f"not one of {', '.join(letters)}")
    for _, wording in stated:
        if wording and (options := _options_with_text(wording, question)) and letter not in options:
            return Grade("wrong", letter, f"the letter {letter} before the text of {', '.join(options)}")
    return Grade("correct" if letter == gold else "wrong", letter)


def final_choice(text: str) -> str:
    """The part of a text that states its choice: all of it where a letter is boxed or called the answer, else the last
    line."""
    plain = _MARKUP.sub("", unicodedata.normalize("NFKC", text)).strip()
    if not plain or next(_boxed(plain), None) or next(_stated(plain), None):
        return text
    return plain.splitlines()[-1]


def with_options(question: str, options: Iterable[str]) -> str:
    """The question, followed by a line such as `B. south` for each option."""
    lines = (f"{letter}. {option}" for letter, option in zip(string.ascii_uppercase, options, strict=False))
    return "\n".join([question, *lines])


def _boxed(text: str) -> Iterator[tuple[str, str]]:
    """Letters in boxes, each with the text after it."""
    return ((letter.upper(), wording) for letter, wording in _BOXED.findall(text))


def _stated(text: str) -> Iterator[tuple[str, str]]:
    """Letters after "answer is", and further letters after them, as in `answer is A or B`."""
    for match in _STATED.finditer(text):
        letter = (match[1] or match[2]).upper()
        is_article = letter in "AI" and _ARTICLE.match(text, match.end())
        if is_article or _NEGATED.search(text[: match.start()]) or _REJECTED.match(text, match.end()):
            continue
        wording = _TEXT_AFTER.match(text, match.end())
        yield letter, wording[1] if wording else ""
        rest = text[match.end() :]
        for other in (*_FURTHER.findall(rest.partition("\n")[0]), *_LINES.findall(rest)):
            yield other, ""
        if another := _ANOTHER.match(text, match.end()):
            yield another[1], ""


def _alone(text: str) -> Iterator[tuple[str, str]]:
    """The letter if it is the whole text, starts it before words, or is called right."""
    if match := _BARE.fullmatch(text):
        yield match[1].upper(), ""
    elif match := _LISTED.fullmatch(text):
        letter, wording = match[1] or match[2] or match[4], match[3] or match[5]
        yield letter, wording.splitlines()[0]
        for other in re.findall(r"(?:^|[\s(])\(?([A-Z])[).](?=\s|$)", wording):
            yield other, ""
    elif match := _CALLED_RIGHT.fullmatch(text):
        yield match[1] or match[2], ""


def _options_with_text(wording: str, question: str) -> list[str]:
    """The letters of a question's options that have exactly this text."""
    return [letter for letter, text in _OPTION.findall(_MARKUP.sub("", question)) if _plain(text) == _plain(wording)]


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .,;:()")
