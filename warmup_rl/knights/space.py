"""Number of puzzles of a grammar: counted by enumeration where feasible, otherwise estimated by sampling."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, combinations, permutations, product
from math import comb, factorial, perm

from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.grammar import Grammar
from warmup_rl.knights.solver import consistent
from warmup_rl.knights.statements import AND, IFF, IMPLIES, NOT, OR, Statement, leaves

_MOST_COMBINATIONS = 300_000
"""Combinations of statements up to which all are enumerated (about two seconds)."""


@lru_cache(maxsize=16)
def all_keys(people: int, grammar: Grammar) -> frozenset[str] | None:
    """The canonical keys of all puzzles of a grammar; None if there are too many or statements are deeper than 2."""
    count = count_statements(people, grammar.depth, grammar.width)
    if grammar.depth != 2 or grammar.deeper or count**people > _MOST_COMBINATIONS:
        return None
    choices = [list(_statements(speaker, people, grammar.width)) for speaker in range(people)]
    return frozenset(canonical_key(island) for island in product(*choices) if _has_one_solution(island))


@lru_cache(maxsize=256)
def count_statements(people: int, depth: int, width: int) -> int:
    """Number of statements that one person can make, regardless of the order of commutative operands."""
    own = 2 * people - 1
    if depth == 1:
        return own
    return own + sum(number for _, _, number in _operators(people, depth, width))


def estimate_space(people: int, grammar: Grammar, samples: int = 400) -> str:
    """Number of distinct puzzles up to renaming, reordering and swapped operands, as text with two figures.

    The number of statements is exact. The share of their combinations with one solution is sampled with a fixed seed,
    so the same grammar always gives the same text.
    """
    rng = random.Random(f"space/{people}/{grammar}")
    depth = grammar.depth + (grammar.deeper > 0)
    hits = sum(
        _has_one_solution([_uniform(rng, person, people, depth, grammar.width) for person in range(people)])
        for _ in range(samples)
    )
    total = count_statements(people, depth, grammar.width) ** people // factorial(people) * hits // samples
    digits = len(str(total))
    return f"{round(total, 2 - digits):,}" if digits < 10 else f"10^{digits - 1}"


def _has_one_solution(statements: list[Statement] | tuple[Statement, ...]) -> bool:
    return consistent(statements).bit_count() == 1


@lru_cache(maxsize=256)
def _operators(people: int, depth: int, width: int) -> list[tuple[str, int, int]]:
    """Each operator with each possible number of operands, and how many statements have these at the root."""
    below = count_statements(people, depth - 1, width)
    wide = [(operator, count) for operator in (AND, OR) for count in range(2, min(width, 2 * people - 1) + 1)]
    fixed = [(NOT, 1, below), (IFF, 2, comb(below, 2)), (IMPLIES, 2, perm(below, 2))]
    return fixed + [(operator, count, comb(below, count)) for operator, count in wide]


def _statements(speaker: int, people: int, width: int) -> Iterator[Statement]:
    """All statements of depth 2, regardless of the order of commutative operands."""
    own = leaves(speaker, people)
    yield from own
    for operator, count, _ in _operators(people, 2, width):
        choose = permutations if operator == IMPLIES else combinations
        yield from ((operator, *parts) for parts in choose(own, count))


def _uniform(rng: random.Random, speaker: int, people: int, depth: int, width: int) -> Statement:
    """Draws one of the statements counted by `count_statements`, each with the same probability."""
    own = leaves(speaker, people)
    choice = rng.randrange(count_statements(people, depth, width))
    if choice < len(own):
        return own[choice]
    kinds = _operators(people, depth, width)
    # The numbers can be too large for random.choices.
    place = bisect_right(list(accumulate(number for _, _, number in kinds)), choice - len(own))
    operator, count, _ = kinds[place]
    parts: list[Statement] = []
    while len(parts) < count:
        part = _uniform(rng, speaker, people, depth - 1, width)
        if part not in parts:
            parts.append(part)
    return (operator, *parts)
