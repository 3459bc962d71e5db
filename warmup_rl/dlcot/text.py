"""A text in prose, read once: its sentences, and what it says by place."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise, starmap
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
_NUMBER = re.compile(r"\d\d*(?:,\d{3})*(?:\.\d+)?")
_SYMBOL = re.compile(r"[b-hj-zB-HJ-Z]\b(?<![^\W_].)(?!['’])(?<![\\'’].)", re.DOTALL)
"""A symbol of one letter; `a`, `A`, `i` and `I` are mostly words. Patterns that begin with a set of characters are found
faster than others."""
_BETWEEN = re.compile(r"(\W+)")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_QUOTED = re.compile(r"[\"“]([^\"”\n]{6,})[\"”]")
_SPEAKER = re.compile(
    r"([A-Z](?<!\w.)\w++)(?:, [^,.]{1,30},|['’]s)? (?:says|said|claims|claimed|states|stated|statement|claim)\b"
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
    return tuple(map(Span._make, pairwise([*_sentence_starts(text), len(text)])))


def _sentence_starts(text: str) -> list[int]:
    starts = [0]
    for end in map(re.Match.end, _ENDS.finditer(text)):
        if end < len(text) and not _LIST_MARK.fullmatch(text, starts[-1], end):
            starts.append(end)
    return starts


class _Found(NamedTuple):
    """Strings found in a text, in order, with the places where they begin and end."""

    starts: list[int]
    ends: list[int]
    said: list[str]

    @classmethod
    def of(cls, matches: Iterable[re.Match[str]], group: int = 0) -> _Found:
        found = list(matches)
        return cls(*(list(map(part, found)) for part in (re.Match.start, re.Match.end, itemgetter(group))))

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
        return _sentence_starts(self.text)

    @cached_property
    def _values(self) -> _Found:
        matches = (*_NUMBER.finditer(self.text), *_SYMBOL.finditer(self.text))
        found = _Found.of(sorted(matches, key=re.Match.start))
        return found._replace(said=[value.replace(",", "") for value in found.said])

    @cached_property
    def _quoted(self) -> _Found:
        found = _Found.of(_QUOTED.finditer(self.low), 1)
        return found._replace(said=[said[:-1] if said[-1] in ".," and len(said) > 6 else said for said in found.said])

    @cached_property
    def _speakers(self) -> _Found:
        found = _Found.of(_SPEAKER.finditer(self.text), 1)
        return found._replace(said=[f"{name} says" for name in found.said])

    @cached_property
    def _words(self) -> _Found:
        """All words; splitting is faster than matching, and leaves something empty before a first and after a last
        sign."""
        pieces = _BETWEEN.split(self.low)
        edges = [0, *accumulate(map(len, pieces))]
        first, end = 0 if pieces[0] else 2, len(pieces) if pieces[-1] else len(pieces) - 2
        return _Found(edges[first:end:2], edges[first + 1 : end + 1 : 2], pieces[first:end:2])

    @cached_property
    def _phrases(self) -> list[tuple[str, ...]]:
        """The four words from each word on."""
        words = self._words.said
        return list(zip(words, words[1:], words[2:], words[3:], strict=False))

    @cached_property
    def _long_words(self) -> tuple[set[str], dict[str, set[str]]]:
        """Words that are long and no small talk, and those in words with digits or underscores."""
        every = set(self._words.said)
        long = {word for word in every if len(word) > 3 and word.isalpha()} - _SMALL_TALK
        mixed = {word: set(_LONG_WORD.findall(word)) - _SMALL_TALK for word in every if not word.isalpha()}
        return long, {word: parts for word, parts in mixed.items() if parts}

    def sentences(self, start: int, end: int, most: int | None = None) -> list[tuple[int, int]]:
        """The sentences of a stretch that is not empty; the first and the last one may be parts of sentences.

        Args:
            most: how many of them, from the first on.
        """
        edges = [start, *self._starts[bisect_right(self._starts, start) : bisect_left(self._starts, end)], end]
        return list(zip(edges[:most], edges[1:], strict=False))

    def first_end(self, start: int, end: int) -> int:
        """Where the first sentence of a stretch ends."""
        place = bisect_right(self._starts, start)
        return min(self._starts[place], end) if place < len(self._starts) else end

    def last_start(self, start: int, end: int) -> int:
        """Where the last sentence of a stretch begins."""
        return max(start, self._starts[max(0, bisect_left(self._starts, end) - 1)])

    def values(self, start: int, end: int) -> list[str]:
        """The numbers and symbols of a stretch, in order."""
        return self._values.within(start, end)

    def runs(self, start: int, end: int, length: int) -> set[tuple[str, ...]]:
        """Its runs of successive values."""
        values = self.values(start, end)
        return set(zip(*(values[first:] for first in range(length)), strict=False))

    def hard(self, start: int, end: int) -> set[str]:
        """The values, quotations and speakers of a stretch."""
        quoted, speakers = self._quoted.within(start, end), self._speakers.within(start, end)
        return {*self._values.within(start, end), *quoted, *speakers}

    def words(self, start: int, end: int) -> set[str]:
        """The longer words of a stretch that are no small talk, in lower case."""
        long, mixed = self._long_words
        every = set(self._words.within(start, end))
        return (every & long).union(*map(mixed.__getitem__, mixed.keys() & every))

    def phrases(self, start: int, end: int) -> set[tuple[str, ...]]:
        """Its runs of four words of any length."""
        first, last = bisect_left(self._words.starts, start), bisect_right(self._words.ends, end)
        return set(self._phrases[first : max(first, last - 3)])

    @cached_property
    def last_uses(self) -> dict[str, int]:
        """Where each value begins for the last time."""
        return dict(zip(self._values.said, self._values.starts, strict=True))


@dataclass(frozen=True)
class Contents:
    """What each of several stretches says: its values, quotations and speakers; runs of two and three successive
    values, and of four words; longer words. Each kind is read where it is asked for."""

    source: Text
    spans: Sequence[Span]

    @cached_property
    def hard(self) -> list[set[str]]:
        return list(starmap(self.source.hard, self.spans))

    @cached_property
    def pairs(self) -> list[set[tuple[str, ...]]]:
        return [self.source.runs(*span, 2) for span in self.spans]

    @cached_property
    def triples(self) -> list[set[tuple[str, ...]]]:
        return [self.source.runs(*span, 3) for span in self.spans]

    @cached_property
    def words(self) -> list[set[str]]:
        return list(starmap(self.source.words, self.spans))

    @cached_property
    def phrases(self) -> list[set[tuple[str, ...]]]:
        return list(starmap(self.source.phrases, self.spans))


@lru_cache(maxsize=4)
def read_text(text: str) -> Text:
    """The text, which several steps of the cleaning of one trace read."""
    return Text(text)


def values_in(text: str) -> list[str]:
    """The numbers and symbols of a text, in order."""
    return read_text(text).values(0, len(text))
