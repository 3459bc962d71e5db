"""Reads a chain of thought about a puzzle as claims: what each sentence says of whom, and what is assumed there."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.parts import Part, as_fact, facts_of, read_parts
from warmup_rl.knights.reasoning import StagePreview
from warmup_rl.knights.sketches import Said
from warmup_rl.knights.statements import LIAR, TRUTHFUL
from warmup_rl.knights.terse import NEXT, SO
from warmup_rl.knights.terse_claims import Sentence, terse_sentences
from warmup_rl.knights.text import Phrasing

ClaimKind = Literal[
    "restate", "assume", "assert", "check", "contradiction", "backtrack", "conclude", "talk", "unparsed"
]  # fmt: skip

_TERSE = re.compile(rf"\s*(?:{NEXT}\s+(?:case\d+|#\d+|recheck|wait|solved)|{SO}\s+\w+=\w+)(?!\S)")


class Claim(NamedTuple):
    """One sentence of a chain of thought, or the part of one that does one thing.

    Attributes:
        start, end: characters of the thinking; claims follow each other without gap and cover all of it.
        kind: `restate` (the rules, what somebody says, what is assumed), `assume`, `assert` (something follows),
            `check` (a statement is held against the roles), `contradiction`, `backtrack` (an assumption is given up),
            `conclude` (a role for everybody, or the answer), `talk` (nothing is claimed), `unparsed` (something is
            claimed, and it is not clear what).
        facts: roles that it states outright, or assumes.
        said: all that it holds to be true here, in order; empty for `assume`.
        speakers: whose statements it may rest on: those it quotes, and those of the people of an "if" or of an
            assumption right before it; else those that the claim before quotes; else those of the people named in both.
        frames: what is assumed here, outermost first, one entry an assumption; with itself for `assume`, without what
            it gives up for `backtrack`.
        cites: whether a statement (terse: an anchor, a case) is cited as it is; None where nothing is cited.
        loose: the last frame is the condition of an "if" some sentences ago, which may or may not be meant still.
    """

    start: int
    end: int
    kind: ClaimKind
    facts: StagePreview = ()
    said: tuple[Said, ...] = ()
    speakers: frozenset[int] = frozenset()
    frames: tuple[StagePreview, ...] = ()
    cites: bool | None = None
    loose: bool = False

    @property
    def hypotheses(self) -> StagePreview:
        """What is assumed here, as one list."""
        return tuple(fact for frame in self.frames for fact in frame)


def read_claims(thinking: str, puzzle: Puzzle, phrasing: Phrasing | None = None) -> list[Claim]:
    """The claims of a chain of thought in order; its first words tell the phrasing where it is not given.

    Nothing is guessed: pronouns, roles that belong to nobody and reported speech that is no statement are `unparsed`
    unless the same sentence also says something plain. Questions and possibilities ("might be") are `talk`. An
    assumption goes on top of those that stand; it takes the place of one about the same person, of one that has met its
    contradiction, and of all of them after a conclusion. A full assignment ("Suppose that Hal is ..., Bob is ... and
    ...", `case3 ...`) replaces all.
    """
    if phrasing == "terse" or (phrasing is None and _TERSE.match(thinking)):
        return _terse_claims(thinking, puzzle)
    tracker = _Tracker(puzzle.people)
    return [tracker.claim(part) for part in read_parts(thinking, puzzle)]


def _terse_claims(thinking: str, puzzle: Puzzle) -> list[Claim]:
    claims: list[Claim] = []
    frames: tuple[StagePreview, ...] = ()
    for sentence in terse_sentences(thinking, puzzle):
        if sentence.does in ("case", "solved"):
            frames = (sentence.facts,)
        claims.append(_terse_claim(sentence, frames))
    return claims


def _terse_claim(sentence: Sentence, frames: tuple[StagePreview, ...]) -> Claim:
    start, end, does = sentence.start, sentence.end, sentence.does
    if does == "case":
        return Claim(start, end, "assume", sentence.facts, frames=frames, cites=sentence.cites)
    if does in ("solved", "answer"):
        said = tuple(Said((TRUTHFUL if truthful else LIAR, person), "role") for person, truthful in sentence.facts)
        cites = sentence.cites if does == "solved" else None
        return Claim(start, end, "conclude", sentence.facts, said, frames=frames, cites=cites)
    if does == "check":
        kind: ClaimKind = "contradiction" if sentence.fits is False else "check"
        said = tuple(Said(formula, "truth") for formula in sentence.said)
        return Claim(start, end, kind, facts_of(said), said, frames=frames, cites=sentence.cites)
    return Claim(start, end, "talk" if does == "wait" else "unparsed", frames=frames)


class _Tracker:
    """Turns parts of sentences into claims; knows what is assumed at each."""

    def __init__(self, people: int) -> None:
        self._people = people
        self._frames: tuple[StagePreview, ...] = ()
        self._met: tuple[StagePreview, ...] = ()
        self._loose = False
        self._refuted = False
        self._concluded = False
        self._before = Part(0, 0)

    def claim(self, part: Part) -> Claim:
        claim = self._claim(part)
        if claim.kind == "contradiction":
            self._met = self._frames
        elif self._met:
            if part.again or claim.kind in ("assume", "conclude"):
                self._met = ()
            elif claim.kind in ("assert", "backtrack"):
                claim = self._denied(claim)
        if part.said or part.named or part.speakers:
            self._before = part
        return claim

    def _claim(self, part: Part) -> Claim:
        if part.paragraph and self._loose and not self._refuted:
            self._pop()
        if part.again:
            self._refuted = False
        if part.kind in ("talk", "rules", "unparsed") and not part.condition:
            kind: ClaimKind = "restate" if part.kind == "rules" else part.kind  # type: ignore[assignment]
            return Claim(part.start, part.end, kind, frames=self._frames, cites=part.cites, loose=self._loose)
        if part.kind == "assume":
            return self._assume(part)
        if part.kind == "backtrack" or (self._refuted and part.kind == "say"):
            return self._give_up(part)
        if part.condition:
            self._open(part.condition)
        return self._say(part)

    def _assume(self, part: Part) -> Claim:
        facts = part.facts
        if self._loose or self._refuted:
            self._pop()
        if self._concluded or len(facts) == self._people:
            self._frames = ()
        taken = {person for person, _ in facts}
        for depth, frame in enumerate(self._frames):
            if part.instead or taken & {person for person, _ in frame}:
                self._frames = self._frames[:depth]
                break
        self._frames, self._loose, self._concluded = (*self._frames, facts), False, False
        return Claim(part.start, part.end, "assume", facts, frames=self._frames)

    def _open(self, condition: StagePreview) -> None:
        if self._loose:
            self._pop()
        opposite = {(person, not truthful) for person, truthful in condition}
        depth = next((i for i, frame in enumerate(self._frames) if opposite & set(frame)), len(self._frames))
        self._frames, self._loose = (*self._frames[:depth], condition), True

    def _give_up(self, part: Part) -> Claim:
        """After a contradiction the assumption is gone, whether or not the next claim says so."""
        self._pop()
        claim = self._say(part)
        return claim._replace(kind="backtrack") if part.kind == "backtrack" and claim.kind != "conclude" else claim

    def _denied(self, claim: Claim) -> Claim:
        """What says the opposite of an assumption that has met its contradiction, at once or later, gives it up, and
        those inside it."""
        opposite = {(person, not truthful) for person, truthful in claim.facts}
        depth = next((depth for depth, frame in enumerate(self._met) if opposite & set(frame)), None)
        if depth is None:
            return claim
        self._frames = self._met = self._met[:depth]
        self._loose = self._refuted = False
        return claim._replace(kind="backtrack", frames=self._frames, loose=False)

    def _say(self, part: Part) -> Claim:
        facts, said = part.facts, part.said
        speakers = part.speakers or self._before.speakers or part.named | self._before.named
        if part.condition:
            speakers |= {person for person, _ in part.condition}
        if part.speakers and self._before.kind == "assume":
            speakers |= {person for person, _ in self._before.facts}
        loose = self._loose and not part.condition
        kind = self._kind(part, facts)
        if loose and kind == "assert" and self._settles(part.said[-1]):
            self._pop()
            loose = False
        claim = Claim(part.start, part.end, kind, facts, said, speakers, self._frames, part.cites, loose)
        if kind == "contradiction":
            self._refuted = bool(self._frames)
        elif kind == "conclude":
            self._frames, self._loose, self._concluded = (facts,), False, True
        return claim

    def _settles(self, last: Said) -> bool:
        """Whether the condition of an "if" is decided, one way or the other, and so not meant any more."""
        fact = as_fact(last.formula)
        return fact is not None and last.how == "role" and fact[0] in {person for person, _ in self._frames[-1]}

    def _kind(self, part: Part, facts: StagePreview) -> ClaimKind:
        if part.kind in ("contradiction", "unparsed"):
            return part.kind
        if part.kind == "backtrack":
            return "backtrack"
        if part.kind == "still" or not part.said:
            return "restate"
        if part.checks:
            return "check"
        everybody = len({person for person, _ in facts}) == self._people == len(part.said)
        return "conclude" if everybody and part.lists and not part.condition else "assert"

    def _pop(self) -> None:
        self._frames, self._loose, self._refuted = self._frames[:-1], False, False
