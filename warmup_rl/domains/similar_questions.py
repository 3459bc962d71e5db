"""Which questions are nearly the same: groups that must stay on one side of a split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from warmup_rl.domains.rows import normal_question

T = TypeVar("T")
_BLOCK = 512


def groups_alike(items: Sequence[T], questions: Sequence[str], least: float) -> list[list[T]]:
    """Groups of items whose questions are alike, directly or through others; in order of first appearance.

    Questions with other numbers are other questions, however alike their words are.

    Args:
        least: normalized edit similarity (Indel) from which two questions are alike, of at most 1.
    """
    from rapidfuzz import fuzz
    from rapidfuzz.process import cdist

    texts = [normal_question(question) for question in questions]
    numbers = [sorted(re.findall(r"\d+", text)) for text in texts]
    leader = list(range(len(items)))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = place = leader[leader[place]]
        return place

    for start in range(0, len(texts), _BLOCK):
        scores = cdist(texts[start : start + _BLOCK], texts, scorer=fuzz.ratio, score_cutoff=100 * least)
        for row, column in zip(*scores.nonzero(), strict=True):
            here, there = start + int(row), int(column)
            if numbers[here] == numbers[there]:
                one, other = sorted((find(here), find(there)))
                leader[other] = one
    groups: dict[int, list[T]] = {}
    for place, item in enumerate(items):
        groups.setdefault(find(place), []).append(item)
    return list(groups.values())
