"""Finds the steps of a chain of thought that only repeat the previous result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from warmup_rl.dlcot.markers import CORRECTS, HESITATES, affirms, lowered
from warmup_rl.dlcot.outline import Outline, Sentence
from warmup_rl.dlcot.structure import Span

Apart = Callable[[int, int], bool]

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]{4,}")
_DOUBT = frozenset(
    "wait double check verify sure right correct again once more that this step just okay really make back quickly does"
    " hold with then recheck confirm".split()
)
_LONGEST = 8
"""Most sentences of a re-check, from its opening to its confirmation."""
_SEEN = 0.7
"""Share of its longer words that must occur earlier; all numbers must."""
_SHORTEST = 60
"""Fewest characters of a paragraph that counts as a repetition if it occurs again word for word."""


class Rechecks:
    """The needless re-checks of a text: from an expression of doubt to a confirmation, with nothing new in between.

    Args:
        is_new: whether the sentences from one index to another (exclusive) say something new; None to decide by their
            numbers and words.
        can_suppose: whether a re-check may contain a hypothesis.
    """

    def __init__(
        self,
        text: str,
        question: str,
        said: Sequence[Sentence],
        is_new: Callable[[int, int], bool | None],
        can_suppose: bool,
    ) -> None:
        self._low, self._said, self._is_new = lowered(text), said, is_new
        self._within = ("", "verify", "plan", "suppose") if can_suppose else ("", "verify", "plan")
        self._first: dict[str, int] | None = None
        self._question = question
        self._ends: dict[int, int] = {}

    def end(self, index: int) -> int:
        """The end (exclusive) of the re-check that a sentence opens, or the sentence itself if it opens none."""
        if self._said[index].move != "verify":
            return index
        if index not in self._ends:
            self._ends[index] = self._find(index)
        return self._ends[index]

    def found(self, first: int, end: int) -> list[tuple[int, int]]:
        """All re-checks between two sentences."""
        spans = []
        index = first
        while index < end:
            after = self.end(index)
            if index < after <= end:
                spans.append((self._hesitation(index), after))
            index = max(after, index + 1)
        return spans

    def _hesitation(self, index: int) -> int:
        """The first of the sentences of hesitation before a re-check, in its paragraph."""
        while index and not self._said[index].begins:
            before = self._said[index - 1]
            if not HESITATES.fullmatch(self._low, before.start, before.end):
                break
            index -= 1
        return index

    def _find(self, opening: int) -> int:
        """Up to the last confirmation in the paragraph of the first one, if nothing new is said before it."""
        end = opening
        for index in range(opening + 1, min(opening + _LONGEST, len(self._said))):
            sentence = self._said[index]
            words = self._low[sentence.start : sentence.end]
            if end > opening and sentence.begins:
                break
            if affirms(words):
                new = self._is_new(opening, index)
                if self._new_words(opening, index) if new is None else new:
                    break
                end = index + 1
                continue
            opens_another = sentence.move == "verify" and self._said[self._hesitation(index)].begins
            if opens_another or sentence.move not in self._within or CORRECTS.search(words):
                break
        return end

    def _new_words(self, first: int, end: int) -> bool:
        seen = self._seen()
        start = self._said[first].start
        words = set(_TOKEN.findall(self._low, start, self._said[end - 1].end)) - _DOUBT
        old = {word for word in words if seen.get(word, start) < start}
        return any(word[0].isdigit() for word in words - old) or len(old) < _SEEN * len(words)

    def _seen(self) -> dict[str, int]:
        """The first position of each token; -1 for those of the question."""
        if self._first is None:
            self._first = dict.fromkeys(_TOKEN.findall(self._question.lower()), -1)
            for match in _TOKEN.finditer(self._low):
                self._first.setdefault(match[0], match.start())
        return self._first


def repeats(text: str, outlined: Outline, end: int, rechecks: Rechecks, apart: Apart) -> tuple[Span, ...]:
    """All repetitions: re-checks, and paragraphs that occur again word for word in one approach or check.

    Args:
        end: the sentence at which the exploration ends, after completeness repair.
        apart: whether two sentences stand under different hypotheses.
    """
    stretches = [*outlined.approaches(), (end, outlined.verified)]
    stretches[-2] = (stretches[-2][0], end)
    found = [
        outlined.span(first, last)
        for first, last in rechecks.found(outlined.understood, outlined.verified)
        if first != outlined.explored
    ]
    for first, last in stretches:
        found += _again(text, outlined, first, last, apart)
    return tuple(sorted(found, key=lambda span: span.start))


def _again(text: str, outlined: Outline, first: int, end: int, apart: Apart) -> Iterator[Span]:
    seen: dict[str, int] = {}
    place = first
    for step in outlined.steps(first, end):
        while outlined.sentences[place].start < step.start:
            place += 1
        words = " ".join(text[step.start : step.end].split())
        before = seen.setdefault(words, place)
        if before == place or len(words) < _SHORTEST:
            continue
        if apart(before, place):
            seen[words] = place
        else:
            yield step


def supposes(said: Sequence[Sentence]) -> bool:
    """Whether a sentence opens a hypothesis or a case."""
    return any(sentence.move in ("suppose", "case") for sentence in said)
