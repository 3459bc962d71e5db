"""The chain of thought for the published columns: assumes a role for one person after the other."""

from __future__ import annotations

from typing import NamedTuple

from warmup_rl.knights.english import statement_text, with_article
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.solver import full_table, person_tables, table
from warmup_rl.knights.statements import mentioned


class Chain(NamedTuple):
    """The columns `cot_head`, `cot_repeat_steps` and `cot_foot`."""

    head: str
    steps: list[str]
    foot: str


def assumption_chain(puzzle: Puzzle) -> Chain:
    """Assumes a role for one person after the other and backtracks when a statement can no longer be consistent.

    The people mentioned by the last person come next. As in arXiv 2410.23123, a role is rejected if the statement of
    somebody with an assumed role is consistent in none of the remaining assignments. The wording is our own.
    """
    search = _Search(puzzle)
    search.explore(list(range(puzzle.people)), search.full, [])
    truthful, liar = with_article(puzzle.roles.truthful), with_article(puzzle.roles.liar)
    return Chain(
        f"I take one person after the other, first as {truthful}, then as {liar}, and drop what contradicts itself.",
        search.steps,
        "Nobody contradicts these roles, so they are the solution.",
    )


class _Search:
    def __init__(self, puzzle: Puzzle) -> None:
        self.puzzle = puzzle
        self.full, self.persons = full_table(puzzle.people), person_tables(puzzle.people)
        self.tables = [table(statement, puzzle.people) for statement in puzzle.statements]
        self.steps: list[str] = []

    def explore(self, left: list[int], cases: int, assumed: list[tuple[int, bool]]) -> bool:
        """Whether all people get a role; `cases` is the table of the assignments that agree with `assumed`."""
        if not left:
            return True
        person, name = left[0], self.puzzle.names[left[0]]
        for truthful in (True, False):
            held = cases & (self.persons[person] if truthful else self.full ^ self.persons[person])
            roles = [*assumed, (person, truthful)]
            misfit = next((role for role in roles if not held & self._consistent(*role)), None)
            role = with_article(self.puzzle.roles.of(truthful))
            if misfit:
                self.steps.append(f"{name} cannot be {role}: then {self._claim(*misfit)}, although it has to be.")
                continue
            self.steps.append(f"Suppose {name} is {role}. {self._claim(person, truthful, possible=True)}.")
            named = [other for other in mentioned(self.puzzle.statements[person]) if other in left[1:]]
            if self.explore([*named, *(other for other in left[1:] if other not in named)], held, roles):
                return True
        if assumed:
            before = self.puzzle.names[assumed[-1][0]]
            self.steps.append(f"Neither role is left for {name}, so what I supposed of {before} does not hold.")
        return False

    def _consistent(self, person: int, truthful: bool) -> int:
        return self.tables[person] if truthful else self.full ^ self.tables[person]

    def _claim(self, person: int, truthful: bool, *, possible: bool = False) -> str:
        """`"Bob is a knave", said by Hal, can be true`."""
        claim = statement_text(self.puzzle.statements[person], self.puzzle.names, self.puzzle.roles)
        name, can = self.puzzle.names[person], "can" if possible else "cannot"
        return f'"{claim}", said by {name}, {can} be {"true" if truthful else "false"}'
