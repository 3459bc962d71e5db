"""Difficulty of a puzzle: the number of hypotheses needed in addition to plain deduction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from warmup_rl.knights.solver import RoleTables, full_table, kept, role_tables, table
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


_Sentence = tuple[int, tuple[RoleTables, ...]]
"""The table of the assignments in which a statement is consistent with its speaker, and the roles of the speaker and
of the people mentioned."""


def difficulty(statements: Sequence[Statement]) -> Difficulty:
    """The difficulty of a puzzle with exactly one solution."""
    people = len(statements)
    sentences = [_sentence(statement, speaker, people) for speaker, statement in enumerate(statements)]
    search = _Search(sentences, role_tables(people))
    start = search.deduce(full_table(people))
    if not start & (start - 1):
        return Difficulty(0, 0)
    for depth in range(1, people + 1):
        search.hypotheses = 0
        known = search.close(start, depth)
        if not known & (known - 1):
            return Difficulty(search.hypotheses, depth)
    raise AssertionError("a puzzle has exactly one solution")


@kept
def _sentence(statement: Statement, speaker: int, people: int) -> _Sentence:
    roles = role_tables(people)
    fitting = roles[speaker][1] ^ table(statement, people)
    return fitting, tuple(roles[person] for person in {speaker, *mentioned(statement)})


class _Search:
    """`known` is the table of the assignments that agree with the roles known so far."""

    def __init__(self, sentences: Sequence[_Sentence], roles: Sequence[RoleTables]) -> None:
        self.sentences, self.roles = sentences, roles
        self.hypotheses = 0

    def close(self, known: int, depth: int) -> int:
        """What follows with up to `depth` nested hypotheses; 0 after a contradiction."""
        while True:
            known = self.deduce(known)
            if not depth or not known & (known - 1):
                return known
            refuted = 0
            for truthful, lying in self.roles:
                if known & truthful and known & lying:
                    for role in (known & truthful, known & lying):
                        self.hypotheses += 1
                        if not self.close(role, depth - 1):
                            refuted |= role
            if not refuted:
                return known
            known &= ~refuted

    def deduce(self, known: int) -> int:
        """What follows without hypotheses; 0 after a contradiction."""
        while True:
            before = known
            for fitting, roles in self.sentences:
                allowed = fitting & known
                if allowed == known:
                    continue
                if not allowed:
                    return 0
                for truthful, lying in roles:
                    if not allowed & truthful:
                        known &= lying
                    elif not allowed & lying:
                        known &= truthful
            if known == before:
                return known
