"""Exact solver: the truth of a person or statement in all 2^n assignments is one 2^n-bit integer (a table)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

from warmup_rl.knights.statements import AND, CACHED, IMPLIES, LIAR, NOT, OR, TRUTHFUL, Statement

_MOST_KEPT = 8
"""Number of people up to which tables are kept; one of 20 people has 128 KB."""
RoleTables = tuple[int, int]
"""The tables of the assignments in which a person tells the truth, and in which they lie."""
Given = ParamSpec("Given")
Made = TypeVar("Made")


def kept(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """A function, its last argument the number of people, that keeps what it makes while tables are small."""
    cached: Callable[..., Made] = lru_cache(maxsize=CACHED)(make)

    @wraps(make)
    def made(*given: Any) -> Made:
        return (cached if given[-1] <= _MOST_KEPT else cast(Callable[..., Made], make))(*given)

    return cast(Callable[Given, Made], made)


@lru_cache(maxsize=64)
def person_tables(people: int) -> tuple[int, ...]:
    """Table of each person: bit a is set if the person tells the truth in assignment a (see `assignment`)."""
    full = full_table(people)
    return tuple(full // ((1 << (1 << person)) + 1) for person in range(people))


@lru_cache(maxsize=64)
def role_tables(people: int) -> list[RoleTables]:
    """For each person the tables of telling the truth and of lying."""
    return [(truthful, full_table(people) ^ truthful) for truthful in person_tables(people)]


@lru_cache(maxsize=64)
def full_table(people: int) -> int:
    """The table that is true in all 2^people assignments."""
    return (1 << (1 << people)) - 1


@kept
def table(statement: Statement, people: int) -> int:
    """Truth table of a statement: bit a is set if it is true in assignment a."""
    return _table(statement, person_tables(people), full_table(people))


def consistent(statements: Sequence[Statement]) -> int:
    """Table of the assignments in which exactly the truthful people make true statements."""
    people = len(statements)
    persons, full = person_tables(people), full_table(people)
    fitting = full
    for person, statement in zip(persons, statements, strict=True):
        fitting &= ~(person ^ _table(statement, persons, full))
    return fitting


def solutions(statements: Sequence[Statement]) -> list[tuple[bool, ...]]:
    """All solutions; entry i of a solution is true if person i tells the truth."""
    fitting, people = consistent(statements), len(statements)
    found = []
    while fitting:
        lowest = fitting & -fitting
        found.append(assignment(lowest.bit_length() - 1, people))
        fitting ^= lowest
    return found


def assignment(index: int, people: int) -> tuple[bool, ...]:
    """Assignment number `index` of 2^people: person i lies if bit i is set; in assignment 0 everybody is truthful."""
    return tuple(not index >> person & 1 for person in range(people))


def assignment_index(truthful: Sequence[bool]) -> int:
    """Inverse of `assignment`."""
    return sum(1 << person for person, honest in enumerate(truthful) if not honest)


def _table(statement: Statement, persons: Sequence[int], full: int) -> int:
    operator = statement[0]
    if operator == TRUTHFUL:
        return persons[statement[1]]
    if operator == LIAR:
        return full ^ persons[statement[1]]
    first = _table(statement[1], persons, full)
    if operator == NOT:
        return full ^ first
    for part in statement[2:]:
        other = _table(part, persons, full)
        if operator == AND:
            first &= other
        elif operator == OR:
            first |= other
        elif operator == IMPLIES:
            first = full ^ first | other
        else:
            first = full ^ first ^ other
    return first
