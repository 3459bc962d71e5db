"""Step validity of terse chains, exact: whether each sentence says what is so in its case."""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

from warmup_rl.base.types import Validity
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Facts
from warmup_rl.knights.statements import IFF, NOT, TRUTHFUL, Statement, evaluate
from warmup_rl.knights.terse_claims import Sentence, terse_sentences

Label = Literal["valid", "invalid", "unparsed"]


class Judgement(NamedTuple):
    """What is said of one sentence, from `start` to `end`; the label is None for `wait`, which claims nothing."""

    start: int
    end: int
    label: Label | None


def judge(thinking: str, puzzle: Puzzle) -> list[Judgement]:
    """One judgement a sentence; together they cover the text.

    - A case is valid where its number is that of its roles.
    - A check is valid where it cites its anchor as it is, and all that it says is so under the roles of the last case.
    - `solved` and `so` are valid where these are the roles of the solution, and in that case something valid was said
      of every statement, or an answer was shown before. A right answer out of nothing is a guess and invalid, but
      unparsed after a sentence that could not be read, which may have shown it.
    - What is no sentence of this phrasing is unparsed.
    """
    judge_ = _Judge(puzzle)
    return [Judgement(said.start, said.end, judge_.label(said)) for said in terse_sentences(thinking, puzzle)]


def step_validity(thinking: str, puzzle: Puzzle) -> Validity:
    """The sentences of a terse chain, judged and counted."""
    judged = judge(thinking, puzzle)
    labels = Counter(judgement.label for judgement in judged)
    first = next((judgement.start for judgement in judged if judgement.label == "invalid"), None)
    return Validity(labels["valid"], labels["invalid"], labels["unparsed"], first)


class _Judge:
    def __init__(self, puzzle: Puzzle) -> None:
        self._puzzle = puzzle
        self._case: Facts = ()
        self._solved = self._gap = False
        self._looked_at: dict[Facts, set[int]] = {}
        self._speakers: dict[Statement, set[int]] = {}
        for speaker, statement in enumerate(puzzle.statements):
            for formula in (statement, (IFF, (TRUTHFUL, speaker), statement)):
                for said in (formula, (NOT, formula)):
                    self._speakers.setdefault(said, set()).add(speaker)

    def label(self, said: Sentence) -> Label | None:
        if said.does == "wait":
            return None
        if said.does == "noise":
            self._gap = True
            return "unparsed"
        if said.does in ("case", "solved"):
            self._case = said.facts
        if said.does == "check":
            holds = self._holds(said)
        elif said.does == "case":
            holds = True
        else:
            holds = self._is_solution(said.facts)
            if holds and said.cites and not self._shown():
                return "unparsed" if self._gap else "invalid"
        return "valid" if holds and said.cites else "invalid"

    def _holds(self, said: Sentence) -> bool:
        """Whether a check says what is so in its case; whose statement it is about is remembered."""
        roles = dict(self._case)
        if len(roles) < self._puzzle.people or not all(evaluate(formula, roles) for formula in said.said):
            return False
        looked_at = self._looked_at.setdefault(self._case, set())
        for formula in said.said:
            looked_at |= self._speakers.get(formula, set())
        return True

    def _is_solution(self, facts: Facts) -> bool:
        return all(self._puzzle.solution[person] == truthful for person, truthful in facts)

    def _shown(self) -> bool:
        """Whether a right answer was shown, here or before."""
        self._solved = self._solved or len(self._looked_at.get(self._case, ())) == self._puzzle.people
        return self._solved
