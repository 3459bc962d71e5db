"""A chain of thought in prose as sentences, passages (paragraphs with their formulas and lists), and the five parts."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from warmup_rl.dlcot.markers import Move, move
from warmup_rl.dlcot.structure import Ambiguous, Part, Span
from warmup_rl.dlcot.text import Text, read_text

_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_BELONGS = re.compile(r"\s*(?:[-*•+|=&]\s|\\\[|\\begin|\$\$|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]+)[.)]\s|[a-z])")
"""The beginning of a paragraph that belongs to the one before: a list item, a formula, a lower-case letter."""
_HEADING = re.compile(r"\s*(?:#|\*\*[^*\n]+\*\*\s*$)")
_WORD = re.compile(r"[^\W\d_]{2,}|\d+(?:\.\d+)?")
_INFERS = re.compile(r"\b(?:so|therefore|thus|hence|must|then)\b", re.IGNORECASE)
_CONCLUDES = re.compile(r"[.!?]\s+(?:so|therefore|thus|hence)\b", re.IGNORECASE)
_COMMON = frozenset("the an is are so and of to in that it we if then this be as with for on".split())
_LEAST_ENGLISH, _SAMPLE = 0.08, 2_000
"""Share of the most common English words, in the first characters, below which a text is in another language; prose has
a quarter."""
_LONGEST_PARAGRAPH = 4_000
"""Longest text without line breaks, in characters."""
_OPENING = 3
"""Sentences in which a passage says what it opens."""
_SHORT = 80
"""Most characters, without a number, of a sentence before that, as in `Hmm, that seems a lot.`"""
_CONCLUSION = 0.3
"""Share of the passages, from the end, in which the conclusion may begin."""
_NEW_WORDS = 0.5
"""Largest share of new words in a passage that restates the question."""


class Passage(NamedTuple):
    """Characters of a passage with the white space after it, and what its first sentences open."""

    start: int
    end: int
    move: Move


@dataclass(frozen=True, slots=True)
class Outline:
    """The passages of a text, and the indices at which its parts end: restatement, understanding, exploration and
    verification; the conclusion is the rest. `openings` are the passages that begin approaches."""

    passages: tuple[Passage, ...]
    restated: int
    understood: int
    explored: int
    verified: int
    openings: tuple[int, ...]

    def span(self, first: int, end: int) -> Span:
        """Characters of the passages from `first` to `end` (exclusive)."""
        return Span(self.passages[first].start, self.passages[end - 1].end)

    def steps(self, first: int, end: int) -> tuple[Span, ...]:
        """The same, a span for each passage."""
        return tuple(Span(passage.start, passage.end) for passage in self.passages[first:end])

    def approaches(self, explored: int) -> list[tuple[int, int]]:
        """First and last (exclusive) passage of each approach, for an exploration that ends at `explored`."""
        return list(pairwise([*self.openings, explored]))

    def parts(self, explored: int) -> tuple[tuple[Part, Span], ...]:
        """The parts that are not empty, for an exploration that ends at `explored`."""
        names: tuple[Part, ...] = ("restatement", "understanding", "exploration", "verification", "conclusion")
        edges = [0, self.restated, self.understood, explored, self.verified, len(self.passages)]
        pairs = zip(names, pairwise(edges), strict=True)
        return tuple((name, self.span(first, end)) for name, (first, end) in pairs if first < end)


def read_passages(text: str) -> tuple[Passage, ...]:
    """The passages of a text in English.

    Raises:
        Ambiguous: it is empty, in another language, or without paragraphs.
    """
    source = read_text(text)
    words = [word for word in _WORD.findall(source.low, 0, _SAMPLE) if word.isalpha()]
    if not words:
        raise Ambiguous("no words")
    if sum(map(_COMMON.__contains__, words)) < _LEAST_ENGLISH * len(words):
        raise Ambiguous("few common English words: another language, or formulas only")
    breaks = [match.end() for match in _BLANK_LINE.finditer(text) if match.end() < len(text)]
    breaks = breaks or [match.end() for match in re.finditer(r"\n\s*", text) if match.end() < len(text)]
    if len(text) > _LONGEST_PARAGRAPH and not breaks:
        raise Ambiguous(f"over {_LONGEST_PARAGRAPH:,} characters without a line break: no parts to tell apart")
    starts = [0]
    for place, end in pairwise([*breaks, len(text)]):
        before = text[max(starts[-1], place - 200) : place].rstrip().rsplit("\n", 1)[-1]
        goes_on = before.endswith((":", ",", ";", "=", "(")) or before[-1:].isalnum()
        announces = goes_on and not _HEADING.match(before)
        if not announces and not _BELONGS.match(text, place, end):
            starts.append(place)
    return tuple(Passage(start, end, opens(source, start, end)) for start, end in pairwise([*starts, len(text)]))


def opens(source: Text, start: int, end: int) -> Move:
    """What the first sentences of a passage open; only sentences of hesitation may come before."""
    stop = min(end, start + 600)
    for _ in range(_OPENING):
        last = source.first_end(start, stop)
        found, said = move(source.low, start, last), source.text[start:last]
        if last == stop or found or len(said) > _SHORT or "=" in said or any(map(str.isdigit, said)):
            return found
        start = last
    return ""


def outline(text: str, question: str, passages: tuple[Passage, ...], needless: Sequence[tuple[int, int]]) -> Outline:
    """Where the parts and approaches of a text begin.

    Args:
        needless: passages (first, end) that repeat something: the verification does not begin with one.

    Raises:
        Ambiguous: nothing is explored.
    """
    count = len(passages)
    least = max(1, min(int(count * (1 - _CONCLUSION)), count - 3))
    opened = [index for index in range(least, count) if passages[index].move not in ("", "restate", "plan", "conclude")]
    since = opened[-1] + 1 if opened else least
    verified = next((index for index in range(since, count) if passages[index].move == "conclude"), count)
    if verified == count > since and "\\boxed" in text[passages[-1].start :]:
        verified = count - 1
    understood = 0
    known = set(_WORD.findall(question.lower()))
    while understood < verified and _states_only(text, question, known, passages[understood]):
        understood += 1
    if understood == verified:
        raise Ambiguous("a conclusion without any work before it")
    understood -= understood > 0 and any(first == understood for first, _ in needless)
    checks = {index for first, end in needless for index in range(first, end)}
    starts = [understood]
    for index in range(understood + 1, verified):
        announced = passages[index - 1].end - passages[starts[-1]].start < _SHORT and starts[-1] == index - 1
        if passages[index].move in ("alternative", "case", "suppose") and not announced:
            starts.append(index)
    ends = (i for i in range(starts[-1] + 1, verified) if passages[i].move == "verify" and i not in checks)
    return Outline(passages, min(understood, 1), understood, next(ends, verified), verified, tuple(starts))


def _states_only(text: str, question: str, known: Set[str], passage: Passage) -> bool:
    """Whether a passage only restates the question or plans: no formula, no new number, few new words."""
    if passage.move not in ("", "restate", "plan"):
        return False
    said = text[passage.start : passage.end]
    words = set(_WORD.findall(said.lower())) - _COMMON
    new = words - known
    if any(word[0].isdigit() for word in new):
        return False
    if passage.move in ("restate", "plan"):
        return ("=" not in said or "=" in question) and not _CONCLUDES.search(said)
    return len(new) <= _NEW_WORDS * len(words) and not _INFERS.search(said)
