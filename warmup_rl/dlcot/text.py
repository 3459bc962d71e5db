"""A text in prose, read once: its sentences, and what it says by place."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from warmup_rl.dlcot.markers import lowered
from warmup_rl.dlcot.structure import Span
from warmup_rl.knights.terse import NEXT, SO

_MARKS = r"[\"'”’)\]*_]*[ \t]+(?=\S)"
_ENDS = re.compile(rf"\n\s*|\.{_MARKS}|\?{_MARKS}|!(?<=[^\W\d_]{{2}}!){_MARKS}")
"""A line break, or punctuation before a blank; the `!` of a factorial ends no sentence. Branches that begin with a
character are found seven times faster than others."""
_TERSE_STARTS = re.compile(rf"{NEXT}(?<=\s{NEXT})(?=\s)|{SO}(?<=\s{SO})(?=\s)")
_LIST_MARK = re.compile(r"\s*(?:[-*#]*\s*\(?(?:\d+|[a-zA-Z])[.)]\s*)?")
"""The number of a list item, or only white space: not a sentence by itself."""
_VALUE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|[b-hj-zB-HJ-Z](?![\w'’])(?<![^\W_].)(?<![\\'’].)", re.DOTALL)
"""A number or a symbol of one letter; `a`, `A`, `i` and `I` are mostly words."""
_WORD = re.compile(r"[^\W\d_]{4,}")
_ANY_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r"[\"“]([^\"”\n]{6,}?)[.,]?[\"”]")
_SPEAKER = re.compile(
    r"([A-Z](?<!\w.)\w+)(?:, [^,.]{1,30},|['’]s)? (?:says|said|claims|claimed|states|stated|statement|claim)\b"
)
_SMALL_TALK = frozenset(
    "wait double check verify sure right correct again once more that this step just okay really make back quickly does"
    " hold with then recheck confirm still same before good consistent which fits should given hence thus therefore"
    " however being would not yes now case holds".split()
)


def sentences(thinking: str) -> tuple[Span, ...]:
    """A partition of the text into sentences and lines; white space belongs to the sentence before it.

    The terse phrasing has no punctuation: there a sentence begins at each `next` and `so`.
    """
    if thinking.split(maxsplit=1)[:1] not in ([NEXT], [SO]):
        return prose_sentences(thinking)
    blank = len(thinking) - len(thinking.lstrip())
    starts = [0, *(start for match in _TERSE_STARTS.finditer(thinking) if (start := match.start()) > blank)]
    return tuple(map(Span._make, pairwise([*starts, len(thinking)])))


def prose_sentences(text: str) -> tuple[Span, ...]:
    """The same for a piece of a text in prose, which may begin with any word."""
    starts = [0]
    for boundary in _ENDS.finditer(text):
        end = boundary.end()
        if end < len(text) and not _LIST_MARK.fullmatch(text, starts[-1], end):
            starts.append(end)
    return tuple(map(Span._make, pairwise([*starts, len(text)])))


@dataclass
class Content:
    """What a passage says: its values, quotations and speakers; runs of two and three successive values, and of
    four words; longer words."""

    hard: set[str] = field(default_factory=set)
    pairs: set[tuple[str, ...]] = field(default_factory=set)
    triples: set[tuple[str, ...]] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    phrases: set[tuple[str, ...]] = field(default_factory=set)

    def add(self, other: Content) -> None:
        self.hard |= other.hard
        self.pairs |= other.pairs
        self.triples |= other.triples
        self.words |= other.words
        self.phrases |= other.phrases


def _runs_of(items: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return set(zip(*(items[start:] for start in range(length)), strict=False))


class _Found(NamedTuple):
    """Strings found in a text, in order, with the places where they begin and end."""

    starts: list[int]
    ends: list[int]
    said: list[str]

    @classmethod
    def of(cls, pattern: re.Pattern[str], text: str, group: int = 0) -> _Found:
        matches = list(pattern.finditer(text))
        return cls(*(list(map(part, matches)) for part in (re.Match.start, re.Match.end, itemgetter(group))))

    def within(self, start: int, end: int) -> list[str]:
        return self.said[bisect_left(self.starts, start) : bisect_right(self.ends, end)]


class Text:
    """A text in prose. Stretches of it are given by characters; what begins before a stretch or ends after it is not in
    it.

    Attributes:
        low: the text in lower case, with the same places.
    """

    def __init__(self, text: str) -> None:
        self.text, self.low = text, lowered(text)

    @cached_property
    def _starts(self) -> list[int]:
        return [span.start for span in prose_sentences(self.text)]

    @cached_property
    def _values(self) -> _Found:
        return _Found.of(_VALUE, self.text)

    @cached_property
    def _quoted(self) -> _Found:
        return _Found.of(_QUOTED, self.low, 1)

    @cached_property
    def _speakers(self) -> _Found:
        return _Found.of(_SPEAKER, self.text, 1)

    @cached_property
    def _words(self) -> _Found:
        return _Found.of(_WORD, self.low)

    def sentences(self, start: int, end: int) -> list[Span]:
        """The sentences of a stretch that is not empty; the first and the last one may be parts of sentences."""
        inner = self._starts[bisect_right(self._starts, start) : bisect_left(self._starts, end)]
        return list(map(Span._make, pairwise([start, *inner, end])))

    def first_end(self, start: int, end: int) -> int:
        """Where the first sentence of a stretch ends."""
        place = bisect_right(self._starts, start)
        return min(self._starts[place], end) if place < len(self._starts) else end

    def last_start(self, start: int, end: int) -> int:
        """Where the last sentence of a stretch begins."""
        return max(start, self._starts[max(0, bisect_left(self._starts, end) - 1)])

    def values(self, start: int, end: int) -> list[str]:
        """The numbers and symbols of a stretch, in order."""
        return [value.replace(",", "") for value in self._values.within(start, end)]

    def hard(self, start: int, end: int) -> set[str]:
        """The values, quotations and speakers of a stretch."""
        speakers = (f"{name} says" for name in self._speakers.within(start, end))
        return {*self.values(start, end), *self._quoted.within(start, end), *speakers}

    def words(self, start: int, end: int) -> set[str]:
        """The longer words of a stretch that are no small talk, in lower case."""
        return set(self._words.within(start, end)) - _SMALL_TALK

    def content(self, start: int, end: int) -> Content:
        """What a stretch says."""
        values, every = self.values(start, end), _ANY_WORD.findall(self.low, start, end)
        return Content(
            self.hard(start, end), _runs_of(values, 2), _runs_of(values, 3), self.words(start, end), _runs_of(every, 4)
        )

    def last_uses(self) -> dict[str, int]:
        """Where each value begins for the last time."""
        return {
            value.replace(",", ""): start for start, value in zip(self._values.starts, self._values.said, strict=True)
        }


@lru_cache(maxsize=4)
def read_text(text: str) -> Text:
    """The text, which several steps of the cleaning of one trace read."""
    return Text(text)


def values_in(text: str) -> list[str]:
    """The numbers and symbols of a text, in order."""
    return read_text(text).values(0, len(text))
