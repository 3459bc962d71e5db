"""Reads who is said to be what in prose about a puzzle, what is assumed there, and where that meets a contradiction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from warmup_rl.dlcot.markers import DEAD_END, lowered
from warmup_rl.dlcot.outline import Sentence
from warmup_rl.knights.english import plural
from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Facts

Known = dict[int, bool]
"""Who is known to tell the truth, or to lie."""

_PLAIN = str.maketrans("*_`#$“”’", '     ""\'')
"""Layout becomes blanks, and quotation marks straight: characters keep their places."""
_SPEECH = (
    r"(?:(?:(?<!let's )say|claim|state|declare|assert|mention|remark|note|comment|express)(?:s|d|ed)?|said|saying|told)"
    r"(?! (?:is|was|must|has)\b)"
)
_REPORTED = rf'"[^"\n]*"|\b(?:{_SPEECH}|statement that)\b[,:]?\s*(?:"[^"\n]*"|[^.,;:\n"]*)'
"""What somebody says, in quotation marks or after a verb."""
_IS = (
    r"is|are|was|were|be|isn't|aren't|wasn't|weren't|must|has|have|to|would|will|cannot|can't|can not|could not"
    r"|couldn't|not|also|both|all|indeed|now|then|therefore|actually|definitely|turns|out|being"
)
_NOT = re.compile(r"n't|not")
_ARTICLE = r"(?:(?:an?|the|both|all)\s+){0,3}"
_JOINT = re.compile(r",? and |, | & ")
_BEFORE = re.compile(
    r"(?P<condition>\b(?<!only )(?:if|when)\s+(?:both\s+)?$)"
    r"|(?P<possibility>(?:\b(?:or|nor|either|neither|if|unless|whether)\s+|=\s*)(?:both\s+)?$)"
    r"|(?P<assumption>\b(?:suppos(?:e|ing)|(?<!still )assum(?:e|ing)|hypothesis that|imagine|pretend|say)\b"
    r"(?!.*\b(?:then|so|since|because|if)\b))"
    r"|(?P<joined>^[\s,;&]*(?:and )?(?:that )?$)"
)
"""What the words before a role that is told of somebody make of it."""
_OR = re.compile(r"[\s,]+(?:or|if|iff|unless)\b")
_DENIED = re.compile(r"(?:\b(?:no|not|nothing|without|never|any|for)|n't)\W+(?:\w+\W+){0,3}$")
_NEAR, _FAR = 30, 160
"""Characters before a contradiction that may deny it, and before a role that may make it an assumption."""


class Note(NamedTuple):
    """What a sentence does.

    Attributes:
        works: it works at the puzzle (true), restates it (false), or neither.
        claimed: the roles that it claims, under whatever is assumed there.
        opens: what is assumed, outermost first, once it has made an assumption of its own; empty where it makes none.
            An assumption that could not be read is empty.
        gives_up: it takes an assumption back.
        unread: it tells a role, and it is not clear whose.
        frames: what is assumed after it, in the same way.
        ended: the last of these has met its contradiction.
        roles: what is known under all of these; `known`: under none.
    """

    works: bool | None
    claimed: Facts
    opens: tuple[Facts, ...]
    gives_up: bool
    unread: bool
    frames: tuple[Facts, ...]
    ended: bool
    roles: Known
    known: Known


def take_notes(text: str, said: Sequence[Sentence], puzzle: Puzzle) -> list[Note]:
    """A note for each sentence of a text about a puzzle.

    A role counts for somebody where both stand in one plain clause (`Zoey must be a knight`, `Zoey: knight`), outside
    of what is quoted; nothing is taken from possibilities, questions and pronouns. An assumption goes on top of those
    that stand, but takes the place of one about the same person, of one that has met its contradiction, and of all
    after a conclusion. The condition of an "if" lasts for a paragraph at most. A contradiction ends the last
    assumption; what says the opposite of an assumption after that takes it back.
    """
    words = _words(puzzle.names, puzzle.roles.truthful.lower(), puzzle.roles.liar.lower())
    plain = words.reported.sub(lambda match: '"' * len(match[0]), lowered(text).translate(_PLAIN))
    reader = _Reader(plain, words, puzzle.people)
    return [reader.note(sentence) for sentence in said]


class _Words(NamedTuple):
    """What a puzzle's names and role words come to: a clause that tells a role, quotations and rules, reported speech,
    who and what is meant; and the facts in clauses that were met."""

    clause: re.Pattern[str]
    restates: re.Pattern[str]
    reported: re.Pattern[str]
    people: dict[str, Sequence[int]]
    truthful: dict[str, bool]
    met: dict[str, Facts]

    def facts(self, match: re.Match[str]) -> Facts:
        """Who has which role in a clause; nobody where that is not clear."""
        found = self.met.get(match[0])
        if found is None:
            named = _JOINT.split(match["people"]) if match["people"] else ()
            truthful = self.truthful[match["role"]] != (len(_NOT.findall(match["link"] or "")) % 2 == 1)
            found = tuple([(person, truthful) for name in named for person in self.people.get(name, ())])
            self.met[match[0]] = found
        return found


@lru_cache(64)
def _words(names: tuple[str, ...], honest: str, liar: str) -> _Words:
    people: dict[str, Sequence[int]] = {name.lower(): (person,) for person, name in enumerate(names)}
    all_of_them = ("everyone", "everybody", *(["both"] if len(names) == 2 else []))
    truthful = {word: role == honest for role in (honest, liar) for word in (role, plural(role))}
    name, role = ("|".join(map(re.escape, sorted(words, key=len, reverse=True))) for words in (people, truthful))
    clause = (
        rf"\b(?:(?P<people>(?:{name})(?:(?:{_JOINT.pattern})(?:{name})){{0,{len(names)}}}|{'|'.join(all_of_them)})"
        rf"(?P<link>(?:\s+(?:{_IS})){{1,8}}\s+|\s*[:=(→]\s*)|(?:is|are|was|were|be)\s+(?:not\s+)?){_ARTICLE}(?P<role>{role})\b"
    )
    listed = rf"^[^\w\n]*(?:{name})\s*:(?!\s*{_ARTICLE}(?:{role})\b).*"
    restates = rf'"|\b(?:{re.escape(plural(honest))}|{re.escape(plural(liar))})\b'
    return _Words(
        re.compile(clause), re.compile(restates), re.compile(f"{listed}|{_REPORTED}", re.MULTILINE),
        {**people, **dict.fromkeys(all_of_them, range(len(names)))}, truthful, {},
    )  # fmt: skip


@lru_cache(4_096)
def _manner(before: str) -> str:
    """How a role is told that follows these words."""
    found = _BEFORE.search(before)
    return found.lastgroup or "" if found else "claim"


class _Clause(NamedTuple):
    """A role that is told of somebody; or a contradiction, without facts."""

    start: int
    facts: Facts = ()
    kind: str = "contradiction"


class _Reader:
    """Takes notes sentence by sentence; knows what is assumed, and what is known under that."""

    def __init__(self, plain: str, words: _Words, people: int) -> None:
        self._plain, self._words, self._people = plain, words, people
        self._frames: tuple[Facts, ...] = ()
        self._levels: tuple[Known, ...] = ({},)
        self._condition = self._ended = self._later = self._concluded = False

    def note(self, sentence: Sentence) -> Note:
        if sentence.begins:
            self._later = True
            if self._condition and not self._ended:
                self._back_to(len(self._frames) - 1)
        if sentence.move == "verify":
            self._ended = False
        claimed: list[tuple[int, bool]] = []
        opens: tuple[Facts, ...] = ()
        gives_up = False
        clauses = self._clauses(sentence)
        for _, facts, kind in clauses:
            if kind == "contradiction":
                self._ended, self._later = bool(self._frames), False
            elif kind == "claim":
                claimed += facts
                gives_up = self._claim(facts) or gives_up
            elif kind == "assumption":
                opens = self._assume(facts, afresh=sentence.move == "alternative")
            elif kind == "condition":
                self._suppose(facts)
        kinds = {clause.kind for clause in clauses}
        self._concluded |= len(set(claimed)) == self._people and not kinds & {"assumption", "condition"}
        works: bool | None = bool(kinds - {"unread"})
        if not works and not self._words.restates.search(self._plain, sentence.start, sentence.end):
            works = None
        return Note(
            works, tuple(claimed), opens, gives_up, "unread" in kinds, self._frames,
            self._ended, self._levels[-1], self._levels[0],
        )  # fmt: skip

    def _clauses(self, sentence: Sentence) -> list[_Clause]:
        """What a sentence says of roles, and its contradictions, in order; nothing of a question."""
        plain, start, end = self._plain, sentence.start, sentence.end
        if plain[max(start, end - 5) : end].rstrip(' \n")').endswith("?"):
            return []
        found: list[_Clause] = []
        before, kind = start, ""
        supposes = sentence.move in ("suppose", "case")
        supposes |= sentence.move == "alternative" and _manner(plain[start : min(end, start + _FAR)]) == "assumption"
        matches = list(self._words.clause.finditer(plain, start, end))
        for match in matches:
            kind = self._kind(match, max(before, match.start() - _FAR), kind, supposes and before == start)
            before, facts = match.end(), self._words.facts(match)
            if kind in ("assumption", "condition") and found and found[-1].kind == kind:
                found[-1] = found[-1]._replace(facts=(*found[-1].facts, *facts))
            elif kind:
                found.append(_Clause(match.start(), facts, kind))
        if supposes and not any(clause.kind == "assumption" for clause in found):
            found.insert(0, _Clause(start, (), "assumption"))
        for place in [match.start() for match in DEAD_END.finditer(plain, start, end)]:
            denied = _DENIED.search(plain, max(start, place - _NEAR), place)
            if not denied and not any(match.start() <= place < match.end() for match in matches):
                found.append(_Clause(place))
                found.sort(key=itemgetter(0))
        return found

    def _kind(self, match: re.Match[str], before: int, last: str, supposes: bool) -> str:
        """What a role is told for, after one that was told for `last`; nothing where it is only possible."""
        if not match["people"]:
            return "unread"
        kind, must = _manner(self._plain[before : match.start()]), "must" in match["link"]
        if kind == "possibility" or _OR.match(self._plain, match.end()):
            return ""
        if kind == "joined" and last in ("assumption", "condition"):
            kind = last
        elif supposes and (kind == "condition" or not must):
            kind = "assumption"
        if kind == "joined" or (kind == "assumption" and must):
            return "claim"
        return kind

    def _assume(self, facts: Facts, *, afresh: bool) -> tuple[Facts, ...]:
        """Makes an assumption, in place of all others where it is made afresh; gives all that is assumed then."""
        if self._condition or self._ended:
            self._back_to(len(self._frames) - 1)
        people = {person for person, _ in facts}
        if self._concluded or afresh or len(people) == self._people:
            self._back_to(0)
        same = (i for i, frame in enumerate(self._frames) if not frame or people & {person for person, _ in frame})
        self._back_to(next(same, len(self._frames)))
        self._open(facts)
        self._concluded = False
        return self._frames

    def _suppose(self, facts: Facts) -> None:
        """Opens the condition of an "if"."""
        if self._condition:
            self._back_to(len(self._frames) - 1)
        opposite = {(person, not truthful) for person, truthful in facts}
        self._back_to(next((i for i, frame in enumerate(self._frames) if opposite & set(frame)), len(self._frames)))
        self._open(facts)
        self._condition = True

    def _open(self, facts: Facts) -> None:
        outside = self._levels[-1]
        agrees = all(outside.get(person, truthful) == truthful for person, truthful in facts)
        self._frames = (*self._frames, facts)
        self._levels = (*self._levels, {**outside, **dict(facts)} if agrees else dict(facts))
        self._condition = self._ended = False

    def _claim(self, facts: Facts) -> bool:
        """Makes something known under what is assumed; whether an assumption was taken back for that."""
        gives_up = False
        for person, truthful in facts:
            denied = (i for i, frame in enumerate(self._frames) if (person, not truthful) in frame)
            if self._ended:
                depth = next(denied, len(self._frames) - 1 if self._later else None)
                if depth is None:
                    continue
                self._back_to(depth)
                gives_up = True
            elif self._condition and (person, not truthful) in self._frames[-1]:
                self._back_to(len(self._frames) - 1)
            if self._levels[-1].get(person) != truthful:
                self._levels = (*self._levels[:-1], {**self._levels[-1], person: truthful})
        return gives_up

    def _back_to(self, depth: int) -> None:
        """Takes assumptions back, down to this many."""
        if depth < len(self._frames):
            self._frames, self._levels = self._frames[:depth], self._levels[: depth + 1]
            self._condition = self._ended = False
