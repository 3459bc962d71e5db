"""Statements: logic trees in the tuple notation of the published Knights & Knaves data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from warmup_rl.base.errors import DataError

TRUTHFUL, LIAR = "telling-truth", "lying"
LEAVES = (TRUTHFUL, LIAR)
NOT, AND, OR, IMPLIES, IFF = "not", "and", "or", "->", "<=>"
COMMUTATIVE = frozenset((AND, OR, IFF))
CACHED = 1 << 14
"""Statements that a cache keeps; the published grammar has some 3,000 for 8 people."""

_OPERANDS = {NOT: range(1, 2), AND: range(2, 100), OR: range(2, 100), IMPLIES: range(2, 3), IFF: range(2, 3)}

Statement = tuple[Any, ...]
"""`("telling-truth", i)`, `("lying", i)`, `("not", s)`, `("and" | "or", s, s, ...)`, `("->", s, s)` or `("<=>", s, s)`;
people are numbered from 0 (notation of arXiv 2410.23123)."""


def evaluate(statement: Statement, truthful: Sequence[bool] | Mapping[int, bool]) -> bool:
    """Whether the statement is true when `truthful[i]` says whether person i tells the truth."""
    operator = statement[0]
    if operator == TRUTHFUL:
        return truthful[statement[1]]
    if operator == LIAR:
        return not truthful[statement[1]]
    values = [evaluate(part, truthful) for part in statement[1:]]
    if operator == NOT:
        return not values[0]
    if operator == AND:
        return all(values)
    if operator == OR:
        return any(values)
    if operator == IMPLIES:
        return values[1] or not values[0]
    return values[0] == values[1]


def is_leaf(statement: Statement) -> bool:
    """Whether the statement only says which role one person has."""
    return statement[0] in LEAVES


@lru_cache(maxsize=256)
def leaves(speaker: int, people: int) -> tuple[Statement, ...]:
    """All leaves that `speaker` can say; as in the published data, nobody calls themselves a liar."""
    lying = [(LIAR, person) for person in range(people) if person != speaker]
    return (*((TRUTHFUL, person) for person in range(people)), *lying)


@lru_cache(maxsize=CACHED)
def mentioned(statement: Statement) -> tuple[int, ...]:
    """People that a statement is about, each once, in order of appearance."""
    found: dict[int, None] = {}
    _mention(statement, found)
    return tuple(found)


def relabel(statement: Statement, new_number: Sequence[int]) -> Statement:
    """The statement with person i renumbered to `new_number[i]`."""
    if is_leaf(statement):
        return (statement[0], new_number[statement[1]])
    return (statement[0], *(relabel(part, new_number) for part in statement[1:]))


def statement_from_json(value: Any, people: int) -> Statement:
    """Converts nested lists or tuples to a statement.

    Raises:
        DataError: not a statement, or a person's number is not in `range(people)`.
    """
    if not isinstance(value, list | tuple) or not value:
        raise DataError(f"not a statement: {value!r}. Needed: e.g. ['and', ['telling-truth', 0], ['lying', 1]].")
    operator, *parts = value
    if operator in LEAVES:
        if len(parts) != 1 or type(parts[0]) is not int or not 0 <= parts[0] < people:
            raise DataError(f"not a statement about one of {people} people (numbered from 0): {value!r}.")
        return (operator, parts[0])
    if not isinstance(operator, str) or operator not in _OPERANDS:
        raise DataError(f"unknown operator {operator!r} in {value!r}. Allowed: {', '.join((*LEAVES, *_OPERANDS))}.")
    if len(parts) not in _OPERANDS[operator]:
        raise DataError(f"operator {operator!r} cannot have {len(parts)} operands: {value!r}.")
    return (operator, *(statement_from_json(part, people) for part in parts))


def _mention(statement: Statement, found: dict[int, None]) -> None:
    if statement[0] in LEAVES:
        found[statement[1]] = None
    else:
        for part in statement[1:]:
            _mention(part, found)
