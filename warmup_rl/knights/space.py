"""How many puzzles a grammar holds: all of them enumerated where they are few, else estimated."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, combinations, permutations, product
from math import comb, factorial, perm

from warmup_rl.knights.canonical import canonical_key
from warmup_rl.knights.grammar import Grammar
from warmup_rl.knights.solver import consistent, full_table, person_tables, table
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LIAR, NOT, OR, TRUTHFUL, Statement

_MOST_COMBINATIONS = 300_000
"""Combinations of statements up to which all are gone through (about two seconds)."""


@lru_cache(maxsize=16)
def all_keys(people: int, grammar: Grammar) -> frozenset[str] | None:
    """The canonical keys of all puzzles of a grammar; None where they are too many or statements nest deeper than 2."""
    count = count_statements(people, grammar.depth, grammar.width)
    if grammar.depth != 2 or grammar.deeper or count**people > _MOST_COMBINATIONS:
        return None
    persons, full = person_tables(people), full_table(people)
    choices = [
        [(said, full ^ persons[speaker] ^ table(said, people)) for said in _statements(speaker, people, grammar.width)]
        for speaker in range(people)
    ]
    keys = set()
    for island in product(*choices):
        fitting = full
        for _, fits in island:
            fitting &= fits
        if fitting and not fitting & (fitting - 1):
            keys.add(canonical_key([said for said, _ in island]))
    return frozenset(keys)


@lru_cache(maxsize=256)
def count_statements(people: int, depth: int, width: int) -> int:
    """Statements that one person can make, the order of commutative operands aside."""
    leaves = 2 * people - 1
    if depth == 1:
        return leaves
    below = count_statements(people, depth - 1, width)
    operators = below + comb(below, 2) + perm(below, 2)
    return leaves + operators + 2 * sum(comb(below, operands) for operands in range(2, min(width, leaves) + 1))


def estimate_space(people: int, grammar: Grammar, samples: int = 400) -> str:
    """Distinct puzzles up to renaming, reordering and swapped operands, as text with two figures.

    Exact is the number of statements; the share of their combinations that have one solution is sampled with a fixed
    seed, so that the same grammar always gives the same text.
    """
    rng = random.Random(f"space/{people}/{grammar}")
    depth = grammar.depth + (grammar.deeper > 0)
    hits = 0
    for _ in range(samples):
        statements = [_uniform(rng, person, people, depth, grammar.width) for person in range(people)]
        fitting = consistent(statements)
        hits += bool(fitting) and not fitting & (fitting - 1)
    total = count_statements(people, depth, grammar.width) ** people // factorial(people) * hits // samples
    digits = len(str(total))
    return f"{round(total, 2 - digits):,}" if digits < 10 else f"10^{digits - 1}"


def _statements(speaker: int, people: int, width: int) -> Iterator[Statement]:
    """All statements of depth 2, the order of commutative operands aside."""
    leaves = [_leaf(number, speaker, people) for number in range(2 * people - 1)]
    yield from leaves
    yield from ((NOT, leaf) for leaf in leaves)
    yield from ((IFF, *pair) for pair in combinations(leaves, 2))
    yield from ((IMPLIES, *pair) for pair in permutations(leaves, 2))
    for operands in range(2, min(width, len(leaves)) + 1):
        yield from ((operator, *parts) for operator in (AND, OR) for parts in combinations(leaves, operands))


def _uniform(rng: random.Random, speaker: int, people: int, depth: int, width: int) -> Statement:
    """One of the statements that `count_statements` counts, each equally likely."""
    leaves = 2 * people - 1
    if depth == 1:
        return _leaf(rng.randrange(leaves), speaker, people)
    below = count_statements(people, depth - 1, width)
    choice = rng.randrange(count_statements(people, depth, width))
    if choice < leaves:
        return _leaf(choice, speaker, people)
    kinds = [(NOT, 1, below), (IFF, 2, comb(below, 2)), (IMPLIES, 2, perm(below, 2))]
    kinds += [(op, count, comb(below, count)) for op in (AND, OR) for count in range(2, min(width, leaves) + 1)]
    choice -= leaves
    place = bisect_right(list(accumulate(number for _, _, number in kinds)), choice)  # too large for random.choices
    operator, operands, _ = kinds[place]
    parts: list[Statement] = []
    while len(parts) < operands:
        part = _uniform(rng, speaker, people, depth - 1, width)
        if part not in parts:
            parts.append(part)
    return (operator, *parts)


def _leaf(number: int, speaker: int, people: int) -> Statement:
    if number < people:
        return (TRUTHFUL, number)
    person = number - people
    return (LIAR, person + (person >= speaker))
