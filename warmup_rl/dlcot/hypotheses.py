"""Reads prose about a puzzle: who is said to be what, what is assumed, and where that meets a contradiction."""

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
"""Whether each person with a known role tells the truth."""

_PLAIN = str.maketrans("*_`#$“”’", '     ""\'')
"""Markup becomes blanks, and quotation marks straight: characters keep their places."""
_REPORTED = (
    r'"[^"\n]*"|\b(?:(?:(?:(?<!let\'s )say|claim|state|declare|assert|mention|remark|note|comment|express)(?:s|d|ed)?'
    r"|said|saying|told)(?! (?:is|was|must|has)\b)|statement that)\b[,:]?\s*(?:\"[^\"\n]*\"|[^.,;:\n\"]*)"
)
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
"""What the words before a role make of it; a plain claim if none of these match."""
_OR = re.compile(r"[\s,]+(?:or|if|iff|unless)\b")
_DENIED = re.compile(r"(?:\b(?:no|not|nothing|without|never|any|for)|n't)\W+(?:\w+\W+){0,3}$")
_NEAR, _FAR = 30, 160
"""Characters before a contradiction that may deny it, and before a role that may make it an assumption."""


class _Frame(NamedTuple):
    """An assumption or the condition of an "if": its facts, and everything known under it."""

    facts: Facts
    roles: Known
    condition: bool = False


class Note(NamedTuple):
    """What a sentence does.

    Attributes:
        works: it works at the puzzle (true), restates it (false), or neither (None).
        claimed: the roles that it claims, under whatever is assumed.
        opens: everything assumed, outermost first, once the sentence has made an assumption; empty if it makes none.
            An assumption that could not be read is empty.
        gives_up: it gives an assumption up.
        unread: it mentions a role, and it is unclear whose.
        stack: what is known under no assumption, then the assumptions in force after the sentence, outermost first.
        ended: the last assumption has met its contradiction.
    """

    works: bool | None
    claimed: Facts
    opens: tuple[Facts, ...]
    gives_up: bool
    unread: bool
    stack: tuple[_Frame, ...]
    ended: bool

    @property
    def frames(self) -> tuple[Facts, ...]:
        """What is assumed after the sentence, outermost first."""
        return tuple(frame.facts for frame in self.stack[1:])

    @property
    def roles(self) -> Known:
        """What is known under all assumptions."""
        return self.stack[-1].roles

    @property
    def known(self) -> Known:
        """What is known without any assumption."""
        return self.stack[0].roles


def take_notes(text: str, said: Sequence[Sentence], puzzle: Puzzle) -> list[Note]:
    """A note for each sentence of a text about a puzzle.

    A role counts if person and role stand in one plain clause (`Zoey must be a knight`, `Zoey: knight`) outside of
    quotations; possibilities, questions and pronouns claim nothing. An assumption is added to those in force, but
    replaces one about the same person, one that has met its contradiction, and all of them after a conclusion. The
    condition of an "if" lasts for a paragraph at most. A contradiction ends the last assumption; a claim of its
    opposite then gives it up.
    """
    words = _words(puzzle.names, puzzle.roles.truthful.lower(), puzzle.roles.liar.lower())
    plain = words.reported.sub(lambda match: '"' * len(match[0]), lowered(text).translate(_PLAIN))
    reader = _Reader(plain, words, puzzle.people)
    return [reader.note(sentence) for sentence in said]


class _Words(NamedTuple):
    """Patterns of a puzzle (a clause that gives a role, quotations and rules, reported speech), who and what its names
    and role words stand for, and the facts of the clauses met so far."""

    clause: re.Pattern[str]
    restates: re.Pattern[str]
    reported: re.Pattern[str]
    people: dict[str, Sequence[int]]
    truthful: dict[str, bool]
    met: dict[str, Facts]

    def facts(self, match: re.Match[str]) -> Facts:
        """Who has which role in a clause."""
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
    """What these words make of a role that follows them."""
    found = _BEFORE.search(before)
    return found.lastgroup or "" if found else "claim"


class _Event(NamedTuple):
    """A clause that gives a role, by kind; or a contradiction, without facts."""

    start: int
    facts: Facts = ()
    kind: str = "contradiction"


