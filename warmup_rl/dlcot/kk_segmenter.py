"""Takes a chain of thought in prose about a puzzle apart: by what is claimed in it, and under which hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmup_rl.dlcot.markers import affirms
from warmup_rl.dlcot.outline import Outline, Sentence, outline, read_sentences
from warmup_rl.dlcot.repeats import Rechecks, repeats
from warmup_rl.dlcot.structure import Ambiguous, Approach, Label, Span, Structure
from warmup_rl.knights.claims import Claim, read_claims
from warmup_rl.knights.english import role_text
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import StagePreview
from warmup_rl.knights.solver import assignment_index, table
from warmup_rl.knights.validity import judge

_WORK = frozenset(("assert", "check", "contradiction", "conclude"))


def read_islanders(text: str, question: str, puzzle: Puzzle) -> Structure:
    """The structure of a chain of thought about a puzzle.

    An approach begins with an outermost hypothesis, or with what is deduced without one, and goes on to where that is
    given up; hypotheses within it are its steps. It comes to an answer where everybody has a role in the end, which is
    right if it is the solution; it settles something where it refutes its hypothesis or finds a role. Approaches are of
    one cluster where they begin with the same hypothesis; without one, where they know the same. Its errors are claims
    that do not follow where they are made and are false of the solution.

    Raises:
        Doubt: it is not clear.
    """
    said = read_sentences(text)
    claims = _Claims(text, said, read_claims(text, puzzle), puzzle)
    rechecks = Rechecks(text, question, said, claims.new)
    outlined = outline(text, question, said, repeats=rechecks.end, openings=claims.openings, working=claims.working)
    if not any(claims.working(index) for index in range(outlined.understood, outlined.explored)):
        raise Ambiguous("nothing is claimed of anybody")
    approaches, end = _Approaches(outlined, claims, puzzle).read()
    return outlined.structure(end, approaches, repeats(text, outlined, end, rechecks, claims.apart))


class _Claims:
    """The claims of a text by the sentences in which they begin."""

    def __init__(self, text: str, said: Sequence[Sentence], claims: Sequence[Claim], puzzle: Puzzle) -> None:
        starts = [sentence.start for sentence in said]
        self.text, self.said = text, said
        self.of: list[list[Claim]] = [[] for _ in said]
        self.wrong: dict[int, Span] = {}
        self.unfounded: set[int] = set()
        index, last = 0, len(starts) - 1
        for claim, judgement in zip(claims, judge(claims, puzzle), strict=True):
            start = claim.start
            if text[start : start + 1].isspace():
                start = claim.end - len(text[start : claim.end].lstrip())
            while index < last and starts[index + 1] <= start:
                index += 1
            self.of[index].append(claim)
            if judgement.label == "not entailed":
                self.unfounded.add(claim.start)
                if _is_false(claim, puzzle):
                    self.wrong[claim.start] = Span(start, claim.end)

    def between(self, first: int, end: int) -> list[Claim]:
        return [claim for index in range(first, end) for claim in self.of[index]]

    def working(self, index: int) -> bool | None:
        """Whether a sentence works at the puzzle (true) or restates it (false)."""
        kinds = {claim.kind for claim in self.of[index]}
        if kinds & _WORK or "assume" in kinds or "backtrack" in kinds:
            return True
        return False if "restate" in kinds else None

    def new(self, first: int, end: int) -> bool:
        """Whether sentences claim what was not claimed before them, guesses aside, or cannot be read."""
        told = self.between(first, end)
        if any(claim.kind in ("assume", "backtrack", "unparsed") for claim in told):
            return True
        facts = {fact for claim in told for fact in claim.facts}
        before: set[tuple[int, bool]] = set()
        index = first
        while index > 0 and not facts <= before:
            index -= 1
            for claim in self.of[index]:
                if claim.start not in self.unfounded:
                    before.update(claim.facts)
                before.update(claim.hypotheses)
        return not facts <= before

    def apart(self, first: int, later: int) -> bool:
        """Whether two sentences stand under different hypotheses."""
        between = self.between(first + 1, later + 1)
        return any(claim.kind in ("assume", "backtrack", "contradiction") for claim in between)

    def openings(self, first: int, end: int) -> list[int]:
        """The sentences that begin approaches."""
        found = [first]
        top: StagePreview | None = None
        worked = False
        fresh: int | None = None
        for index in range(first, end):
            if worked and fresh is None and self.said[index].move == "alternative" and not self._assumes_within(index):
                fresh = index
            for claim in self.of[index]:
                if claim.kind == "backtrack" and not claim.frames:
                    fresh, top = index + 1, None
                elif claim.kind == "assume" and len(claim.frames) == 1 and claim.frames[0] != top:
                    if worked:
                        found.append(fresh if fresh is not None else self._announced(index, found[-1]))
                    top, worked, fresh = claim.frames[0], True, None
                elif claim.kind in _WORK:
                    if fresh is not None and index >= fresh:
                        if not self._checks(fresh, index):
                            found.append(fresh)
                        fresh = None
                    worked = True
        return found

    def _checks(self, first: int, last: int) -> bool:
        """Whether what comes after a settled hypothesis is introduced as a check."""
        return any(self.said[index].move == "verify" and self.said[index].begins for index in range(first, last + 1))

    def _assumes_within(self, index: int) -> bool:
        return any(claim.kind == "assume" and len(claim.frames) > 1 for claim in self.of[index])

    def _announced(self, index: int, opening: int) -> int:
        """The first of the sentences right before a hypothesis that only announce it."""
        while index - 1 > opening and all(claim.kind == "talk" for claim in self.of[index - 1]):
            before = self.said[index - 1]
            if affirms(self.text[before.start : before.end].lower()):
                break
            index -= 1
        return index


@dataclass(frozen=True)
class _Approaches:
    """Labels, methods and clusters of the approaches of an outline."""

    outlined: Outline
    claims: _Claims
    puzzle: Puzzle

    def read(self) -> tuple[tuple[Approach, ...], int]:
        """All approaches, and the sentence at which the last one ends after completeness repair."""
        known: dict[int, bool] = {}
        clusters: dict[object, int] = {}
        found = []
        end = self.outlined.explored
        for first, last in self.outlined.approaches():
            told = self.claims.between(first, last)
            label, settles = self._label(told, known)
            repaired = 0
            if last == self.outlined.explored and label == "incomplete" and not settles:
                label, repaired, last = self._completed(first, known)
                end = last
            hypothesis = next((claim.frames[0] for claim in told if claim.kind == "assume" and claim.frames), ())
            key = frozenset(hypothesis) or (frozenset(known.items()), "no hypothesis")
            found.append(
                Approach(
                    self.outlined.span(first, last),
                    self.outlined.steps(first, last),
                    label,
                    self._method(hypothesis, known),
                    clusters.setdefault(key, len(clusters)),
                    self._errors(told),
                    repaired,
                    settles,
                )
            )
            known = self._known_after(told, known)
        return tuple(found), end

    def _label(self, told: Sequence[Claim], known: dict[int, bool]) -> tuple[Label, bool]:
        """The label, and whether something is settled on the way to the answer."""
        working = [claim for claim in told if claim.kind in _WORK or claim.kind in ("assume", "backtrack")]
        if not working:
            return "incomplete", False
        after = self._known_after(told, known)
        last = working[-1]
        if last.kind == "contradiction" or (last.kind == "backtrack" and not last.frames):
            return "incomplete", True
        roles = _facts(working, last.frames)
        if all(known.get(person, truthful) == truthful for frame in last.frames for person, truthful in frame):
            roles = {**known, **roles}
        if len(roles) < self.puzzle.people:
            return "incomplete", after != known
        right = all(roles[person] == truthful for person, truthful in enumerate(self.puzzle.solution))
        return "correct" if right else "incorrect", False

    def _known_after(self, told: Sequence[Claim], known: dict[int, bool]) -> dict[int, bool]:
        return {**known, **_facts([claim for claim in told if claim.kind != "restate"], ())}

    def _completed(self, first: int, known: dict[int, bool]) -> tuple[Label, int, int]:
        """Completeness repair, as in `rules`: label, steps moved in, and where the approach then ends."""
        explored, verified = self.outlined.explored, self.outlined.verified
        ends = [i for i in range(explored + 1, verified) if self.outlined.sentences[i].begins]
        for steps, end in enumerate([*ends, verified] if verified > explored else [], start=1):
            label, _ = self._label(self.claims.between(first, end), known)
            if label != "incomplete":
                return label, steps, end
        label, _ = self._label(self.claims.between(first, len(self.outlined.sentences)), known)
        return label, 0, explored

    def _method(self, hypothesis: StagePreview, known: dict[int, bool]) -> str:
        if hypothesis:
            return f"assumes {self._roles(hypothesis)}"
        facts = tuple(sorted(known.items()))
        return f"deduces, knowing {self._roles(facts)}" if facts else "deduces from the statements"

    def _roles(self, facts: StagePreview) -> str:
        return ", ".join(role_text(self.puzzle, *fact) for fact in facts)

    def _errors(self, told: Sequence[Claim]) -> tuple[Span, ...]:
        """What does not follow where it is claimed, by the solver."""
        return tuple(self.claims.wrong[claim.start] for claim in told if claim.start in self.claims.wrong)


def _is_false(claim: Claim, puzzle: Puzzle) -> bool:
    """Whether a claim says what is not so; a contradiction, whether what is assumed there is so and there is none."""
    if claim.kind == "contradiction":
        return bool(claim.frames) and all(puzzle.solution[person] == truthful for person, truthful in claim.hypotheses)
    place = assignment_index(puzzle.solution)
    return any(not table(formula, puzzle.people) >> place & 1 for formula, _ in claim.said)


def _facts(claims: Sequence[Claim], frames: tuple[StagePreview, ...]) -> dict[int, bool]:
    """What is claimed under some of these assumptions, or is one of them."""
    found = {person: truthful for frame in frames for person, truthful in frame}
    for claim in claims:
        if claim.kind != "contradiction" and not claim.loose and claim.frames == frames[: len(claim.frames)]:
            found.update(claim.facts)
    return found
