"""Takes a chain of thought in prose about a puzzle apart: who is assumed to be what, and where that is given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmup_rl.dlcot.hypotheses import Known, Note, take_notes
from warmup_rl.dlcot.markers import SECOND_LOOK, affirms, lowered
from warmup_rl.dlcot.outline import Outline, Sentence, outline, read_sentences
from warmup_rl.dlcot.repeats import Rechecks, repeats
from warmup_rl.dlcot.structure import Ambiguous, Approach, Label, Structure
from warmup_rl.knights.english import role_text
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Facts


def read_puzzle_trace(text: str, question: str, puzzle: Puzzle) -> Structure:
    """The structure of a chain of thought about a puzzle.

    An approach begins with an outermost hypothesis, or with what is deduced without one, and goes on to where that is
    given up; hypotheses within it are its steps. It comes to an answer where everybody has a role in the end, which is
    right if it is the solution; it settles something where it refutes its hypothesis or finds a role. Approaches are of
    one cluster where they begin with the same hypothesis. One without a hypothesis, or whose hypothesis could not be
    read, is like no other, and later ones may build on it. Whether a step follows is not looked at.

    Raises:
        Ambiguous: it is not clear.
    """
    said = read_sentences(text)
    thread = _Thread(text, said, take_notes(text, said, puzzle))
    rechecks = Rechecks(text, question, said, thread.new)
    outlined = outline(text, question, said, repeats=rechecks.end, openings=thread.openings, working=thread.working)
    if not any(thread.working(index) for index in range(outlined.understood, outlined.explored)):
        raise Ambiguous("nothing is claimed of anybody")
    approaches, end = _Approaches(outlined, thread.notes, puzzle).read()
    return outlined.structure(end, approaches, repeats(text, outlined, end, rechecks, thread.apart))


class _Thread:
    """What the sentences of a text do, one after the other."""

    def __init__(self, text: str, said: Sequence[Sentence], notes: Sequence[Note]) -> None:
        self._low, self.said, self.notes = lowered(text), said, notes
        self._first: dict[tuple[int, bool], int] = {}
        for index, note in enumerate(notes):
            for fact in (*note.claimed, *(fact for frame in note.opens for fact in frame)):
                self._first.setdefault(fact, index)

    def working(self, index: int) -> bool | None:
        """Whether a sentence works at the puzzle (true) or restates it (false)."""
        return self.notes[index].works

    def new(self, first: int, end: int) -> bool:
        """Whether sentences look at something for the first time, suppose something, claim what was not claimed before
        them, or cannot be read."""
        notes, opening = self.notes[first:end], self.said[first]
        if not SECOND_LOOK.search(self._low, opening.start, opening.end):
            return True
        if any(note.opens or note.gives_up or note.unread for note in notes):
            return True
        return any(self._first[fact] >= first for note in notes for fact in note.claimed)

    def apart(self, first: int, later: int) -> bool:
        """Whether two sentences stand under different hypotheses."""
        return any(note.opens or note.ended or note.gives_up for note in self.notes[first + 1 : later + 1])

    def openings(self, first: int, end: int) -> list[int]:
        """The sentences that begin approaches."""
        found = [first]
        top: Facts | None = None
        worked = False
        fresh: int | None = None
        for index in range(first, end):
            note = self.notes[index]
            if worked and fresh is None and self.said[index].move == "alternative" and len(note.opens) < 2:
                fresh = index
            if len(note.opens) == 1 and note.opens[0] != top:
                if worked:
                    found.append(fresh if fresh is not None else self._announced(index, found[-1]))
                top, worked, fresh = note.opens[0], True, None
            elif note.gives_up and not note.frames:
                fresh, top = index + 1, None
            elif note.works:
                if fresh is not None and not self._checks(fresh, index):
                    found.append(fresh)
                worked, fresh = True, None
        return found

    def _checks(self, first: int, last: int) -> bool:
        """Whether what comes after a settled hypothesis is introduced as a check."""
        return any(self.said[index].move == "verify" and self.said[index].begins for index in range(first, last + 1))

    def _announced(self, index: int, opening: int) -> int:
        """The first of the sentences right before a hypothesis that only announce it, if it opens something."""
        found = index
        while index - 1 > opening and self.notes[index - 1].works is None:
            before = self.said[index - 1]
            if affirms(self._low[before.start : before.end]):
                break
            index -= 1
            if before.begins or before.move:
                found = index
        return found


@dataclass(frozen=True)
class _Approaches:
    """Labels, methods and clusters of the approaches of an outline."""

    outlined: Outline
    notes: Sequence[Note]
    puzzle: Puzzle

    def read(self) -> tuple[tuple[Approach, ...], int]:
        """All approaches, and the sentence at which the last one ends after completeness repair."""
        clusters: dict[object, int] = {}
        found = []
        end = self.outlined.explored
        for first, last in self.outlined.approaches():
            label, settles = self._label(first, last)
            repaired = 0
            if last == self.outlined.explored and label == "incomplete" and not settles:
                label, repaired, last = self._completed(first)
                end = last
            known = self._known(first)
            hypothesis = next((note.opens[0] for note in self.notes[first:last] if note.opens), None)
            key = frozenset(hypothesis) if hypothesis else first
            found.append(
                Approach(
                    self.outlined.span(first, last),
                    self.outlined.steps(first, last),
                    label,
                    self._method(hypothesis, known),
                    clusters.setdefault(key, len(clusters)),
                    repaired=repaired,
                    settles=settles or (label == "incomplete" and not hypothesis),
                )
            )
        return tuple(found), end

    def _label(self, first: int, end: int) -> tuple[Label, bool]:
        """The label, and whether something is settled on the way to the answer."""
        last = next((note for note in reversed(self.notes[first:end]) if note.works), None)
        if last is None:
            return "incomplete", False
        if last.ended or (last.gives_up and not last.frames):
            return "incomplete", True
        if len(last.roles) < self.puzzle.people:
            return "incomplete", self._known(end) != self._known(first)
        right = all(last.roles[person] == truthful for person, truthful in enumerate(self.puzzle.solution))
        return "correct" if right else "incorrect", False

    def _known(self, index: int) -> Known:
        """What is known, whatever is assumed, before a sentence."""
        return self.notes[index - 1].known if index else {}

    def _completed(self, first: int) -> tuple[Label, int, int]:
        """Completeness repair, as in `rules`: label, steps moved in, and where the approach then ends."""
        for steps, end in self.outlined.completions():
            label, _ = self._label(first, end)
            if label != "incomplete":
                return label, steps, end
        return self._label(first, len(self.outlined.sentences))[0], 0, self.outlined.explored

    def _method(self, hypothesis: Facts | None, known: Known) -> str:
        if hypothesis is not None:
            return f"assumes {self._told(hypothesis)}" if hypothesis else "tries a case"
        facts = tuple(sorted(known.items()))
        return f"deduces, knowing {self._told(facts)}" if facts else "deduces from the statements"

    def _told(self, facts: Facts) -> str:
        return ", ".join(role_text(self.puzzle, *fact) for fact in facts)