class _Reader:
    """Takes notes sentence by sentence; knows what is assumed, and what is known under that."""

    def __init__(self, plain: str, words: _Words, people: int) -> None:
        self._plain, self._words, self._people = plain, words, people
        self._stack: tuple[_Frame, ...] = (_Frame((), {}),)
        self._ended = self._later = self._concluded = False

    def note(self, sentence: Sentence) -> Note:
        if sentence.begins:
            self._later = True
            if self._stack[-1].condition and not self._ended:
                self._keep(len(self._stack) - 1)
        if sentence.move == "verify":
            self._ended = False
        claimed: list[tuple[int, bool]] = []
        opens: tuple[Facts, ...] = ()
        gives_up = False
        events = self._events(sentence)
        for _, facts, kind in events:
            if kind == "contradiction":
                self._ended, self._later = len(self._stack) > 1, False
            elif kind == "unread":
                continue
            elif kind == "claim":
                claimed += facts
                gives_up = self._claim(facts) or gives_up
            else:
                self._assume(facts, condition=kind == "condition", afresh=sentence.move == "alternative")
                opens = opens if kind == "condition" else tuple([frame.facts for frame in self._stack[1:]])
        kinds = {event.kind for event in events}
        self._concluded |= len(set(claimed)) == self._people and not kinds & {"assumption", "condition"}
        works: bool | None = bool(kinds - {"unread"})
        if not works and not self._words.restates.search(self._plain, sentence.start, sentence.end):
            works = None
        return Note(works, tuple(claimed), opens, gives_up, "unread" in kinds, self._stack, self._ended)

    def _events(self, sentence: Sentence) -> list[_Event]:
        """The roles and contradictions of a sentence in order; none of a question."""
        plain, start, end = self._plain, sentence.start, sentence.end
        if plain[max(start, end - 5) : end].rstrip(' \n")').endswith("?"):
            return []
        found: list[_Event] = []
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
                found.append(_Event(match.start(), facts, kind))
        if supposes and not any(event.kind == "assumption" for event in found):
            found.insert(0, _Event(start, (), "assumption"))
        for end_of_case in DEAD_END.finditer(plain, start, end):
            at = end_of_case.start()
            denied = _DENIED.search(plain, max(start, at - _NEAR), at)
            if not denied and not any(match.start() <= at < match.end() for match in matches):
                found.append(_Event(at))
        return sorted(found, key=itemgetter(0))

    def _kind(self, match: re.Match[str], before: int, last: str, supposes: bool) -> str:
        """What a clause does, after one that does `last`; nothing if it is only possible."""
        if not match["people"]:
            return "unread"
        kind, must = _manner(self._plain[before : match.start()]), "must" in match["link"]
        if kind == "possibility" or _OR.match(self._plain, match.end()):
            return ""
        if kind == "joined" and last in ("assumption", "condition"):
            kind = last
        elif supposes and (kind == "condition" or not must):
            kind = "assumption"
        return "claim" if kind == "joined" or (kind == "assumption" and must) else kind

    def _assume(self, facts: Facts, *, condition: bool, afresh: bool) -> None:
        """Opens an assumption or the condition of an "if" inside those in force that it does not replace."""
        if self._stack[-1].condition or (self._ended and not condition):
            self._keep(len(self._stack) - 1)
        if not condition and (self._concluded or afresh or len(dict(facts)) == self._people):
            self._keep(1)
        self._concluded &= condition
        new = dict(facts)
        for depth, frame in enumerate(self._stack[1:], start=1):
            if condition:
                replaces = any(new.get(person, truthful) != truthful for person, truthful in frame.facts)
            else:
                replaces = not frame.facts or any(person in new for person, _ in frame.facts)
            if replaces:
                self._keep(depth)
                break
        self._stack, self._ended = (*self._stack, _Frame(facts, self._stack[-1].roles | new, condition)), False

    def _claim(self, facts: Facts) -> bool:
        """Makes something known under what is assumed; returns whether an assumption was given up for that."""
        gives_up = False
        for person, truthful in facts:
            if self._ended:
                opposed = (i for i, frame in enumerate(self._stack) if (person, not truthful) in frame.facts)
                depth = next(opposed, len(self._stack) - 1 if self._later else None)
                if depth is None:
                    continue
                self._keep(depth)
                gives_up = True
            elif self._stack[-1].condition and (person, not truthful) in self._stack[-1].facts:
                self._keep(len(self._stack) - 1)
            top = self._stack[-1]
            if top.roles.get(person) != truthful:
                self._stack = (*self._stack[:-1], top._replace(roles=top.roles | {person: truthful}))
        return gives_up

    def _keep(self, depth: int) -> None:
        """Ends all but the first frames."""
        if depth < len(self._stack):
            self._stack, self._ended = self._stack[:depth], False
