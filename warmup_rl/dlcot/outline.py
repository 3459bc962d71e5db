"""The outline of a chain of thought in prose: its sentences, and where its parts and approaches begin."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from warmup_rl.dlcot.judge_reply import sentences
from warmup_rl.dlcot.markers import DEAD_END, GIVEN_UP, Move, lowered, move
from warmup_rl.dlcot.structure import Ambiguous, Approach, Part, Span, Structure

_SPACED = re.compile(r"\S ")
_WORD = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?")
_THEREFORE = re.compile(r"[\W_]*(?:so|thus|therefore|hence|overall|altogether|in total)\b", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_COMMON = frozenset("the a an is are so and of to in that it we i if then this be as with for on".split())
_LEAST_ENGLISH = 0.08
"""Share of the most common English words below which a text counts as another language; prose has a quarter."""
_SAMPLE = 2_000
"""Characters used to detect the language."""
_LONGEST_PARAGRAPH = 4_000
"""Longest text without line breaks, in characters: without paragraphs, parts cannot be found."""
_NEW_WORDS = 0.4
"""Largest share of new words in a sentence that restates the question."""
_FEW_WORDS = 5
"""Most words of a sentence without content, as in `Okay, let's see.`"""
_FEW_CHARACTERS, _SHORT = 50, 200
"""Most characters of a short sentence, and of a last paragraph that only sums up."""
_ANNOUNCED = 160
"""Most characters, without a number, of a stretch that only announces an approach."""
_CONCLUSION = 0.3
"""Share of the sentences, from the end, in which the conclusion may begin."""


Stretch = tuple[int, int]
"""The first sentence and the one after the last."""


class Sentence(NamedTuple):
    """A sentence with the white space after it, what it opens, and whether it begins a paragraph."""

    start: int
    end: int
    move: Move
    begins: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """A chain of thought as sentences, and the indices at which its parts end.

    Attributes:
        restated: end of the restatement, `understood` of the understanding, `explored` of the exploration and
            `verified` of the verification; the conclusion is the rest. A part is empty where two are equal.
        openings: the sentences that begin approaches; the first is `understood`.
    """

    sentences: tuple[Sentence, ...]
    restated: int
    understood: int
    explored: int
    verified: int
    openings: tuple[int, ...]

    def span(self, first: int, end: int) -> Span:
        """Characters of the sentences from `first` to `end` (exclusive)."""
        return Span(self.sentences[first].start, self.sentences[end - 1].end)

    def steps(self, first: int, end: int) -> tuple[Span, ...]:
        """A partition of these sentences by paragraphs."""
        if first == end:
            return ()
        starts = [first, *(i for i in range(first + 1, end) if self.sentences[i].begins)]
        return tuple(self.span(start, to) for start, to in zip(starts, [*starts[1:], end], strict=True))

    def approaches(self) -> list[Stretch]:
        """First and last (exclusive) sentence of each approach."""
        return list(zip(self.openings, [*self.openings[1:], self.explored], strict=True))

    def completions(self) -> list[tuple[int, int]]:
        """The prefixes of the verification that may complete the last approach: the number of steps and where they end,
        shortest first."""
        if self.verified == self.explored:
            return []
        ends = [index for index in range(self.explored + 1, self.verified) if self.sentences[index].begins]
        return list(enumerate([*ends, self.verified], start=1))

    def structure(self, explored: int, approaches: tuple[Approach, ...], repeats: tuple[Span, ...]) -> Structure:
        """The structure of this outline.

        Args:
            explored: end of the exploration after completeness repair.
        """
        edges: list[tuple[Part, int, int]] = [
            ("restatement", 0, self.restated),
            ("understanding", self.restated, self.understood),
            ("exploration", self.understood, explored),
            ("verification", explored, self.verified),
            ("conclusion", self.verified, len(self.sentences)),
        ]
        parts = tuple((part, self.span(first, end)) for part, first, end in edges if first < end)
        return Structure(parts, approaches, self.steps(explored, self.verified), repeats)


def read_sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences of a text in English.

    Raises:
        Ambiguous: it is empty, in another language, or without paragraphs.
    """
    low = lowered(text)
    words = _LETTERS.findall(low, 0, _SAMPLE)
    if not words:
        raise Ambiguous("no exploration")
    if sum(map(_COMMON.__contains__, words)) < _LEAST_ENGLISH * len(words):
        raise Ambiguous("not in English")
    if len(text) > _LONGEST_PARAGRAPH and "\n" not in text.strip():
        raise Ambiguous("no paragraphs")
    found = []
    begins = True
    spaced = "\n\n" in text
    for span in sentences(text):
        found.append(Sentence(span.start, span.end, move(low, span.start, span.end), begins))
        breaks = 0 if _SPACED.match(text, span.end - 2) else _line_breaks(text, span)
        begins = breaks > 1 if spaced else breaks > 0
    return tuple(found)


