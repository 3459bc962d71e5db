"""The puzzle, and a seeded generator of puzzles with exactly one solution."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from warmup_rl.base.errors import DataError, SpaceError
from warmup_rl.knights.solver import full_table, person_tables, solutions
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LIAR, NOT, OR, TRUTHFUL, Statement

DRAWS_PER_PUZZLE = 20_000
"""Draws without a puzzle after which a setting counts as impossible; else about one in three draws is a puzzle."""
MOST_PEOPLE = 20
"""People up to whom a puzzle is solved: truth tables have 2^people bits."""

_Said = tuple[Statement, int]
"""A statement and its truth table."""
_Table = tuple[Sequence[_Said], Sequence[_Said], Sequence[Sequence[_Said]]]
_MOST_TABLED = 8
"""People up to whom the statements of the published grammar are all kept (for 8 people some megabytes)."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The two words of a puzzle for those who tell the truth and those who lie."""

    truthful: str = "knight"
    liar: str = "knave"

    def of(self, truthful: bool) -> str:
        return self.truthful if truthful else self.liar


KNIGHTS = Roles()


@dataclass(frozen=True, slots=True)
class Puzzle:
    """People, what each of them says, and the one way in which it fits.

    Attributes:
        statements: statement i is said by person i.
        solution: entry i says whether person i tells the truth.
    """

    names: tuple[str, ...]
    statements: tuple[Statement, ...]
    solution: tuple[bool, ...]
    roles: Roles = KNIGHTS

    @property
    def people(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Grammar:
    """What people may say.

    Attributes:
        depth: height of the largest statement; 1 is "X is a knight", 2 has one operator (published default).
        width: operands of the widest "and" and "or" (published default 2).
        deeper: share of statements drawn with depth + 1.
    """

    depth: int = 2
    width: int = 2
    deeper: float = 0.0


def make_puzzle(names: Sequence[str], statements: Sequence[Statement], roles: Roles = KNIGHTS) -> Puzzle:
    """A puzzle out of its text's content, solved.

    Raises:
        DataError: names repeat, there is not one statement a person, there are more than 20 people, or not exactly
            one solution.
    """
    if len(names) > MOST_PEOPLE:
        raise DataError(f"a puzzle of {len(names)} people is too large; at most {MOST_PEOPLE} can be solved.")
    if len(set(names)) < len(names) or len(names) != len(statements) or not names:
        raise DataError(
            f"a puzzle needs distinct names with one statement each: got {list(names)}, {len(statements)} statements."
        )
    found = solutions(statements)
    if len(found) != 1:
        raise DataError(f"a puzzle needs exactly one solution; this one of {', '.join(names)} has {len(found)}.")
    return Puzzle(tuple(names), tuple(statements), found[0], roles)


def draw_puzzle(
    rng: random.Random, people: int, grammar: Grammar, names: Sequence[str], roles: Sequence[Roles] = (KNIGHTS,)
) -> Puzzle:
    """A random puzzle with exactly one solution.

    Args:
        names: pool of at least `people` names.
        roles: pairs of role words, one is picked.

    Raises:
        SpaceError: the pool is too small, or no puzzle was met in 20,000 draws.
    """
    if len(names) < people:
        raise SpaceError(f"{people} people need as many names, {len(names)} are given. Give more names.")
    statements, index = draw_statements(rng, people, grammar)
    solution = tuple(not index >> person & 1 for person in range(people))
    words = roles[int(rng.random() * len(roles))]
    return Puzzle(tuple(rng.sample(names, people)), statements, solution, words)


def draw_statements(rng: random.Random, people: int, grammar: Grammar) -> tuple[tuple[Statement, ...], int]:
    """Statements with exactly one solution, and the number of that assignment (see `solver.assignment`).

    Each statement is drawn at random, and all are drawn anew until one solution is left, as in arXiv 2410.23123.

    Raises:
        SpaceError: none was met in 20,000 draws.
    """
    if people < 2:
        raise SpaceError(f"people={people}: puzzles with exactly one solution exist from 2 people on.")
    full, leaves = full_table(people), [_leaves(people, person) for person in range(people)]
    agrees = [full ^ table for table in person_tables(people)]
    draw, deeper, depth, width = rng.random, grammar.deeper, grammar.depth, grammar.width
    published = people <= _MOST_TABLED and grammar == Grammar()
    tables = [_table_of(people, person) for person in range(people)] if published else None
    for _ in range(DRAWS_PER_PUZZLE):
        fitting, statements = full, []
        for person in range(people):
            if tables:
                statement, truth = _draw_tabled(draw, tables[person])
            else:
                height = depth + 1 if deeper and draw() < deeper else depth
                statement, truth = _draw_statement(draw, leaves[person], full, height, width)
            fitting &= agrees[person] ^ truth
            if not fitting:
                break
            statements.append(statement)
        if fitting and not fitting & (fitting - 1):
            return tuple(statements), fitting.bit_length() - 1
    raise SpaceError(
        f"no puzzle with exactly one solution in {DRAWS_PER_PUZZLE} draws with people={people}, depth={depth}, "
        f"width={width}, deeper={deeper}. Puzzles exist from 2 people, depth 2 and width 2 on."
    )


def draw_statement(rng: random.Random, speaker: int, people: int, grammar: Grammar) -> Statement:
    """One random statement of the grammar, as said by `speaker`."""
    height = grammar.depth + (bool(grammar.deeper) and rng.random() < grammar.deeper)
    return _draw_statement(rng.random, _leaves(people, speaker), full_table(people), height, grammar.width)[0]


def _draw_statement(draw: Callable[[], float], leaves: Sequence[_Said], full: int, depth: int, width: int) -> _Said:
    """A statement with its truth table; operands differ, as published."""
    kind = int(draw() * 6) if depth > 1 else 0
    if kind == 0:
        return leaves[int(draw() * len(leaves))]
    if kind == 1:
        statement, truth = _draw_statement(draw, leaves, full, depth - 1, width)
        return (NOT, statement), full ^ truth
    count = 2 if kind > 3 or width == 2 else 2 + int(draw() * (min(width, len(leaves)) - 1))
    parts: list[Statement] = []
    truths: list[int] = []
    while len(parts) < count:
        if depth == 2:
            statement, truth = leaves[int(draw() * len(leaves))]
        else:
            statement, truth = _draw_statement(draw, leaves, full, depth - 1, width)
        if statement not in parts:
            parts.append(statement)
            truths.append(truth)
    return _combine(kind, parts, truths, full)


def _draw_tabled(draw: Callable[[], float], table: _Table) -> _Said:
    """What `_draw_statement` draws in the published grammar, looked up in place of built."""
    leaves, negated, pairs = table
    kind, count = int(draw() * 6), len(leaves)
    if kind == 0:
        return leaves[int(draw() * count)]
    if kind == 1:
        return negated[int(draw() * count)]
    first = second = int(draw() * count)
    while second == first:
        second = int(draw() * count)
    return pairs[kind - 2][first * count + second]


@lru_cache(maxsize=64)
def _table_of(people: int, speaker: int) -> _Table:
    """All statements of the published grammar: leaves, their negations, and for each operator all pairs of leaves."""
    leaves, full = _leaves(people, speaker), full_table(people)
    negated = [((NOT, said), full ^ truth) for said, truth in leaves]
    pairs = [
        [_combine(kind, (one[0], other[0]), (one[1], other[1]), full) for one in leaves for other in leaves]
        for kind in range(2, 6)
    ]
    return leaves, negated, pairs


@lru_cache(maxsize=256)
def _leaves(people: int, speaker: int) -> tuple[_Said, ...]:
    """What can be said of one person; as published, nobody calls himself a liar outright."""
    persons, full = person_tables(people), full_table(people)
    honest = [((TRUTHFUL, person), persons[person]) for person in range(people)]
    lying = [((LIAR, person), full ^ persons[person]) for person in range(people) if person != speaker]
    return (*honest, *lying)


def _combine(kind: int, parts: Sequence[Statement], truths: Sequence[int], full: int) -> _Said:
    first, second = truths[0], truths[1]
    if kind == 4:
        return (IMPLIES, *parts), full ^ first | second
    if kind == 5:
        return (IFF, *parts), full ^ first ^ second
    for truth in truths[1:]:
        first = first & truth if kind == 2 else first | truth
    return (AND if kind == 2 else OR, *parts), first
