"""Divides a chain of thought in prose about a puzzle by its hypotheses: who is assumed to be what, and until where."""

from __future__ import annotations

from collections.abc import Sequence

from warmup_rl.base.types import Problem
from warmup_rl.dlcot.hypotheses import Known, take_notes
from warmup_rl.dlcot.markers import SECOND_LOOK, affirms, lowered
from warmup_rl.dlcot.outline import Outline, Stretch
from warmup_rl.dlcot.prose import Prose
from warmup_rl.dlcot.structure import Ambiguous, Label, Span
from warmup_rl.interfaces.domain import Domain
from warmup_rl.knights.english import role_text
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Facts


class PuzzleProse(Prose):
    """A chain of thought in prose about a puzzle.

    An approach begins with an outermost hypothesis, or with what is deduced without one, and ends where the hypothesis
    is given up; hypotheses within it are its steps. It reaches an answer if everybody has a role in the end, which is
    correct if it is the solution; it settles something if it refutes its hypothesis or finds a role. Approaches with
    the same hypothesis form a cluster. An approach without a hypothesis, or with one that could not be read, is a
    cluster of its own, and later ones may build on it. Whether steps follow from each other is not examined.
    """

    can_suppose = True

    def __init__(self, text: str, problem: Problem, domain: Domain, puzzle: Puzzle) -> None:
        super().__init__(text, problem, domain)
        self.puzzle, self.notes, self._low = puzzle, take_notes(text, self.sentences, puzzle), lowered(text)
        self._first: dict[tuple[int, bool], int] = {}
        for index, note in enumerate(self.notes):
            for fact in (*note.claimed, *(fact for frame in note.opens for fact in frame)):
                self._first.setdefault(fact, index)

    def require_work(self, outlined: Outline) -> None:
        if not any(note.works for note in self.notes[outlined.understood : outlined.explored]):
            raise Ambiguous("nothing is claimed of anybody")

    def working(self, index: int) -> bool | None:
        return self.notes[index].works

    def is_new(self, first: int, end: int) -> bool:
        """Whether sentences are no second look, suppose something, claim something new, or cannot be read."""
        notes, opening = self.notes[first:end], self.sentences[first]
        return (
            not SECOND_LOOK.search(self._low, opening.start, opening.end)
            or any(note.opens or note.gives_up or note.unread for note in notes)
            or any(self._first[fact] >= first for note in notes for fact in note.claimed)
        )

    def apart(self, first: int, later: int) -> bool:
        return any(note.opens or note.ended or note.gives_up for note in self.notes[first + 1 : later + 1])

    def openings(self, first: int, end: int) -> list[int]:
        """Outermost hypotheses, and where work goes on after one has been given up or left for an alternative."""
        found, worked = [first], False
        top: Facts | None = None
        fresh: int | None = None
        for index, note in enumerate(self.notes[first:end], start=first):
            if worked and fresh is None and self.sentences[index].move == "alternative" and len(note.opens) < 2:
                fresh = index
            if len(note.opens) == 1 and note.opens[0] != top:
                if worked:
                    found.append(self._announced(index, found[-1]) if fresh is None else fresh)
                top, worked, fresh = note.opens[0], True, None
            elif note.gives_up and not note.frames:
                top, fresh = None, index + 1
            elif note.works:
                if fresh is not None and not any(
                    s.begins and s.move == "verify" for s in self.sentences[fresh : index + 1]
                ):
                    found.append(fresh)
                worked, fresh = True, None
        return found

    def label(self, first: int, end: int) -> tuple[Label, bool]:
        last = next((note for note in reversed(self.notes[first:end]) if note.works), None)
        if last is None:
            return "incomplete", False
        if last.ended or (last.gives_up and not last.frames):
            return "incomplete", True
        if len(last.roles) < self.puzzle.people:
            return "incomplete", self._known(end) != self._known(first)
        right = all(last.roles[person] == truthful for person, truthful in enumerate(self.puzzle.solution))
        return "correct" if right else "incorrect", False

    def conclusion(self, first: int, verified: int) -> Label:
        return self.label(first, len(self.sentences))[0]

    def supports(self, label: Label, first: int, end: int) -> bool:
        return label == "incomplete" and not self._hypothesis(first, end)

    def methods(self, stretches: Sequence[Stretch]) -> tuple[list[str], list[int]]:
        clusters: dict[object, int] = {}
        methods, numbers = [], []
        for first, end in stretches:
            hypothesis = self._hypothesis(first, end)
            numbers.append(clusters.setdefault(frozenset(hypothesis) if hypothesis else first, len(clusters)))
            facts = tuple(sorted(self._known(first).items())) if hypothesis is None else hypothesis
            roles = ", ".join(role_text(self.puzzle, *fact) for fact in facts)
            if hypothesis is None:
                methods.append(f"deduces, knowing {roles}" if roles else "deduces from the statements")
            else:
                methods.append(f"assumes {roles}" if roles else "tries a case")
        return methods, numbers

    def errors(self, first: int, end: int) -> tuple[Span, ...]:
        return ()

    def _hypothesis(self, first: int, end: int) -> Facts | None:
        """What a stretch assumes first; empty if that could not be read, None if it assumes nothing."""
        return next((note.opens[0] for note in self.notes[first:end] if note.opens), None)

    def _known(self, index: int) -> Known:
        """What is known before a sentence, whatever is assumed."""
        return self.notes[index - 1].known if index else {}

    def _announced(self, index: int, opening: int) -> int:
        """The first of the sentences right before a hypothesis that only announce it, if it opens something."""
        found = index
        while index - 1 > opening and self.notes[index - 1].works is None:
            index -= 1
            before = self.sentences[index]
            if affirms(self._low[before.start : before.end]):
                break
            if before.begins or before.move:
                found = index
        return found
