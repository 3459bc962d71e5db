"""Reads and writes the letters of options."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

_LETTER_PART = re.compile(r"\(?([A-Z])\)?(?:[).:]\s*.*)?", re.DOTALL)


def with_options(question: str, options: Iterable[str]) -> str:
    """The question, followed by a line such as `B. south` for each option, whether or not options begin with `B.`."""
    lettered = list(zip(string.ascii_uppercase, options, strict=False))
    marked = [re.match(rf"\s*\(?{letter}[).:]\s*(?=\S)", option) for letter, option in lettered]
    starts = [mark.end() if mark else 0 for mark in marked] if all(marked) else [0] * len(lettered)
    lines = (f"{letter}. {option[start:]}" for (letter, option), start in zip(lettered, starts, strict=True))
    return "\n".join([question, *lines])


def option_letters(text: str) -> list[str]:
    """The letters of the options that a text lists: at the beginnings of lines, else in a line, from A on."""
    found = list(dict.fromkeys(re.findall(r"^\s*\(?([A-Z])[.):]\s", text, re.MULTILINE)))
    if len(found) > 1:
        return found
    found = []
    for letter in re.findall(r"(?:^|\s)\(?([A-Z])[.):]\s", text):
        if letter == string.ascii_uppercase[len(found) : len(found) + 1]:
            found.append(letter)
    return found


def letters_in(text: str) -> list[str]:
    """The letters in `A, C`, `A and C`, `AC`, `["A", "C"]` or `A) 4, C) 9`; empty if there is anything else."""
    plain = text.strip().strip("[]{}.").replace('"', "")
    if re.fullmatch(r"[A-Z]+", plain):
        return list(plain)
    parts = [part.strip() for part in re.split(r"[,;\n&]|\band\b|\s(?=[A-Z](?:\s|$))", plain) if part.strip()]
    found = [_LETTER_PART.fullmatch(part) for part in parts]
    return [match[1] for match in found if match] if all(found) else []
