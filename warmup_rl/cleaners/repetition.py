"""Drops traces caught in a loop: the end repeats itself, or a long stretch says nothing new."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from warmup_rl.base.types import Trace
from warmup_rl.interfaces.cleaner import CleanContext, Dropped, EachAlone

LOOP_WORDS = 40
"""Fewest words of a repeating end: a few repeated words are not a loop."""
PASSAGE_WORDS = 12
"""Length of the passages that are compared."""

_TAIL = 400
"""Characters that hold the words after the first round of the shortest loop."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+|[^\w\s]")


class Repetition(EachAlone):
    """Drops traces caught in loops, in time and memory linear in the length of a trace.

    A passage that occurs twice may be a re-check, and a case analysis repeats similar sentences with something new in
    each case. Therefore a loop is a passage that occurs for at least the third time with nothing new in between. The
    solver's traces, with each check done twice or all cases listed, reach at most 1.2 rounds and a share of 0.21.
    """

    type: ClassVar[str] = "repetition"

    rounds: int = Field(default=4, ge=2)
    """Repetitions of the same words at the end of the thinking (40 words in all or more; the last may be cut off)."""
    share: float = Field(default=0.3, gt=0, le=1)
    """Share of the thinking in its longest stretch of words whose every 12 occurred at least twice before."""

    def clean(self, context: CleanContext, trace: Trace) -> Trace | Dropped:
        if ends_in_loop(trace.thinking, self.rounds):
            return Dropped("ends in a loop")
        if stale_share(words_of(trace.thinking)) >= self.share:
            return Dropped("repeats itself")
        return trace


def words_of(thinking: str) -> list[str]:
    """Words and other signs in lower case."""
    return _WORD.findall(thinking.lower())


def ends_in_loop(thinking: str, rounds: int) -> bool:
    """Whether the words at the end repeat so often; the last one may have been cut off in its middle."""
    words, most = words_of(thinking[-_TAIL:])[:-1], LOOP_WORDS * (rounds - 1) // rounds
    together, end = "".join(thinking.lower().split()), "".join(words[-most:])
    latest = together[-_TAIL - len(together) // rounds :]
    if len(words) > most and latest.find(end) == latest.rfind(end):
        return False  # what ends a loop stands a round earlier, too
    return round_ending(words_of(thinking)[:-1], rounds) >= rounds


def round_ending(words: Sequence[str], fewest: int = 1) -> float:
    """How often the words repeat at their end; 1 if no repeating end has at least `LOOP_WORDS` words.

    The last repetition may be incomplete.

    Args:
        fewest: repetitions below which the result may be 1.
    """
    most = 1.0
    for period, common in enumerate(_matches(words[::-1], len(words) // fewest + 1)):
        if period and common and common + period >= LOOP_WORDS:
            most = max(most, (common + period) / period)
    return most


def stale_share(words: Sequence[str]) -> float:
    """Share of the words in the longest stretch whose every `PASSAGE_WORDS` in a row occurred at least twice before."""
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


def _matches(words: Sequence[str], places: int) -> list[int]:
    """For each of the first places, how many words from there on equal those at the beginning.

    It is the Z function, in linear time.
    """
    found = [0] * min(places, len(words))
    left = right = 0
    for place in range(1, len(found)):
        common = min(right - place, found[place - left]) if place < right else 0
        while place + common < len(words) and words[common] == words[place + common]:
            common += 1
        if place + common > right:
            left, right = place, place + common
        found[place] = common
    return found
