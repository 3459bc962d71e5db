"""The steps of solving a puzzle, as data: deduction, hypotheses, contradictions, backtracking, verification."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.solver import assignment
from warmup_rl.knights.statements import Statement, evaluate, mentioned

Facts = tuple[tuple[int, bool], ...]
"""Pairs of a person and whether that person tells the truth."""
Kind = Literal[
    "restate", "stuck", "assume", "infer", "contradiction", "backtrack", "case", "fits", "solved", "verify", "second",
    "conclude",
]  # fmt: skip
Method = Literal["search", "cases"]

_WIDEST = 8
"""Maximum number of unknown people in a statement for which deduction is tried before a hypothesis."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Probabilities of needless parts of a chain of thought; all sentences stay true except with `slip`.

    Attributes:
        recheck: a finished check is repeated without need.
        hesitate: a re-check begins with a word of doubt.
        second_method: the answer is confirmed in another way at the end (English only).
        abandon: a later case is begun early and given up unfinished (terse only).
        slip: a check gets a wrong value, which is corrected immediately (terse only).
    """

    recheck: float = 0.0
    hesitate: float = 0.0
    second_method: float = 0.0
    abandon: float = 0.0
    slip: float = 0.0


CLEAN = Noise()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of thought.

    Attributes:
        kind: the kind of step.
        person, truthful: the person that the step is about, and the role that the person gets.
        speaker: the person that made the statement used.
        reason: for `infer`: `follows` (the speaker's role is known, hence the truth of the statement), `settled` (the
            truth of the statement is known, hence the speaker's role) or `impossible` (otherwise the statement would
            be consistent with neither role of its speaker); for `contradiction`: `settled` or `impossible`.
        given: roles known before that the step uses.
        hypotheses: the current assumptions; the step is true in every solution that agrees with them.
        again: a needless re-check of the previous step.
    """

    kind: Kind
    person: int = -1
    truthful: bool = True
    speaker: int = -1
    reason: str = ""
    given: Facts = ()
    hypotheses: Facts = ()
    again: bool = False


def think(puzzle: Puzzle, rng: random.Random, *, method: Method = "search", noise: Noise = CLEAN) -> list[Step]:
    """All steps from restating the puzzle to the conclusion.

    `search` deduces from one statement at a time, and assumes a role of one person when nothing more follows; `cases`
    tries all assignments in the order of `solver.assignment`, each up to its first contradiction.
    """
    steps = [Step("restate")]
    steps += _Search(puzzle, rng).solve() if method == "search" else _cases(puzzle)
    solution = tuple(enumerate(puzzle.solution))
    steps.append(Step("solved", given=solution))
    steps += [Step("verify", speaker=i, truthful=puzzle.solution[i]) for i in range(puzzle.people)]
    if rng.random() < noise.second_method:
        person = rng.randrange(puzzle.people)
        steps.append(Step("second", person, not puzzle.solution[person]))
        steps += _Search(puzzle, rng).refute(person)
    checked = []
    for step in steps:
        checked.append(step)
        if step.kind in ("infer", "contradiction", "verify", "fits") and rng.random() < noise.recheck:
            checked.append(replace(step, again=True))
    return [*checked, Step("conclude", given=solution)]


def _cases(puzzle: Puzzle) -> Iterator[Step]:
    for index in range(2**puzzle.people):
        roles = assignment(index, puzzle.people)
        case = tuple(enumerate(roles))
        yield Step("case", given=case, hypotheses=case)
        for speaker, statement in enumerate(puzzle.statements):
            if evaluate(statement, roles) != roles[speaker]:
                given = tuple((person, roles[person]) for person in mentioned(statement))
                yield Step("contradiction", speaker, roles[speaker], speaker, "settled", given, case)
                break
            yield Step("fits", speaker, roles[speaker], speaker, hypotheses=case)
        else:
            return


