"""Exact step validity of terse chains: whether each sentence is true in its case."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from warmup_rl.base.types import Validity
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.solver import assignment_index
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT, case_opening, checks

Label = Literal["valid", "invalid", "unparsed"]
_SENTENCE = re.compile(rf"(?:(?<!\S)(?:{NEXT}|{SO})(?!\S)|\S)(?:(?!(?<!\S)(?:{NEXT}|{SO})(?!\S)).)*", re.DOTALL)
_KINDS = {"true": "truth", "false": "truth", "ok": "verdict", "bad": "verdict"}


class Judgement(NamedTuple):
    """The label of the sentence from `start` to `end`; None for `wait`, which makes no claim."""

    start: int
    end: int
    label: Label | None


def judge(thinking: str, puzzle: Puzzle) -> list[Judgement]:
    """One judgement for each sentence; together they cover the text.

    - A case is valid if its number matches its roles.
    - A check is valid if it is what the solver writes for this anchor under the roles of the last case.
    - `solved` and `so` are valid if they give the roles of the solution, and every statement has a valid check in the
      last case, or an earlier `solved` or `so` was valid. A correct answer without such checks is a guess and invalid,
      but unparsed after an unparsed sentence, which may have shown it.
    - Anything else is unparsed.
    """
    reader, start, judged = _Judge(puzzle), 0, []
    for match in _SENTENCE.finditer(thinking):
        judged.append(Judgement(start, match.end(), reader.label(match[0].split())))
        start = match.end()
    return judged


def step_validity(thinking: str, puzzle: Puzzle) -> Validity:
    """Counts of the judgements."""
    judged = judge(thinking, puzzle)
    labels = Counter(judgement.label for judgement in judged)
    first = next((judgement.start for judgement in judged if judgement.label == "invalid"), None)
    return Validity(labels["valid"], labels["invalid"], labels["unparsed"], first)


class _Judge:
    """Judges sentences in order; knows the roles of the last case and which statements were checked in each case."""

    def __init__(self, puzzle: Puzzle) -> None:
        self._puzzle = puzzle
        self._values = {
            f"{name}={puzzle.roles.of(truthful)}": (person, truthful)
            for person, name in enumerate(puzzle.names)
            for truthful in (True, False)
        }
        self._case: dict[int, bool] = {}
        self._shown = self._gap = False
        self._checks: dict[tuple[bool, ...], list[list[str]]] = {}
        self._checked = defaultdict[tuple[bool, ...], set[str]](set)

    def label(self, words: list[str]) -> Label | None:
        if words[0] == SO:
            return self._answer(self._roles(words[1:]), cited=True)
        words = words[words[0] == NEXT :]
        if words == [WAIT]:
            return None
        solved = words[:1] == ["solved"]
        words = words[words[:1] in (["solved"], [RECHECK]) :]
        if words and words[0].startswith("case"):
            roles = self._roles(words[2::2]) if len(words) % 2 else None
            if roles:
                self._case = dict(roles)
                number = assignment_index([truthful for _, truthful in roles]) + 1
                cited = len(roles) == self._puzzle.people and words == case_opening(self._puzzle, number).split()
                return self._answer(roles, cited) if solved else "valid" if cited else "invalid"
        elif words and words[0].startswith("#") and not solved:
            return self._check(words)
        return self._unparsed()

    def _check(self, words: Sequence[str]) -> Label:
        number = int(words[0][1:]) if words[0][1:].isdecimal() else 0
        roles = self._roles_of_case()
        if roles not in self._checks:
            self._checks[roles] = [check.split() for check in checks(self._puzzle, roles)]
        written = self._checks[roles]
        if not 0 < number <= len(written):
            return self._unparsed()
        right = written[number - 1]
        if list(map(self._kind, words[2:])) != list(map(self._kind, right[2:])):
            return self._unparsed()
        if len(self._case) < self._puzzle.people or words[1:] != right[1:]:
            return "invalid"
        ending = next((check[1] for check in written[number - 1 : number + 1] if check[1].startswith("says(")), None)
        if ending:
            self._checked[roles].add(ending)
        return "valid"

    def _answer(self, roles: Sequence[tuple[int, bool]] | None, cited: bool) -> Label:
        if not roles:
            return self._unparsed()
        if not cited or any(self._puzzle.solution[person] != truthful for person, truthful in roles):
            return "invalid"
        self._shown = self._shown or len(self._checked[self._roles_of_case()]) == self._puzzle.people
        return "valid" if self._shown else "unparsed" if self._gap else "invalid"

    def _roles_of_case(self) -> tuple[bool, ...]:
        return tuple(self._case.get(person, True) for person in range(self._puzzle.people))

    def _unparsed(self) -> Label:
        self._gap = True
        return "unparsed"

    def _roles(self, words: Sequence[str]) -> list[tuple[int, bool]] | None:
        """The roles in words such as `Hal=knight`; None if one of them is something else."""
        return [self._values[word] for word in words] if all(word in self._values for word in words) else None

    def _kind(self, word: str) -> str:
        return "role" if word in self._values else _KINDS.get(word, word)
