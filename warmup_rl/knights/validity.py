"""Step validity: with the solver's tables, whether each claim of a chain of thought follows where it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from warmup_rl.base.types import Validity
from warmup_rl.knights.claims import Claim, read_claims
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.parts import as_fact
from warmup_rl.knights.reasoning import StagePreview
from warmup_rl.knights.sketches import Said
from warmup_rl.knights.solver import full_table, person_tables, table
from warmup_rl.knights.statements import AND, IFF, LIAR, NOT, TRUTHFUL, Statement
from warmup_rl.knights.text import Phrasing

Label = Literal["entailed", "not entailed", "unparsed"]
Frames = tuple[StagePreview, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of one claim.

    Attributes:
        label: None for claims that hold nothing to be true (talk, assumptions).
        leap: it is entailed, but not by what is known there and one statement.
    """

    label: Label | None
    leap: bool = False


SILENT, ENTAILED, NOT_ENTAILED, UNPARSED = (
    Judgement(None), Judgement("entailed"), Judgement("not entailed"), Judgement("unparsed"),
)  # fmt: skip
LEAP = Judgement("entailed", leap=True)


def judge(claims: Sequence[Claim], puzzle: Puzzle) -> list[Judgement]:
    """One judgement a claim.

    Entailment by all statements at once would be useless here: from a wrong assumption everything follows, so that
    every sentence of a branch that ends in a contradiction would pass. A step is one move of the argument, and so it
    is judged by what that move may use:

    - known are the assumptions of the branch and what was validly claimed in it before; what was not entailed never
      becomes known, so whatever is built on it is not entailed either;
    - a claim is entailed when it holds in every assignment that agrees with what is known, or with that and any ONE
      person's statement, provided there is such an assignment (nothing follows from a contradiction but the
      contradiction). A role may also be concluded against what is known of that very person: so are contradictions
      found;
    - a contradiction is entailed when no assignment agrees with what is known and one statement, or where the same
      sentence shows the opposite of what is known; the branch's last
      assumption is then known to be false outside it. What a branch finds is known outside it as "if assumed, then
      found";
    - a claim that needs two statements, or all of them in a branch that holds the solution, is entailed as a `leap`;
    - a conclusion must be what all statements entail, and be shown: by what is known in the branch and one statement,
      or where everybody's role is assumed (a case), by every statement having been held against it. A right answer out
      of nothing is a guess and not entailed, unless something before it could not be read; then it is a leap. An
      assumption made after a conclusion begins a new argument, in which nothing is known yet;
    - a citation must be what the person says (terse: the anchor's word, the case's number).

    In a terse case every role is assumed, so that its checks are evaluated exactly.
    """
    judge_ = _Judge(puzzle)
    return [judge_.judge(claim) for claim in claims]


def step_validity(thinking: str, puzzle: Puzzle, phrasing: Phrasing | None = None) -> Validity:
    """The claims of a chain of thought, read, judged and counted."""
    claims = read_claims(thinking, puzzle, phrasing)
    judged = judge(claims, puzzle)
    labels = Counter(judgement.label for judgement in judged)
    wrong = (claim.start for claim, judgement in zip(claims, judged, strict=True) if judgement.label == "not entailed")
    return Validity(
        valid=labels["entailed"],
        invalid=labels["not entailed"],
        unparsed=labels["unparsed"],
        leaps=sum(judgement.leap for judgement in judged),
        first_invalid=next(wrong, None),
    )


@dataclass(slots=True)
class _Branch:
    """What is known under some assumptions.

    Attributes:
        everything, roles: as tables, all that is known, and roles alone. Where formulas clash before the argument has
            noticed, its next step may still follow from the roles.
        outside: the branch around it, without the last assumption.
        denied: the table of that assumption's opposite.
    """

    everything: int
    roles: int
    outside: _Branch | None = None
    denied: int = 0


