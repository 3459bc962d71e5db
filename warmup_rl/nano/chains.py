"""What the domains whose solution is a chain of numbered steps share: ranges, distinct drawing, anchors."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator

from warmup_rl.base.types import Problem, Split
from warmup_rl.interfaces.domain import split_of

Phrasing = Literal["english", "terse"]

PATIENCE = 3_000
"""Draws in a row without a new problem after which a split counts as exhausted."""


def _ordered(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] < 1 or value[1] < value[0]:
        raise ValueError(f"[min, max] with 1 <= min <= max is needed, got {list(value)}")
    return value


Span = Annotated[tuple[int, int], AfterValidator(_ordered)]
"""An inclusive range, `[min, max]` in YAML; each problem draws its value uniformly."""


def distinct(
    draw: Callable[[random.Random], tuple[str, Problem]], *, label: str, split: Split, seed: int
) -> Iterator[Problem]:
    """Problems of one split in the order that (label, split, seed) decide, each canonical key once.

    Args:
        draw: gives a canonical key and its problem.
    """
    rng = random.Random(f"{label}/{split}/{seed}")
    seen: set[str] = set()
    misses = 0
    while misses < PATIENCE:
        key, problem = draw(rng)
        if key in seen or split_of(key) != split:
            misses += 1
            continue
        misses = 0
        seen.add(key)
        yield problem


def goes_through(thinking: str, steps: int) -> bool:
    """Whether at least half of the anchors `#1 … #steps` of the question are visited in the thinking."""
    anchors = {int(number) for number in re.findall(r"#(\d+)", thinking)}
    return 2 * len(anchors & set(range(1, steps + 1))) >= steps
