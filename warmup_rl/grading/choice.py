"""Grades a multiple-choice answer: one letter, said strictly, never the last capital of a text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from warmup_rl.types import Grade

_BARE = re.compile(r"\W*(?:option\s+)?\W*([A-Za-z])\W*")
_SAID = re.compile(r"[Aa]nswer\s*(?:is|:)?\s*(?:option\s*)?[\s\"'*(\[$]*(?:\\boxed\{|\\text\{)*([A-Z])(?![A-Za-z])")
_ANOTHER = re.compile(r"[\s)\]*.}]*(?:,|/|\bor\b|\band\b)[\s(\[*]*(?:option\s+)?([A-Z])(?![A-Za-z'])")
_BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?\s*\(?([A-Za-z])\)?\s*\}")
_LISTED = re.compile(r"([A-Z])\s*[.):=]\s*\S.*", re.DOTALL)


def choose(*, gold: str, answer: str, letters: str) -> Grade:
    """Grades `answer` against the letter `gold`.

    A letter counts when it is boxed, follows "answer is" or "answer:", stands alone, or opens the answer as in
    `B. south`. Two different letters said in the same way are wrong; a letter that is no option is wrong.

    Args:
        letters: the letters of the options, e.g. `ABCD`.
    """
    text = answer.strip()
    said = [letter.upper() for letter in _BOXED.findall(text)] or list(_said(text))
    if not said:
        match = _BARE.fullmatch(text) or _LISTED.fullmatch(text)
        said = [match.group(1).upper()] if match else []
    if not said:
        return Grade("none", None, "no option letter")
    if len(set(said)) > 1:
        return Grade("wrong", ", ".join(dict.fromkeys(said)), "more than one letter")
    letter = said[-1]
    if letter not in letters:
        return Grade("wrong", letter, f"not one of {', '.join(letters)}")
    return Grade("correct" if letter == gold else "wrong", letter)


def _said(text: str) -> Iterator[str]:
    """Letters after "answer is", with those that are offered beside them, as in `answer is A or B`."""
    for match in _SAID.finditer(text):
        yield match[1]
        if another := _ANOTHER.match(text, match.end()):
            yield another[1]
