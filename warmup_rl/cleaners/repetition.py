"""Drops traces that are caught in a loop: the end goes round and round, or for long nothing is said that is new."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar

from pydantic import Field

from warmup_rl.base.types import Trace
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped

LOOP_WORDS = 40
"""Words that a round ending holds at least: a few repeated words at the end are no loop."""
PASSAGE_WORDS = 12
"""Length of the passages that are looked for again."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+|[^\w\s]")


class Repetition(Cleaner):
    """Drops traces caught in loops; time and memory grow linearly with the length of a trace.

    What comes twice is a re-check, and going through cases says similar things often, but with something new in each
    case. So a loop is what comes for the third time and more with nothing new in between. Traces of the solver, with
    each check done twice or all cases gone through, reach 1.2 rounds and a share of 0.21 at most.
    """

    type: ClassVar[str] = "repetition"

    rounds: int = Field(default=4, ge=2)
    """Times in a row that the thinking ends on the same words (40 in all at least), cut off in the middle or not."""
    share: float = Field(default=0.3, gt=0, le=1)
    """Share of the thinking that the longest stretch holds in which any 12 words have come at least twice before."""

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        def clean(trace: Trace) -> Trace | Dropped:
            words = _WORD.findall(trace.thinking.lower())
            if round_ending(words[:-1]) >= self.rounds:  # the last word may have been cut off in its middle
                return Dropped("ends in a loop")
            if stale_share(words) >= self.share:
                return Dropped("repeats itself")
            return trace

        return clean


def round_ending(words: Sequence[str]) -> float:
    """How many times over the words end on the same ones, the longest such ending of at least `LOOP_WORDS` counting; 1
    where there is none. The last round may be unfinished."""
    most = 1.0
    for period, common in enumerate(_matches(words[::-1])):
        if period and common and common + period >= LOOP_WORDS:
            most = max(most, (common + period) / period)
    return most


def stale_share(words: Sequence[str]) -> float:
    """Share of the words in the longest stretch whose every `PASSAGE_WORDS` in a row have come twice before or more."""
    seen: Counter[tuple[str, ...]] = Counter()
    longest = begun = 0
    for start in range(len(words) - PASSAGE_WORDS + 1):
        passage = tuple(words[start : start + PASSAGE_WORDS])
        seen[passage] += 1
        if seen[passage] < 3:
            begun = start + 1
        else:
            longest = max(longest, start + PASSAGE_WORDS - begun)
    return longest / len(words) if words else 0.0


def _matches(words: Sequence[str]) -> list[int]:
    """For each place, how many words from there on are those of the beginning (the Z function, in linear time)."""
    found = [0] * len(words)
    left = right = 0
    for place in range(1, len(words)):
        common = min(right - place, found[place - left]) if place < right else 0
        while place + common < len(words) and words[common] == words[place + common]:
            common += 1
        if place + common > right:
            left, right = place, place + common
        found[place] = common
    return found
