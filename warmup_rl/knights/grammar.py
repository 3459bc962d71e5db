"""Puzzles, and a random generator of puzzles with exactly one solution."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from warmup_rl.base.errors import DataError, SpaceError
from warmup_rl.knights.solver import assignment, full_table, person_tables, solutions, table
from warmup_rl.knights.statements import AND, IFF, IMPLIES, NOT, OR, Statement, leaves

DRAWS_PER_PUZZLE = 20_000
"""Draws without a puzzle after which settings count as impossible; usually one draw in three gives a puzzle."""
MOST_PEOPLE = 20
"""Largest number of people; truth tables have 2^people bits."""

_OPERATORS = (AND, OR, IMPLIES, IFF)
_Tabled = tuple[Statement, int]
"""A statement and its truth table."""
_Tables = tuple[list[_Tabled], list[_Tabled], list[list[_Tabled]]]
_MOST_TABLED = 8
"""Number of people up to which all statements of the published grammar are kept in memory (some MB for 8 people)."""


class Roles(NamedTuple):
    """A puzzle's two words: for people who tell the truth, and for people who lie."""

    truthful: str = "knight"
    liar: str = "knave"

    def of(self, truthful: bool) -> str:
        return self.truthful if truthful else self.liar


KNIGHTS = Roles()


class Puzzle(NamedTuple):
    """People, what each of them says, and the only solution.

    Attributes:
        statements: statement i is made by person i.
        solution: entry i is true if person i tells the truth.
    """

    names: tuple[str, ...]
    statements: tuple[Statement, ...]
    solution: tuple[bool, ...]
    roles: Roles = KNIGHTS

    @property
    def people(self) -> int:
        return len(self.names)


class Grammar(NamedTuple):
    """Which statements are possible; the defaults are those of the published data.

    Attributes:
        depth: maximum height of a statement; 1 is "X is a knight", 2 has one operator.
        width: maximum number of operands of "and" and "or".
        deeper: share of statements drawn with depth + 1.
    """

    depth: int = 2
    width: int = 2
    deeper: float = 0.0


def make_puzzle(names: Sequence[str], statements: Sequence[Statement], roles: Roles = KNIGHTS) -> Puzzle:
    """Solves a puzzle.

    Raises:
        DataError: names repeat, the number of statements differs from the number of people, there are more than 20
            people, or there is not exactly one solution.
    """
    if len(names) > MOST_PEOPLE:
        raise DataError(f"a puzzle of {len(names)} people is too large; at most {MOST_PEOPLE} are allowed.")
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
    """Draws a random puzzle with exactly one solution.

    Args:
        names: pool of at least `people` names.
        roles: pairs of role words; one is picked.

    Raises:
        SpaceError: the pool is too small, or no puzzle was found in 20,000 draws.
    """
    if len(names) < people:
        raise SpaceError(f"{people} people need as many names, got {len(names)}. Give more names.")
    statements, index = draw_statements(rng, people, grammar)
    words = roles[int(rng.random() * len(roles))]
    return Puzzle(tuple(rng.sample(names, people)), statements, assignment(index, people), words)


def draw_statements(rng: random.Random, people: int, grammar: Grammar) -> tuple[tuple[Statement, ...], int]:
    """Draws statements with exactly one solution; also returns the index of the solution (see `solver.assignment`).

    Each statement is drawn at random, and all are redrawn until there is one solution, as in arXiv 2410.23123.

    Raises:
        SpaceError: no puzzle in 20,000 draws.
    """
    if people < 2:
        raise SpaceError(f"people={people}: puzzles with exactly one solution need at least 2 people.")
    full, draw = full_table(people), rng.random
    agrees = [full ^ table for table in person_tables(people)]
    tabled = people <= _MOST_TABLED and grammar == Grammar()
    tables = [_all_published(person, people) for person in range(people)] if tabled else None
    for _ in range(DRAWS_PER_PUZZLE):
        fitting, statements = full, []
        for person in range(people):
            if tables:
                statement, truth = _draw_tabled(draw, tables[person])
            else:
                statement = draw_statement(rng, person, people, grammar)
                truth = table(statement, people)
            fitting &= agrees[person] ^ truth
            if not fitting:
                break
            statements.append(statement)
        if fitting and not fitting & (fitting - 1):
            return tuple(statements), fitting.bit_length() - 1
    raise SpaceError(
        f"no puzzle with exactly one solution in {DRAWS_PER_PUZZLE} draws with people={people}, depth={grammar.depth}, "
        f"width={grammar.width}, deeper={grammar.deeper}. Use at least 2 people, depth 2 and width 2."
    )


def draw_statement(rng: random.Random, speaker: int, people: int, grammar: Grammar) -> Statement:
    """Draws one statement that `speaker` can make."""
    height = grammar.depth + (bool(grammar.deeper) and rng.random() < grammar.deeper)
    return _draw_statement(rng.random, leaves(speaker, people), height, grammar.width)


def _draw_statement(draw: Callable[[], float], choices: Sequence[Statement], depth: int, width: int) -> Statement:
    """The operands of one operator differ, as in the published data."""
    kind = int(draw() * 6) if depth > 1 else 0
    if kind == 0:
        return choices[int(draw() * len(choices))]
    if kind == 1:
        return (NOT, _draw_statement(draw, choices, depth - 1, width))
    operator = _OPERATORS[kind - 2]
    wide = operator in (AND, OR) and width > 2
    count = 2 + int(draw() * (min(width, len(choices)) - 1)) if wide else 2
    parts: list[Statement] = []
    while len(parts) < count:
        part = _draw_statement(draw, choices, depth - 1, width)
        if part not in parts:
            parts.append(part)
    return (operator, *parts)


def _draw_tabled(draw: Callable[[], float], tables: _Tables) -> _Tabled:
    """Draws what `_draw_statement` draws with the published grammar, from a lookup table."""
    single, negated, pairs = tables
    kind, count = int(draw() * 6), len(single)
    if kind == 0:
        return single[int(draw() * count)]
    if kind == 1:
        return negated[int(draw() * count)]
    first = second = int(draw() * count)
    while second == first:
        second = int(draw() * count)
    return pairs[kind - 2][first * count + second]


@lru_cache(maxsize=64)
def _all_published(speaker: int, people: int) -> _Tables:
    """All statements of the published grammar: leaves, negated leaves, and for each operator all pairs of leaves."""

    def tabled(statements: Iterable[Statement]) -> list[_Tabled]:
        return [(statement, table(statement, people)) for statement in statements]

    own = leaves(speaker, people)
    pairs = [tabled((operator, *pair) for pair in product(own, repeat=2)) for operator in _OPERATORS]
    return tabled(own), tabled((NOT, leaf) for leaf in own), pairs