class _Judge:
    def __init__(self, puzzle: Puzzle) -> None:
        self._people = people = puzzle.people
        self._full, self._persons = full_table(people), person_tables(people)
        self._tables: dict[Statement, tuple[int, tuple[int, bool] | None]] = {}
        self._fitting = [
            self._full ^ self._persons[speaker] ^ self._table(statement)[0]
            for speaker, statement in enumerate(puzzle.statements)
        ]
        self._all = self._full
        for fitting in self._fitting:
            self._all &= fitting
        self._branches: dict[Frames, _Branch] = {(): _Branch(self._full, self._full)}
        self._held: dict[Frames, set[int]] = {}
        self._about: dict[Statement, set[int]] = {}
        for speaker, statement in enumerate(puzzle.statements):
            fits: Statement = (IFF, (TRUTHFUL, speaker), statement)
            fit = ((AND, (role, speaker), fits) for role in (TRUTHFUL, LIAR))
            for formula in (statement, (NOT, statement), fits, *fit):
                self._about.setdefault(formula, set()).add(speaker)
        self._solved, self._concluded, self._gap = self._full, False, False
        self._clash = False

    def judge(self, claim: Claim) -> Judgement:
        if claim.kind == "assume":
            if self._concluded:
                self._branches, self._concluded = {(): _Branch(self._full, self._full)}, False
            self._enter(claim.frames)
            return SILENT if claim.cites is None else ENTAILED if claim.cites else NOT_ENTAILED
        if claim.kind == "talk":
            return SILENT
        if claim.kind == "unparsed":
            self._gap = True
            return UNPARSED
        found = [] if claim.cites is None else [ENTAILED if claim.cites else NOT_ENTAILED]
        if claim.kind == "conclude":
            self._concluded = True
            found.append(self._conclusion(claim))
        else:
            found += self._claimed(claim)
        if claim.kind == "contradiction":
            found.append(self._contradiction(claim))
        if NOT_ENTAILED in found:
            return NOT_ENTAILED
        return LEAP if LEAP in found else ENTAILED if found else SILENT

    def _claimed(self, claim: Claim) -> list[Judgement]:
        """Judges what is said in the branch, or outside its loose condition; what holds there is known then."""
        readings = _readings(claim.frames, claim.loose)
        self._clash, refutes = False, claim.kind == "contradiction"
        complete = bool(claim.frames) and sum(map(len, claim.frames)) >= self._people
        judged = []
        for said in claim.said:
            speakers = () if complete or said.how == "given" else claim.speakers
            found = NOT_ENTAILED
            for frames in readings:
                if found is NOT_ENTAILED:
                    found = self._holds(said, frames, speakers, refutes)
            judged.append(found)
        return judged

    def _holds(self, said: Said, frames: Frames, speakers: Collection[int], refutes: bool) -> Judgement:
        """Judges one thing said in a branch; what `refutes` it may follow from a role that it then contradicts."""
        (formula, how), branch = said, self._branch(frames)
        truth, fact = self._table(formula)
        found = self._follows(branch, truth, speakers, fact[0] if fact and how == "role" else None)
        if (refutes or how == "must") and any(_within(self._by_role(branch.roles, i), truth) for i in speakers):
            found = ENTAILED
        if found is not NOT_ENTAILED:
            if refutes and not branch.everything & truth:
                self._clash = True
            self._learn(branch, truth, role=fact is not None)
            if how != "role" and formula in self._about:
                self._held.setdefault(frames, set()).update(self._about[formula])
        return found

    def _follows(self, branch: _Branch, truth: int, speakers: Iterable[int], person: int | None) -> Judgement:
        """Whether something is true wherever known things are, or these and the statement of one of the speakers."""
        known, roles = branch.everything, branch.roles
        if _within(known, truth) or _within(roles, truth):
            return ENTAILED
        tables = (known, roles) if person is None else (known, roles, self._forget(roles, person))
        if any(_within(held & self._fitting[speaker], truth) for speaker in speakers for held in tables):
            return ENTAILED
        if person is not None and person in speakers:
            alone = self._forget(roles, person)
            if any(_within(alone & half, truth) for half in self._halves(person)):
                return ENTAILED
        return LEAP if _within(known & self._all, truth) else NOT_ENTAILED

    def _halves(self, speaker: int) -> tuple[int, int]:
        """That a person's statement is true if the person is truthful, and that it is false if the person lies."""
        person, fitting = self._persons[speaker], self._fitting[speaker]
        return fitting | (self._full ^ person), fitting | person

    def _by_role(self, roles: int, speaker: int) -> int:
        """What one person's known role and statement come to, whatever else is known; nothing without a role. Where
        they clash, what the role makes of the statement."""
        person, fitting = self._persons[speaker], self._fitting[speaker]
        role = next((side for side in (person, self._full ^ person) if not roles & ~side), 0)
        return role & fitting or role and self._full ^ fitting ^ role

    def _contradiction(self, claim: Claim) -> Judgement:
        for frames in _readings(claim.frames, claim.loose):
            branch, found = self._branch(frames), NOT_ENTAILED
            known = branch.everything
            if self._clash or not all(known & fitting for fitting in self._fitting):
                found = ENTAILED
            elif not known & self._all:
                found = LEAP
            if found is not NOT_ENTAILED:
                if branch.outside:
                    self._learn(branch.outside, branch.denied, role=len(frames[-1]) == 1)
                return found
        return NOT_ENTAILED

    def _conclusion(self, claim: Claim) -> Judgement:
        truth = self._full
        for formula, _ in claim.said:
            truth &= self._table(formula)[0]
        if self._all & ~truth:
            return NOT_ENTAILED
        if not self._solved & ~truth:
            return ENTAILED
        if claim.frames and len(claim.frames[-1]) >= self._people:
            shown = len(self._held.get(claim.frames, ())) == self._people
        else:
            everybody = range(self._people)
            shown = self._follows(self._branch(claim.frames), truth, everybody, None) is ENTAILED
        if not shown and not self._gap:
            return NOT_ENTAILED
        self._solved &= truth
        return ENTAILED if shown else LEAP

    def _branch(self, frames: Frames) -> _Branch:
        return self._branches.get(frames) or self._enter(frames)

    def _enter(self, frames: Frames) -> _Branch:
        """What is known where an assumption is made; it alone where it goes against all that is known."""
        if not frames:
            return self._branches[()]
        outside, assumed = self._branch(frames[:-1]), self._assumed(frames[-1:])
        alone = self._assumed(frames)
        branch = self._branches.setdefault(frames, _Branch(0, 0, outside, self._full ^ assumed))
        branch.everything, branch.roles = outside.everything & assumed or alone, outside.roles & assumed or alone
        return branch

    @staticmethod
    def _learn(branch: _Branch, truth: int, *, role: bool) -> None:
        """Makes something known in a branch and, under its assumptions, outside it; what contradicts is left out."""
        if role:
            branch.roles = branch.roles & truth or branch.roles
        branch.everything = branch.everything & truth or branch.everything
        while branch.outside:
            truth |= branch.denied
            branch = branch.outside
            branch.everything = branch.everything & truth or branch.everything

    def _assumed(self, frames: Frames) -> int:
        held = self._full
        for frame in frames:
            for person, truthful in frame:
                held &= self._persons[person] if truthful else self._full ^ self._persons[person]
        return held

    def _forget(self, known: int, person: int) -> int:
        """The table with nothing known of one person any more."""
        honest, width = known & self._persons[person], 1 << person
        return known | honest << width | (known ^ honest) >> width

    def _table(self, formula: Statement) -> tuple[int, tuple[int, bool] | None]:
        """Where a formula is true, and the single role that it is about."""
        found = self._tables.get(formula)
        if found is None:
            found = self._tables[formula] = table(formula, self._people), as_fact(formula)
        return found


def _within(held: int, truth: int) -> bool:
    return bool(held) and not held & ~truth


def _readings(frames: Frames, loose: bool) -> list[Frames]:
    return [frames[:-1], frames] if loose else [frames]