def outline(
    text: str,
    question: str,
    said: Sequence[Sentence],
    *,
    repeats: Callable[[int], int],
    openings: Callable[[int, int], list[int]],
    working: Callable[[int], bool | None],
) -> Outline:
    """Where the parts and approaches of a text begin.

    Args:
        repeats: the end of the re-check that a sentence opens, or the sentence itself if it opens none.
        openings: the sentences in `[first, end)` that begin approaches.
        working: whether a sentence works at the problem (true) or only states it (false); None if that is open.

    Raises:
        Ambiguous: nothing is explored.
    """
    verified = _conclusion(text, said)
    restated = _restated(text, question, said, verified, working)
    understood = restated
    while understood < verified and said[understood].move in ("plan", "restate") and not working(understood):
        understood += 1
    understood = max(restated, _paragraph(said, understood, verified))
    if understood == verified:
        raise Ambiguous("no exploration")
    starts = sorted({understood, *openings(understood, verified)})
    explored = _checked(text, said, starts[-1] + 1, verified, repeats)
    return Outline(tuple(said), restated, understood, explored, verified, tuple(starts))


def _checked(text: str, said: Sequence[Sentence], first: int, end: int, repeats: Callable[[int], int]) -> int:
    """Where the verification begins: with a check that is not needless, or that is followed by the conclusion."""
    index, last = first, end
    while index < end:
        after = repeats(index)
        if after == index and said[index].move == "verify" and _may_check(text, said, index):
            return index
        if after == end > index and said[index].begins:
            last = index
        index = max(after, index + 1)
    return last


def marked_openings(text: str, said: Sequence[Sentence], first: int, end: int) -> list[int]:
    """The sentences that begin approaches by what they open, and by where hypotheses end."""
    low = lowered(text)
    ends = sorted(match.start() for form in (DEAD_END, GIVEN_UP) for match in form.finditer(low))
    found = [first]
    for index in range(first + 1, end):
        sentence, since = said[index], said[found[-1]].start
        if sentence.move == "suppose":
            opens = bisect_left(ends, since) < bisect_left(ends, sentence.start)
        else:
            opens = sentence.move == "alternative" or (sentence.move == "case" and sentence.begins)
        before = text[since : sentence.start]
        announced = len(before) < _ANNOUNCED and not any(c.isdigit() or c == "=" for c in before)
        if opens and not announced:
            found.append(index)
    return found


def _conclusion(text: str, said: Sequence[Sentence]) -> int:
    """The sentence that begins the conclusion; the number of sentences if there is none."""
    least = min(int(len(said) * (1 - _CONCLUSION)), len(said) - 3)
    begins = within = len(said)
    for index in range(len(said) - 1, max(least, 0), -1):
        if said[index].move in ("alternative", "case", "suppose", "verify"):
            break
        if said[index].move == "conclude":
            begins = index if said[index].begins else begins
            within = index if within == len(said) else within
    if begins < len(said) or within < len(said):
        return begins if begins < len(said) else within
    last = next((index for index in range(len(said) - 1, 0, -1) if said[index].begins), 0)
    ending = text[said[last].start :].strip()
    sums_up = last == len(said) - 1 and len(ending) < _SHORT and _THEREFORE.match(ending)
    return last if last and said[last].move == "" and (sums_up or "\\boxed" in ending) else len(said)


def _restated(
    text: str, question: str, said: Sequence[Sentence], end: int, working: Callable[[int], bool | None]
) -> int:
    """End of the restatement: sentences that contain little beyond the question."""
    known = set(_WORD.findall(question.lower()))
    index = 0
    while index < end:
        work = working(index)
        if work or said[index].move in ("alternative", "case", "suppose", "verify", "conclude"):
            break
        words = _WORD.findall(text[said[index].start : said[index].end].lower())
        content = {word for word in words if word not in _COMMON}
        new = content - known
        numbers = any(word[0].isdigit() for word in new)
        restates = said[index].move == "restate" or work is False or len(words) <= _FEW_WORDS
        if numbers or not (restates or (content and len(new) <= _NEW_WORDS * len(content))):
            break
        index += 1
    return _paragraph(said, index, end)


def _paragraph(said: Sequence[Sentence], index: int, end: int) -> int:
    """The beginning of the paragraph in which a part ends, so that this paragraph belongs to the next part; only the
    first paragraph may contain two parts."""
    if index == end:
        return index
    beginning = next(i for i in range(index, -1, -1) if said[i].begins)
    return beginning or index


def _may_check(text: str, said: Sequence[Sentence], index: int) -> bool:
    """Whether a check can begin here: at the start of a paragraph, after its first short words, or after an answer."""
    before = said[index - 1]
    words = text[before.start : before.end]
    hesitates = before.begins and len(words) < _FEW_CHARACTERS
    return said[index].begins or hesitates or "=" in words or "\\boxed" in words or "answer" in words.lower()


def _line_breaks(text: str, span: Span) -> int:
    """Line breaks at the end."""
    sentence = text[span.start : span.end]
    return sentence[len(sentence.rstrip()) :].count("\n")
