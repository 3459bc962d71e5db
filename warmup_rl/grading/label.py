"""Grades an answer that is one of a set of labels: the label must be what the final statement names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from warmup_rl.base.types import Grade
from warmup_rl.grading.final_answer import MARK, boxed, said_lines, without_chat_marks

_NAMED = re.compile(
    r"\b(?:answer|label|category|class|intent|sentiment|topic|type|verdict|prediction|classification)\b"
    rf"\s*(?:\b(?:is|should be|must be|would be)\b\s*:?|[:=])|{MARK.pattern}",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"(?<=[\w)\"'])[.!?](?=\s|$)")
_MARKUP = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\s*(?=\{)|[*`{}\"\u201c\u201d]|(?<!\w)_+|_+(?!\w)")
_NEGATION = r"\b(?:not|never|neither|nor|rather than|instead of)\b"
_NEGATED = re.compile(rf"{_NEGATION}|n't\b")
_COMPOUND = re.compile(r"\b\w+(?:-\w+)+\b")
"""A word such as `non-positive`, which names no label unless it is one."""
_COMMON_WORDS = frozenset("a i it is in on or no not none other".split())
"""Labels that are everyday words: they count only as the first or last word of a statement."""


def final_label_statement(text: str) -> str:
    """What states the label: the last box, else the rest of the sentence after the last `label is`, `category:` or the
    like, else the last line."""
    if (content := boxed(text)) is not None:
        return content
    plain = _MARKUP.sub("", without_chat_marks(text)).strip()
    if found := list(_NAMED.finditer(plain)):
        after = plain[found[-1].end() :].strip()
        line = after.splitlines()[0] if after else ""
        return _SENTENCE_END.split(line, maxsplit=1)[0].strip()
    return ["", *said_lines(plain)][-1]


def same_label(*, gold: str, answer: str, labels: Sequence[str]) -> Grade:
    """Grades whether the only label that an answer names is the reference.

    Letter case, white space, underscores and hyphens do not matter. An answer that is a label counts; otherwise its
    final statement must name exactly one, as a word and not negated, besides those that it denies (`a, not b`).
    """
    if not answer.strip():
        return Grade("none", None, "empty answer")
    by_words, pattern, denied = _known(tuple(labels))
    if (exact := by_words.get(plain_label(_MARKUP.sub("", answer)))) is not None:
        return Grade("correct" if exact == gold else "wrong", exact)
    said = _MARKUP.sub("", final_label_statement(answer))
    compounds = _COMPOUND.sub(lambda one: one[0] if plain_label(one[0]) in by_words else one[0].replace("-", ""), said)
    statement = plain_label(compounds)
    affirmed = denied.sub("", statement)
    statement = affirmed if pattern.search(affirmed) else statement
    named = list(pattern.finditer(statement))
    found = list(
        dict.fromkeys(
            match[0] for match in named
            if match[0] not in _COMMON_WORDS or match.start() == 0 or match.end() == len(statement)
        )
    )  # fmt: skip
    if not found:
        return Grade("none", None, "no label")
    if len(found) > 1:
        return Grade("wrong", ", ".join(by_words[one] for one in found)[:300], "more than one label")
    first = next(match for match in named if match[0] == found[0])
    if _NEGATED.search(statement[: first.start()]):
        return Grade("wrong", by_words[found[0]], "negated")
    return Grade("correct" if by_words[found[0]] == gold else "wrong", by_words[found[0]])


def plain_label(text: str) -> str:
    """A label in the form that is compared: lower case, words separated by one space, no punctuation at its ends."""
    return (
        " ".join(re.sub(r"[_\s]|(?<=\w)-|-(?!\d)", " ", text).split()).strip(" .,;:!?'()[]").casefold() or text.strip()
    )


@lru_cache(maxsize=64)
def _known(labels: tuple[str, ...]) -> tuple[dict[str, str], re.Pattern[str], re.Pattern[str]]:
    """The labels by their plain form, and patterns that match any of these as words, longer ones first, and one that is
    denied."""
    by_words = {plain_label(label): label for label in labels}
    ordered = sorted(by_words, key=len, reverse=True)
    named = rf"(?<![\w-])(?:{'|'.join(map(re.escape, ordered))})(?!\w)"
    return by_words, re.compile(named), re.compile(rf"{_NEGATION}\s(?:(?:an?|the)\s)?{named}")
