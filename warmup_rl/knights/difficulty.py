"""How hard a puzzle is to solve by thinking: the hypotheses that it takes beside plain deduction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from warmup_rl.knights.solver import full_table, person_tables, table
from warmup_rl.knights.statements import Statement, mentioned


class Difficulty(NamedTuple):
    """The search that proves who is what.

    Deduction takes one statement at a time: given the roles known so far, what do it and its speaker's role still
    allow? Where that ends, hypotheses are tried: each role that an unknown person may have, one after the other, and
    a role whose assumption leads to a contradiction is refuted. A round tries all of them before what is refuted is
    used, so that neither the names nor the order of the people matter.

    Attributes:
        hypotheses: tried in all (the branching of the search); 0 where deduction alone suffices.
        depth: the least nesting of hypotheses that suffices: 1 is no hypothesis under another.
    """

    hypotheses: int
    depth: int


class _Sentence(NamedTuple):
    fitting: int
    """The assignments in which it fits its speaker, as a table (see `solver`)."""
    persons: tuple[int, ...]
    """Tables of the people whom it can tell something about."""


def difficulty(statements: Sequence[Statement]) -> Difficulty:
    """The difficulty of a puzzle with exactly one solution."""
    people = len(statements)
    tables, full = person_tables(people), full_table(people)
    sentences = [
        _Sentence(
            full ^ tables[speaker] ^ table(statement, people),
            tuple(tables[person] for person in {speaker, *mentioned(statement)}),
        )
        for speaker, statement in enumerate(statements)
    ]
    for depth in range(people + 1):
        search = _Search(sentences, tables)
        known = search.close(full, depth)
        if not known & (known - 1):
            return Difficulty(search.hypotheses, depth)
    raise AssertionError("a puzzle has exactly one solution")


class _Search:
    """What is known is the table of the assignments that agree with the roles known so far."""

    def __init__(self, sentences: Sequence[_Sentence], tables: Sequence[int]) -> None:
        self.sentences, self.tables = sentences, tables
        self.hypotheses = 0

    def close(self, known: int, depth: int) -> int:
        """All that follows with so many hypotheses under each other; 0 after a contradiction."""
        while True:
            known = self._deduce(known)
            if not depth or not known & (known - 1):
                return known
            refuted = 0
            for person in self.tables:
                for role in (known & person, known & ~person):
                    if role == known or not role:
                        break
                    self.hypotheses += 1
                    if not self.close(role, depth - 1):
                        refuted |= role
            if not refuted:
                return known
            known &= ~refuted

    def _deduce(self, known: int) -> int:
        while True:
            before = known
            for fitting, persons in self.sentences:
                allowed = fitting & known
                if allowed == known:
                    continue
                for person in persons:
                    if not allowed & person:
                        known &= ~person
                    elif not allowed & ~person:
                        known &= person
                if not known or not allowed:
                    return 0
            if known == before:
                return known
