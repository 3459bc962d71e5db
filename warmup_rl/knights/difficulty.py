"""Difficulty of a puzzle: the number of hypotheses needed in addition to plain deduction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from warmup_rl.knights.solver import full_table, person_tables, table
from warmup_rl.knights.statements import Statement, mentioned


class Difficulty(NamedTuple):
    """Size of the search that proves the solution.

    Deduction uses one statement at a time: which roles does it allow, given the roles known so far? When deduction
    finds nothing more, hypotheses are tried: each possible role of each unknown person. A role that leads to a
    contradiction is refuted. Each round tries all hypotheses before it uses what was refuted, so neither names nor the
    order of people matter.

    Attributes:
        hypotheses: total number of hypotheses tried; 0 if deduction is sufficient.
        depth: minimum nesting of hypotheses; 1 if none is made inside another.
    """

    hypotheses: int
    depth: int


_Sentence = tuple[int, tuple[int, ...]]
"""The assignments in which a statement is consistent with its speaker, and the speaker and people mentioned, as tables
(see `solver`)."""


def difficulty(statements: Sequence[Statement]) -> Difficulty:
    """The difficulty of a puzzle with exactly one solution."""
    people = len(statements)
    tables, full = person_tables(people), full_table(people)
    sentences = [
        (
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
    """`known` is the table of the assignments that agree with the roles known so far."""

    def __init__(self, sentences: Sequence[_Sentence], tables: Sequence[int]) -> None:
        self.sentences, self.tables = sentences, tables
        self.hypotheses = 0

    def close(self, known: int, depth: int) -> int:
        """What follows with up to `depth` nested hypotheses; 0 after a contradiction."""
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
                if not allowed:
                    return 0
                for person in persons:
                    if not allowed & person:
                        known &= ~person
                    elif not allowed & ~person:
                        known &= person
            if known == before:
                return known
