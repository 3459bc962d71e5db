"""The segments of a chain of thought: which characters explore, verify, backtrack or conclude."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, get_args

from warmup_rl.dlcot.markers import lowered, move
from warmup_rl.dlcot.structure import Span
from warmup_rl.dlcot.text import sentences
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT

SegmentKind = Literal["exploration", "verification", "backtracking", "conclusion"]
SEGMENT_KINDS: tuple[SegmentKind, ...] = get_args(SegmentKind)

_GOES_BACK = re.compile(
    r"(?:[\W_]*(?:but|so|oh|no|and)\b)*[\W_]*(?:going back|back to|wait|hmm+|actually|scratch that|"
    r"therefore the hypothesis was wrong|(?:so )?(?:this|that|the) (?:\w+ ){0,2}"
    r"(?:fails|is wrong|was wrong|doesn['’]t work|does not work|is ruled out))\b",
    re.IGNORECASE,
)
_SOLVED = re.compile(r"now everybody has a role|this works out for all", re.IGNORECASE)


def segments(thinking: str) -> tuple[tuple[SegmentKind, Span], ...]:
    """A partition of a thinking into segments, in order; adjacent segments of one kind are one span.

    For a terse chain, which names its cases, this is exact. `exploration`: opening the first case, and the checks of
    cases that fail or are given up. `backtracking`: opening a case after another one failed or was given up, `wait`,
    and the check that corrects a slip. `verification`: the checks of the case that fits, and all re-checks.
    `conclusion`: `solved` and `so`.

    For English it is an approximation by the first words of sentences: a verification extends to the end of its
    paragraph, a conclusion until something else is opened, and everything else is exploration.
    """
    found = _terse(thinking) if thinking.split(maxsplit=1)[:1] in ([NEXT], [SO]) else _english(thinking)
    return tuple(
        (segment, Span(spans[0].start, spans[-1].end))
        for segment, group in groupby(found, key=lambda pair: pair[0])
        for spans in [[span for _, span in group]]
    )


def _terse(thinking: str) -> Iterator[tuple[SegmentKind, Span]]:
    spans = sentences(thinking)
    by_words = [thinking[span.start : span.end].split() for span in spans]
    checks: SegmentKind = "exploration"
    before: list[str] = []
    for number, (words, span) in enumerate(zip(by_words, spans, strict=True)):
        kind = words[1] if len(words) > 1 else ""
        if words[0] == SO or kind == "solved":
            yield "conclusion", span
        elif kind == WAIT:
            yield "verification" if _opens(by_words, number + 1) == RECHECK else "backtracking", span
        elif kind == RECHECK:
            checks = "verification"
            yield checks, span
        elif kind.startswith("case"):
            checks = "verification" if _fits(by_words, number) else "exploration"
            yield "backtracking" if before[-1:] == ["bad"] or before[1:] == [WAIT] else "exploration", span
        else:
            yield "backtracking" if before[1:] == [WAIT] else checks, span
        before = words


def _opens(by_words: Sequence[list[str]], number: int) -> str:
    """The word after `next` of a sentence; empty if there is none."""
    return by_words[number][1] if number < len(by_words) and len(by_words[number]) > 1 else ""


def _fits(by_words: Sequence[list[str]], opening: int) -> bool:
    """Whether the case that a sentence opens is checked completely without a contradiction."""
    verdict = ""
    for number in range(opening + 1, len(by_words)):
        kind = _opens(by_words, number)
        if kind.startswith("#"):
            verdict = by_words[number][-1]
        elif kind != WAIT:
            return verdict == "ok" and not kind.startswith("case")
    return verdict == "ok"


def _english(thinking: str) -> Iterator[tuple[SegmentKind, Span]]:
    running: SegmentKind = "exploration"
    low = lowered(thinking)
    for span in sentences(thinking):
        opened = move(low, span.start, span.end)
        goes_back = False
        if opened == "verify":
            running = "verification"
        elif opened == "conclude" or _SOLVED.match(thinking, span.start):
            running = "conclusion"
        elif running != "verification" and (opened == "alternative" or _GOES_BACK.match(thinking, span.start)):
            running, goes_back = "exploration", True
        yield "backtracking" if goes_back else running, span
        if running == "verification" and thinking[span.start : span.end].endswith("\n\n"):
            running = "exploration"
