"""A text in prose, read once: its sentences, and what it says by place."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

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
_SYMBOL = re.compile(r"[^a-zA-Z0-9\\'’][b-hj-zB-HJ-Z]\b(?<![^\W_].)(?!['’])")
"""A symbol of one letter, with the character before it; `a`, `A`, `i` and `I` are mostly words. Patterns that begin
with a set of few characters of a text are found faster than others."""
_WORDS = {True: re.compile("[a-z0-9_]+"), False: re.compile(r"\w+")}
_LONG_WORDS = {True: re.compile("[a-z]{4,}"), False: re.compile(r"[^\W\d_]{4,}")}
"""For a stretch in lower case that is all ASCII, which is much faster, and for any other."""
_SHORTEST_QUOTATION = 6
_QUOTED = re.compile(rf"[\"“]([^\"”\n]{{{_SHORTEST_QUOTATION},}})[\"”]")
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
        start = starts[-1]
        if end < len(text) and (text[start : start + 2].isalpha() or not _LIST_MARK.fullmatch(text, start, end)):
            starts.append(end)
    return starts


def _unstopped(quotation: str) -> str:
    return quotation[:-1] if quotation[-1] in ".," and len(quotation) > _SHORTEST_QUOTATION else quotation


class _Found(NamedTuple):
    """Strings found in a text, in the order in which they begin, with the places where they begin and end."""

    starts: list[int]
    ends: list[int]
    said: list[str]
    reach: list[int]
    """How far they go, up to each of them: a quotation goes farther than what is in it."""

    @classmethod
    def of(cls, found: Iterable[tuple[int, int, str]]) -> _Found:
        every = sorted(found)
        ends = [end for _, end, _ in every]
        return cls([start for start, _, _ in every], ends, [said for _, _, said in every], list(accumulate(ends, max)))

    def within(self, start: int, end: int) -> list[str]:
        first, last = bisect_left(self.starts, start), bisect_left(self.starts, end)
        if last and self.reach[last - 1] > end:
            return [self.said[place] for place in range(first, last) if self.ends[place] <= end]
        return self.said[first:last]


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
        numbers = map(_signed, _NUMBER.finditer(self.text))
        symbols = ((match.start(), match.end() - 1, match[0][1]) for match in _SYMBOL.finditer(f" {self.text}"))
        return _Found.of((*numbers, *symbols))

    @cached_property
    def _hard(self) -> _Found:
        """Values, quotations and speakers."""
        values = zip(*self._values[:3], strict=True)
        quoted = ((*match.span(), _unstopped(match[1])) for match in _QUOTED.finditer(self.low))
        speakers = ((*match.span(), f"{match[1]} says") for match in _SPEAKER.finditer(self.text))
        return _Found.of((*values, *quoted, *speakers))

    def sentences(self, start: int, end: int, most: int | None = None) -> list[tuple[int, int]]:
        """The sentences of a stretch that is not empty; the first and the last one may be parts of sentences.

        Args:
            most: how many of them, from the first on.
        """
        edges = [start, *self._starts[bisect_right(self._starts, start) : bisect_left(self._starts, end)], end]
        return list(zip(edges[:most], edges[1:], strict=False))

    def first_value(self, start: int, end: int) -> int:
        """Where the first value of a stretch begins; its end if it has none."""
        place = bisect_left(self._values.starts, start)
        return min(self._values.starts[place], end) if place < len(self._values.starts) else end

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

    def pairs(self, start: int, end: int) -> set[tuple[str, ...]]:
        """Its pairs of successive values."""
        return set(pairwise(self.values(start, end)))

    def triples(self, start: int, end: int) -> set[tuple[str, ...]]:
        """Its runs of three successive values."""
        values = self.values(start, end)
        return set(zip(values, values[1:], values[2:], strict=False))

    def hard(self, start: int, end: int) -> set[str]:
        """The values, quotations and speakers of a stretch."""
        return set(self._hard.within(start, end))

    def words(self, start: int, end: int) -> set[str]:
        """The longer words of a stretch, which ends no word, that are no small talk, in lower case."""
        said = self.low[start:end]
        return set(_LONG_WORDS[said.isascii()].findall(said)) - _SMALL_TALK

    def phrases(self, start: int, end: int) -> set[tuple[str, ...]]:
        """The runs of four words of a stretch that begins and ends no word."""
        said = self.low[start:end]
        words = _WORDS[said.isascii()].findall(said)
        return set(zip(words, words[1:], words[2:], words[3:], strict=False))

    @cached_property
    def last_uses(self) -> dict[str, int]:
        """Where each value begins for the last time."""
        return dict(zip(self._values.said, self._values.starts, strict=True))


class _Each(dict[int, set[Any]]):
    """What is said in stretches, by their index; each is read where it is asked for."""

    def __init__(self, read: Callable[[int, int], set[Any]], spans: Sequence[Span]) -> None:
        self.read, self.spans = read, spans

    def __missing__(self, index: int) -> set[Any]:
        self[index] = found = self.read(*self.spans[index])
        return found


class Contents:
    """What each of several stretches says: its values, quotations and speakers; runs of two and three successive
    values, and of four words; longer words."""

    def __init__(self, source: Text, spans: Sequence[Span]) -> None:
        self.source, self.spans = source, spans
        self.hard, self.pairs, self.triples = (_Each(f, spans) for f in (source.hard, source.pairs, source.triples))
        self.words, self.phrases = _Each(source.words, spans), _Each(source.phrases, spans)


@lru_cache(maxsize=4)
def read_text(text: str) -> Text:
    """The text, which several steps of the cleaning of one trace read."""
    return Text(text)


def _signed(number: re.Match[str]) -> tuple[int, int, str]:
    """Place and digits of a number, with its sign where it can be no subtraction."""
    text, (start, end) = number.string, number.span()
    if text[start - 1 : start] == "-" and (
        text[start - 2 : start - 1] in ("(", "=") or text[start - 3 : start - 1] in ("= ", ", ")
    ):
        start -= 1
    return start, end, text[start:end].replace(",", "")


def values_in(text: str) -> list[str]:
    """The numbers and symbols of a text, in order."""
    return read_text(text).values(0, len(text))
