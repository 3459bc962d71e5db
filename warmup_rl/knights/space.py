"""How many puzzles a grammar holds: statements counted exactly, the share with one solution by sampling."""

from __future__ import annotations

import random
from functools import lru_cache
from math import comb, factorial, perm

from warmup_rl.knights.grammar import Grammar
from warmup_rl.knights.solver import consistent
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LIAR, NOT, OR, TRUTHFUL, Statement


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
    weights = [number for _, _, number in kinds]
    operator, operands, _ = rng.choices(kinds, weights)[0]
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
