"""Reads sentences of prose about a puzzle: roles, truth of statements, conditions, assumptions, contradictions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from warmup_rl.knights import words
from warmup_rl.knights.sketches import BEFORE, OWN, QUOTED, How, Plan, Said, Shape, Sketch
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LIAR, NOT, OR, TRUTHFUL, Statement

_SHAPES = 8_192
"""Shapes that are remembered: a text of 3,000 words has some 100 sentences, many of the same few shapes."""


@lru_cache(_SHAPES)
def plan(shape: Shape) -> Plan:
    """What sentences of a shape say."""
    return _Reader(shape).read()


class _Reader:
    """Goes through the letters of a sentence; knows who was named last, and who said what."""

    def __init__(self, shape: Shape) -> None:
        self._shape, self._letters = shape, shape.letters
        self._values = dict(zip(words.places(shape.letters), shape.values, strict=True))
        self._speaker, self._voice = shape.speaker, shape.voice
        self._quote: Statement | None = (QUOTED, BEFORE) if shape.quoted else None
        self._quotations: list[tuple[int, int]] = []
        self._parts, self._mode = [Sketch()], "say"
        self._left, self._twisted, self._trying = False, False, False
        self._premise, self._so, self._indirect = "", False, False

    def read(self) -> Plan:
        if "!" in self._letters:
            self._part.kind, self._part.cites = "rules", words.rules_right(self._letters, self._values)
        elif self._letters[-1:] != "?" and words.TELLING.search(self._letters):
            self._walk(self._letters)
            self._close()
        assumes = any(part.kind == "assume" for part in self._parts)
        return Plan(tuple(self._parts), assumes, tuple(self._quotations), self._speaker, self._voice, self._quote)

    def _walk(self, letters: str) -> None:
        position = 0
        while atom := words.ATOM.search(letters, position):
            gap = letters[position : atom.start()]
            join = words.JOINS.get(gap) if self._part.said or self._part.conditions else None
            if join is None:
                self._gap(gap, position)
                self._twisted = self._twisted or bool(words.TWISTED.search(gap)) and self._mode != "skip"
            count = len(self._list)
            position = self._atom(atom)
            if join and len(self._list) > count > 0:
                right, left = self._list.pop(), self._list.pop()
                self._list.append(Said((join, left.formula, right.formula), right.how))
        self._gap(letters[position:], position)

    @property
    def _part(self) -> Sketch:
        return self._parts[-1]

    @property
    def _list(self) -> list[Said]:
        return self._part.conditions if self._mode == "if" else self._part.said

    def _gap(self, gap: str, position: int) -> None:
        """The words between two atoms: connectives, assumptions, contradictions."""
        for index, letter in enumerate(gap, start=position):
            before = self._letters[max(0, index - 3) : index]
            if letter == "P":
                self._part.named.add(self._values[index])
            elif letter in "gd":
                self._premise, self._part.lists = letter, False
            elif letter in "s;t,":
                self._connect(letter, index)
            elif letter in "RUTFl" and self._mode != "skip":
                self._left = True
            elif letter == "i":
                self._if(gap, index - position)
            elif letter == "A" or (letter == "S" and before.endswith("L'")):
                self._begin("still" if "%" in before else "assume", index)
            elif letter == "H":
                self._hypothesis(gap[index - position :], index)
            elif letter == "C" and re.match(r"C_?[=,]", gap[index - position :]) and "o" not in before:
                self._begin("assume", index)
            elif letter == "r":
                self._trying = True
            elif letter in "yh" or (letter == "%" and "A" not in gap):
                self._mode, self._indirect = "skip", letter == "y"
            elif letter == "=" and self._mode == "skip" and self._part.kind == "talk":
                self._mode = "say"
            elif letter == "x" or (letter == "K" and "X" in gap) or (before[-2:] == "oz" and letter == "v"):
                self._contradiction(before)

    def _connect(self, letter: str, index: int) -> None:
        self._so = self._so or letter in "st" or (letter == "," and self._premise == "g")
        if letter == "s" or (letter == "," and self._premise == "g"):
            self._premise = ""
        if self._mode == "if" and self._part.conditions:
            self._mode = "say"
            return
        if letter == "s" and self._part.said:
            self._part.lists = False
        if letter in "st;" and (
            (self._mode == "assume" and self._part.said)
            or (self._mode == "skip" and letter == "s" and self._part.kind == "contradiction")
        ):
            self._next(index)
            self._mode = "say"

    def _if(self, gap: str, place: int) -> None:
        if self._mode == "skip":
            return
        if "j" in gap[max(0, place - 1) : place + 2]:
            self._twisted = True
        if self._mode == "say":
            self._mode = "if"

    def _begin(self, kind: Literal["assume", "still"], index: int) -> None:
        if self._part.said or self._part.kind != "talk":
            self._next(index)
        self._part.kind, self._mode = kind, "assume" if kind == "assume" else "say"

    def _hypothesis(self, rest: str, index: int) -> None:
        if self._part.kind in ("assume", "still", "backtrack") or self._mode == "skip":
            return
        if "X" in rest or "F" in rest:
            self._part.kind = "backtrack"
        elif self._trying:
            self._begin("assume", index)
        else:
            self._mode = "skip"

    def _contradiction(self, before: str) -> None:
        reason = self._part.said and (self._premise == "g" or "m" in before)
        if not re.search("[0nk]", before) and self._part.kind == "talk" and not self._indirect and not reason:
            self._part.kind = "contradiction"
        self._mode = "skip"

    def _atom(self, atom: re.Match[str]) -> int:
        """Takes in what a pattern found; returns where to go on."""
        kind, letters = str(atom.lastgroup), atom[0]
        start = atom.start()
        persons = [self._values[start + place] for place, letter in enumerate(letters) if letter == "P"]
        if kind in ("speech", "what"):
            return self._speech(atom, persons)
        if kind == "quote":
            return self._quoted(start, self._statement(start, start))
        if persons:
            self._speaker = persons[-1]
            self._part.named.update(persons)
        if kind == "own":
            self._part.speakers.add(persons[0])
            self._truth((OWN, persons[0]), letters)
        elif kind == "alike":
            self._alike(persons, letters)
        elif kind in ("role", "tells", "neither", "some"):
            self._role(atom, kind, persons)
        elif self._quote is None or self._voice < 0:
            self._left = True
        else:
            self._fit(atom, kind, self._quote)
        return atom.end()

    def _role(self, atom: re.Match[str], kind: str, persons: Sequence[int]) -> None:
        letters = atom[0]
        if "l" in letters or "q" in letters:
            truthful = letters[-1] == "T"
        else:
            truthful = bool(self._values[atom.start() + max(letters.find("R"), letters.find("U"))])
        negated = len(re.findall("[nzN]", letters)) % 2 == 1
        if not persons:
            everybody = "B" in letters or (self._shape.people == 2 and letters[0] == "b")
            if not everybody or negated:
                self._left = True
                return
            persons = range(self._shape.people)
        if "h" in letters or ("c" in letters and not negated) or re.search(r"[RU]\|", letters):
            return
        if self._mode == "assume" and self._part.said and re.search("[mcz]", letters):
            self._connect(";", atom.start())
        roles: list[Statement] = [(TRUTHFUL if truthful != negated else LIAR, person) for person in persons]
        if "|" in letters or kind == "some":
            roles = [(OR, *roles)]
        self._say(roles, "given" if "w" in letters else "role")

    def _alike(self, persons: Sequence[int], letters: str) -> None:
        if len(persons) != 2:
            self._left = True
            return
        equal: Statement = (IFF, (TRUTHFUL, persons[0]), (TRUTHFUL, persons[1]))
        same = ("~" in letters) != bool(re.search("[nz]", letters))
        self._say([equal if same else (NOT, equal)], "role")

    def _fit(self, atom: re.Match[str], kind: str, quote: Statement) -> None:
        """`fits a knight`, `fits Zoey neither as ... nor as ...`, `a knave could not say that`."""
        letters, person = atom[0], self._speaker if kind == "unfit" else self._voice
        fits: Statement = (IFF, (TRUTHFUL, person), quote)
        roles = [self._values[atom.start() + place] for place, letter in enumerate(letters) if letter == "R"]
        if kind == "unfit":
            self._left = self._left or len(set(roles)) < len(roles)
            self._say([(NOT, fits)], "truth")
        elif kind == "mute" and "m" in letters:
            self._say([(NOT, quote) if roles[0] else quote], "truth")
        else:
            leaf = (TRUTHFUL if roles[0] else LIAR, person)
            self._say([(AND, leaf, fits) if kind == "fits" else (IMPLIES, leaf, (NOT, fits))], "truth")

    def _speech(self, atom: re.Match[str], persons: Sequence[int]) -> int:
        """`Zoey says "..."`, `Zoey says that ...`, `..., and Zoey says it`."""
        self._speaker = self._voice = persons[0] if persons else self._speaker
        letters, after = self._letters, atom.end()
        if letters[after : after + 1] == "Q":
            quote = self._statement(after, after)
            self._cite(quote)
            return self._quoted(after, quote)
        found = words.END_OF_SPEECH.search(letters, after)
        end = found.start() if found else len(letters)
        if not re.search("[PRUT]", letters[after:end]):
            if "o" in atom[0] and self._quote is not None:
                self._cite(self._quote)
            return atom.end()
        quote = self._statement(after, end - 1)
        self._cite(quote)
        return self._quoted(end - 1, quote)

    def _quoted(self, position: int, quote: Statement | None) -> int:
        """Remembers a quotation that ends at a position, and takes in `... is true` after it."""
        self._quote = quote
        if not self._part.cited and quote is not None:
            self._part.echoed.append(quote)
        truth = words.TRUTH.match(self._letters, position + 1)
        if quote is None:
            self._left = True
        elif truth:
            self._truth(quote, truth[0])
        return truth.end() if truth else position + 1

    def _truth(self, formula: Statement, letters: str) -> None:
        negated = bool(re.search("[nz]", letters)) != (letters[-1] == "F")
        self._quote = formula
        if "h" not in letters and ("c" not in letters or re.search("[nz]", letters)):
            self._say([(NOT, formula) if negated else formula], "must" if self._so or "m" in letters else "truth")

    def _cite(self, quote: Statement | None) -> None:
        if quote is None or self._voice < 0:
            self._left = True
            return
        self._part.speakers.add(self._voice)
        self._part.cited.append((self._voice, quote))

    def _say(self, formulas: Sequence[Statement], how: How) -> None:
        if self._mode == "skip":
            return
        how = "given" if self._premise and how == "role" else how
        self._list.extend(Said(formula, how) for formula in formulas)
        self._part.lists = self._part.lists and how == "role"
        self._part.checks = how in ("truth", "must") or (how == "given" and self._part.checks)

    def _statement(self, first: int, last: int) -> Statement | None:
        """What is quoted from one token to another; None where it is no statement."""
        self._quotations.append((first, last))
        number = len(self._quotations) - 1
        return None if number in self._shape.unread else (QUOTED, number)

    def _next(self, begin: int) -> None:
        """Ends the part before a token, and begins another."""
        self._close()
        self._parts.append(Sketch(begin))
        self._left = self._twisted = False

    def _close(self) -> None:
        """Settles the kind of the part."""
        part = self._part
        if part.conditions and not part.said and part.kind == "talk":
            self._left = True
        if self._twisted:
            part.said, part.cited = [], []
        if self._twisted or (self._left and not part.said and part.kind in ("talk", "assume")):
            part.kind = "unparsed"
        elif part.kind == "assume" and not part.said:
            part.kind = "talk"
        elif part.kind == "talk" and (part.said or part.cited):
            part.kind = "say"