class _Search:
    """Depth-first search over hypotheses that records its steps."""

    def __init__(self, puzzle: Puzzle, rng: random.Random) -> None:
        self.puzzle, self.rng = puzzle, rng
        self.steps: list[Step] = []

    def solve(self) -> list[Step]:
        self._explore((), {})
        return self.steps

    def refute(self, person: int) -> list[Step]:
        """Steps that refute the role of a person that is not the one in the solution."""
        wrong = not self.puzzle.solution[person]
        self.steps.append(Step("assume", person, wrong, hypotheses=((person, wrong),)))
        self._explore(((person, wrong),), {person: wrong})
        self.steps.append(Step("backtrack", person, not wrong))
        return self.steps

    def _explore(self, hypotheses: Facts, known: Mapping[int, bool]) -> bool:
        """Whether there is a solution that agrees with what is known."""
        found = self._deduce(hypotheses, dict(known))
        if found is None or len(found) == self.puzzle.people:
            return found is not None
        person = self._next_person(found)
        truthful = self.rng.random() < 0.7
        if not hypotheses or self.steps[-1].kind != "backtrack":
            self.steps.append(Step("stuck", person, hypotheses=hypotheses))
        inner = (*hypotheses, (person, truthful))
        self.steps.append(Step("assume", person, truthful, hypotheses=inner))
        if self._explore(inner, {**found, person: truthful}):
            return True
        self.steps.append(Step("backtrack", person, not truthful, hypotheses=hypotheses))
        return self._explore(hypotheses, {**found, person: not truthful})

    def _next_person(self, known: Mapping[int, bool]) -> int:
        """A random unknown person; people that are mentioned often are more likely."""
        unknown = [person for person in range(self.puzzle.people) if person not in known]
        said = [person for statement in self.puzzle.statements for person in mentioned(statement)]
        return self.rng.choice(unknown + [person for person in said if person not in known])

    def _deduce(self, hypotheses: Facts, known: dict[int, bool]) -> dict[int, bool] | None:
        """All roles that follow from single statements; None after a contradiction."""
        while True:
            step = next(self._consequences(known), None)
            if step is None:
                return known
            self.steps.append(replace(step, hypotheses=hypotheses))
            if step.kind == "contradiction":
                return None
            known[step.person] = step.truthful

    def _consequences(self, known: Mapping[int, bool]) -> Iterator[Step]:
        inferred = []
        for speaker, statement in enumerate(self.puzzle.statements):
            people = list(dict.fromkeys([speaker, *mentioned(statement)]))
            unknown = [person for person in people if person not in known]
            if len(unknown) > _WIDEST:
                continue
            fitting = []
            for values in product((True, False), repeat=len(unknown)):
                roles = {**known, **dict(zip(unknown, values, strict=True))}
                if evaluate(statement, roles) == roles[speaker]:
                    fitting.append(values)
            given = tuple((person, known[person]) for person in people if person in known)
            if not fitting:
                reason = "settled" if speaker in known else "impossible"
                yield Step("contradiction", speaker, known.get(speaker, True), speaker, reason, given)
            for position, person in enumerate(unknown):
                if fitting and len({values[position] for values in fitting}) == 1:
                    settled = person == speaker and truth_of(statement, known) is not None
                    reason = "follows" if speaker in known else "settled" if settled else "impossible"
                    inferred.append(Step("infer", person, fitting[0][position], speaker, reason, given))
        yield from sorted(inferred, key=lambda step: step.reason == "impossible")


def truth_of(statement: Statement, known: Mapping[int, bool]) -> bool | None:
    """The truth of a statement if the known roles decide it, otherwise None."""
    unknown = [person for person in mentioned(statement) if person not in known]
    values = {
        evaluate(statement, {**known, **dict(zip(unknown, guess, strict=True))})
        for guess in product((True, False), repeat=len(unknown))
    }
    return values.pop() if len(values) == 1 else None
