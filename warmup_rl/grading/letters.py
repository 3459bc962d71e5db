"""Reads and writes the letters and the texts of options."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from functools import lru_cache

_OPTION = re.compile(r"^\s{0,8}\(?([A-Z])[.):]\s+(.*)$", re.MULTILINE)
_PHRASE_START = r"(?<![\w.+-])(?<!\b[A-Z][.):]\s)(?:(?:the|an?)\s)?"
_PHRASE_END = r"(?=\s*(?:$|[\n,;!?)\]}]|\.(?!\d))|\s(?:is|must|because|since|as|and|or|alone|remains|survives)\b)"
_GAP = r"[\s!-/:-@\[-`{-~\u2010-\u2015]"
"""White space or a mark between the words of an option."""
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


def option_texts(question: str) -> dict[str, str]:
    """The texts of the options in a question, by letter, as `plain_option` writes them."""
    return {letter: plain_option(text) for letter, text in _OPTION.findall(question)}


def plain_option(text: str) -> str:
    """The text of an option in lower case, without marks around it."""
    return " ".join(text.lower().split()).strip(" .,;:()")


def told(behind: str, own: str) -> int:
    """The end of the text of an option behind its letter, with any marks between its words; 0 if it is not there."""
    found = _own_text(own).match(behind)
    return found.end() if found else 0


@lru_cache(maxsize=64)
def _own_text(own: str) -> re.Pattern[str]:
    words = [re.escape(word) for word in re.split(f"{_GAP}+", own) if word] or ["(?!)"]
    edges = _GAP if len(words[0]) > 1 else r"[\s)\]}'.:,;(]"  # `B-C` are two letters, whatever B says
    return re.compile(rf"{edges}*{f'{_GAP}+'.join(words)}(?!\w)", re.IGNORECASE)


def with_letters(text: str, options: Mapping[str, str]) -> str:
    """The text with the letter of an option in place of its whole text, where that is a phrase of its own and does not
    follow its letter; texts that two options share stay."""
    found = {option: letter for letter, option in options.items() if [*options.values()].count(option) == 1}
    patterns = [r"\s+".join(map(re.escape, option.split())) for option in sorted(found, key=len, reverse=True)]
    if not any(patterns):
        return text
    whole = re.compile(rf"{_PHRASE_START}({'|'.join(filter(None, patterns))}){_PHRASE_END}", re.IGNORECASE)
    return whole.sub(lambda match: found.get(plain_option(match[1]), match[1]), text)


def letters_in(text: str) -> list[str]:
    """The letters in `A, C`, `A and C`, `AC`, `["A", "C"]` or `A) 4, C) 9`; empty if there is anything else."""
    plain = text.strip().strip("[]{}.").replace('"', "")
    if re.fullmatch(r"[A-Z]+", plain):
        return list(plain)
    parts = [part.strip() for part in re.split(r"[,;\n&]|\band\b|\s(?=[A-Z](?:\s|$))", plain) if part.strip()]
    found = [_LETTER_PART.fullmatch(part) for part in parts]
    return [match[1] for match in found if match] if all(found) else []
