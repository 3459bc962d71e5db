"""Reads what somebody says: English statements of who is what, in the published wording and in common variants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from warmup_rl.base.errors import DataError
from warmup_rl.knights.english import plural
from warmup_rl.knights.grammar import Roles
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LIAR, NOT, OR, TRUTHFUL, Statement

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[(),\[\]]")
_TOKEN = re.compile(rf"{_WORD.pattern}|\S")
_PHRASES = {
    "<=>": "if and only if|iff|exactly when|exactly if|just in case",
    "~": "it is not the case that|it is not true that|it isn['’]t true that|it is false that",
    "": "it is the case that|it is true that",
    "->": "only if",
}
_PHRASE = re.compile("|".join(rf"\b({phrases})\b" for phrases in _PHRASES.values()), re.IGNORECASE)
_MARKS = tuple(_PHRASES)
_TRUTH = ("telling the truth", "truthful", "honest", "a truth teller", "a truth-teller")
_LIES = ("lying", "a liar", "dishonest")
_BRACKETS = {"(": ")", "[": "]"}
_CONTRACTED = {"isn't": ("is", "not"), "aren't": ("are", "not"), "I'm": ("I", "am")}
_END = [""] * 6
"""After the last word, so that looking ahead needs no care."""


def statement_from_text(text: str, names: Sequence[str], roles: Roles, speaker: int | None = None) -> Statement:
    """Inverse of `english.statement_text`; also reads `A and B are knaves`, `neither A nor B is a knight`, `I am ...`.

    Where brackets leave it open, "and" binds closer than "or", "or" closer than "if", "if" closer than "if and only
    if"; "it is not the case that" takes the next clause alone.

    Args:
        speaker: who says "I" and "we"; without one, these are refused.

    Raises:
        DataError: the text is no statement about these people.
    """
    return _Reader(text, names, roles, speaker).whole()


class _Reader:
    """Recursive descent over words; every method reads one kind of phrase from the current position on."""

    def __init__(self, text: str, names: Sequence[str], roles: Roles, speaker: int | None) -> None:
        self.text, self.names, self.speaker = text, names, speaker
        self.people = {name: person for person, name in enumerate(names)}
        self.words = [*_words(text, names), *_END]
        self.low = [word if word in self.people else word.lower() for word in self.words]
        self.at, self.end = 0, len(self.words) - len(_END)
        self.roles = _role_forms(roles)

    def whole(self) -> Statement:
        try:
            statement = self._statement()
        except RecursionError:
            raise self._error() from None
        if self.at < self.end:
            raise self._error()
        return statement

    def _statement(self) -> Statement:
        left = self._conditional()
        while self._take("<=>"):
            left = (IFF, left, self._conditional())
        return left

    def _conditional(self) -> Statement:
        if self._take("if"):
            first = self._either()
            comma = self._take(",")
            if not self._take("then") and not comma:
                raise self._error()
            return (IMPLIES, first, self._conditional())
        left = self._either()
        if self._take("->"):
            return (IMPLIES, left, self._either())
        if self._take("if"):
            return (IMPLIES, self._either(), left)
        return left

    def _either(self) -> Statement:
        if self.low[self.at] == "either" and self.low[self.at + 2] in ("is", "am"):
            self.at += 1
        parts = [self._both()]
        while self._link("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else (OR, *parts)

    def _both(self) -> Statement:
        parts = [self._unit()]
        while self._link("and") or self._link("but"):
            parts.append(self._unit())
        return parts[0] if len(parts) == 1 else (AND, *parts)

    def _link(self, word: str) -> bool:
        """Steps over a word that joins, with or without a comma before it."""
        ahead = self.at + (self.low[self.at] == ",")
        if self.low[ahead] != word:
            return False
        self.at = ahead + 1
        return True

    def _unit(self) -> Statement:
        word = self.low[self.at]
        if word in _BRACKETS:
            self.at += 1
            inner = self._statement()
            if not self._take(_BRACKETS[word]):
                raise self._error()
            return inner
        if self._take("~"):
            return (NOT, self._unit())
        return self._conditional() if word == "if" else self._clause()

    def _clause(self) -> Statement:
        """`A is not a knave`, `A and B are knights`, `either A or B is a knight`, `neither of us is a knave`."""
        if plain := self._plain_clause():
            return plain
        operator, denied, people = self._subject()
        if len(people) == 2 and self._take("are the same", "are of the same"):
            self._take("kind", "type")
            return (IFF, (TRUTHFUL, people[0]), (TRUTHFUL, people[1]))
        if len(people) == 2 and self._take("are different", "are not the same"):
            self._take("kinds", "types", "kind", "type")
            return (IFF, (TRUTHFUL, people[0]), (LIAR, people[1]))
        leaf, negated = self._predicate()
        if negated and (denied or len(people) > 1):
            raise self._error()
        leaves: list[Statement] = [(NOT, (leaf, p)) if negated or denied else (leaf, p) for p in people]
        return leaves[0] if len(leaves) == 1 else (operator, *leaves)

    def _plain_clause(self) -> Statement | None:
        """`A is a knight`, `A is not a knight`: what most clauses are."""
        person = self.people.get(self.words[self.at])
        if person is None or self.low[self.at + 1] != "is":
            return None
        ahead = self.at + 2
        negated = self.low[ahead] == "not"
        ahead += negated
        ahead += self.low[ahead] in ("a", "an")
        leaf = self.roles.get(self.low[ahead])
        if leaf is None:
            return None
        self.at = ahead + 1
        return (NOT, (leaf, person)) if negated else (leaf, person)

    def _subject(self) -> tuple[str, bool, list[int]]:
        """How people are joined, whether "neither" denies, and who they are."""
        everybody = list(range(len(self.names)))
        if self._take("at least one of us", "one or more of us"):
            return OR, False, everybody
        if self._take("none of us") or (len(everybody) == 2 and self._take("neither of us")):
            return AND, True, everybody
        if self._take("all of us") or (len(everybody) == 2 and self._take("both of us", "we both", "we")):
            return AND, False, everybody
        if self._take("neither"):
            return AND, True, self._people("nor")
        if self._take("either"):
            return OR, False, self._people("or")
        if self._take("both"):
            return AND, False, self._people("and")
        start = self.at
        for word, operator in (("and", AND), ("or", OR)):
            people = self._people(word)
            if len(people) > 1 and self._sees("are", "is", "tell", "lie", "tells", "lies"):
                return operator, False, people
            self.at = start
        return AND, False, [self._person()]

    def _people(self, word: str) -> list[int]:
        people = [self._person()]
        while True:
            start = self.at
            if not self._take(f", {word}", word, ",") or not self._is_person():
                self.at = start
                return people
            people.append(self._person())

    def _is_person(self) -> bool:
        return self.words[self.at] in self.people or self.low[self.at] == "i"

    def _person(self) -> int:
        word = self.words[self.at]
        person = self.people.get(word, self.speaker if word.lower() == "i" else None)
        if person is None:
            raise self._error()
        self.at += 1
        self._take("myself")
        return person

    def _predicate(self) -> tuple[str, bool]:
        """Truthful or liar, and whether it is denied."""
        if self._take("tells the truth", "always tells the truth", "tell the truth", "always tell the truth"):
            return TRUTHFUL, False
        if self._take("lies", "always lies", "lie", "always lie"):
            return LIAR, False
        if not self._take("is", "am", "are"):
            raise self._error()
        negated = self._take("not")
        self._take("both", "all")
        if self._take(*_TRUTH):
            return TRUTHFUL, negated
        if self._take(*_LIES):
            return LIAR, negated
        self._take("a", "an")
        leaf = self.roles.get(self.low[self.at])
        if leaf is None:
            raise self._error()
        self.at += 1
        return leaf, negated

    def _sees(self, *phrases: str) -> str:
        """The first of the phrases that stands here, or nothing."""
        for phrase in phrases:
            parts = phrase.split(" ")
            if parts[0] == self.low[self.at] and self.low[self.at : self.at + len(parts)] == parts:
                return phrase
        return ""

    def _take(self, *phrases: str) -> bool:
        phrase = self._sees(*phrases)
        self.at += phrase.count(" ") + 1 if phrase else 0
        return bool(phrase)

    def _error(self) -> DataError:
        return DataError(f"not a statement about {', '.join(self.names)}: {self.text!r}")


def _words(text: str, names: Sequence[str]) -> list[str]:
    """Words, brackets, commas and marks for `_PHRASES`; a name is one word. Anything else fits nowhere."""
    token, odd = _TOKEN, [name for name in names if not _WORD.fullmatch(name)]
    if odd:
        listed = "|".join(re.escape(name) for name in sorted(odd, key=len, reverse=True))
        token = re.compile(rf"(?<!\w)(?:{listed})(?!\w)|{_TOKEN.pattern}")
    words: list[str] = []
    start = 0
    for phrase in _PHRASE.finditer(text):
        words += token.findall(text, start, phrase.start())
        words += [mark] if (mark := _MARKS[(phrase.lastindex or 1) - 1]) else []
        start = phrase.end()
    words += token.findall(text, start)
    return [part for word in words for part in _CONTRACTED.get(word.replace("’", "'"), (word,))]


@lru_cache(maxsize=64)
def _role_forms(roles: Roles) -> dict[str, str]:
    """Role words, one and many, and what they say."""
    words = {roles.truthful.lower(): TRUTHFUL, roles.liar.lower(): LIAR}
    return words | {form: leaf for word, leaf in words.items() for form in (plural(word), word + "s")}
