"""Parses English statements about who has which role, in the published wording and in common variants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from warmup_rl.base.errors import DataError
from warmup_rl.knights.english import word_forms
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
_GROUPS = {
    "at least one of us": (OR, False), "one or more of us": (OR, False), "none of us": (AND, True),
    "all of us": (AND, False), "neither of us": (AND, True), "both of us": (AND, False), "we both": (AND, False),
    "we": (AND, False),
}  # fmt: skip
"""Subjects that mean everybody: how the people are joined, and whether the predicate is negated."""
_OF_TWO = ("neither of us", "both of us", "we both", "we")
_LISTS = {"neither": ("nor", AND, True), "either": ("or", OR, False), "both": ("and", AND, False)}
_VERBS = {"tells": TRUTHFUL, "tell": TRUTHFUL, "lies": LIAR, "lie": LIAR}
_HONESTY = {
    "telling the truth": TRUTHFUL, "truthful": TRUTHFUL, "honest": TRUTHFUL, "a truth teller": TRUTHFUL,
    "lying": LIAR, "a liar": LIAR, "dishonest": LIAR,
}  # fmt: skip
_BRACKETS = {"(": ")", "[": "]"}
_CONTRACTED = {"isn't": ("is", "not"), "aren't": ("are", "not"), "I'm": ("I", "am")}
_END = [""] * 6
"""Padding, so that looking ahead needs no check of the length."""


def parse_statement(text: str, names: Sequence[str], roles: Roles, speaker: int | None = None) -> Statement:
    """Inverse of `english.statement_text`; also reads `A and B are knaves`, `neither A nor B is a knight`, `I am ...`.

    Without brackets, "and" binds tighter than "or", "or" tighter than "if", "if" tighter than "if and only if"; "it is
    not the case that" applies to the next clause only.

    Args:
        speaker: the person that "I" and "we" refer to; if None, these words are refused.

    Raises:
        DataError: the text is not a statement about these people.
    """
    return _Parser(text, names, roles, speaker).parse()


class _Parser:
    """Recursive descent over words; each method reads one kind of phrase at the current position."""

    def __init__(self, text: str, names: Sequence[str], roles: Roles, speaker: int | None) -> None:
        self.text, self.names, self.speaker = text, names, speaker
        self.people = {name: person for person, name in enumerate(names)}
        self.words = [*_words(text, names), *_END]
        self.low = [word if word in self.people else word.lower() for word in self.words]
        self.at, self.end = 0, len(self.words) - len(_END)
        self.roles = _role_forms(roles)

    def parse(self) -> Statement:
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
        return (IMPLIES, self._either(), left) if self._take("if") else left

    def _either(self) -> Statement:
        if self.low[self.at] == "either" and self.low[self.at + 2] in ("is", "am"):
            self.at += 1
        parts = [self._both()]
        while self._joined("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else (OR, *parts)

    def _both(self) -> Statement:
        parts = [self._unit()]
        while self._joined("and", "but"):
            parts.append(self._unit())
        return parts[0] if len(parts) == 1 else (AND, *parts)

    def _joined(self, *words: str) -> bool:
        """Steps over one of the words, with or without a comma before it."""
        ahead = self.at + (self.low[self.at] == ",")
        found = self.low[ahead] in words
        self.at = ahead + 1 if found else self.at
        return found

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
        if len(people) == 2:
            for leaf, phrases in ((TRUTHFUL, ("are the same", "are of the same")),
                                  (LIAR, ("are different", "are not the same"))):  # fmt: skip
                if self._take(*phrases):
                    self._take("kind", "type", "kinds", "types")
                    return (IFF, (TRUTHFUL, people[0]), (leaf, people[1]))
        leaf, negated = self._predicate()
        if negated and (denied or len(people) > 1):
            raise self._error()
        leaves: list[Statement] = [(NOT, (leaf, p)) if negated or denied else (leaf, p) for p in people]
        return leaves[0] if len(leaves) == 1 else (operator, *leaves)

    def _plain_clause(self) -> Statement | None:
        """`A is a knight`, `A is not a knight`: a fast path for most clauses."""
        negated = self.low[self.at + 2] == "not"
        noun = self.at + 2 + negated
        noun += self.low[noun] in ("a", "an")
        person, leaf = self.people.get(self.words[self.at]), self.roles.get(self.low[noun])
        if person is None or leaf is None or self.low[self.at + 1] != "is":
            return None
        self.at = noun + 1
        return (NOT, (leaf, person)) if negated else (leaf, person)

    def _subject(self) -> tuple[str, bool, list[int]]:
        """How the people are joined, whether "neither" negates the predicate, and who they are."""
        if not self._is_person():
            for phrase, (operator, denied) in _GROUPS.items():
                if (phrase not in _OF_TWO or len(self.names) == 2) and self._take(phrase):
                    return operator, denied, list(range(len(self.names)))
            word, operator, denied = _LISTS.get(self.low[self.at], ("", AND, False))
            self.at += bool(word)
            return operator, denied, self._people(word) if word else [self._person()]
        start = self.at
        for word, operator in (("and", AND), ("or", OR)):
            people = self._people(word)
            if len(people) > 1 and self.low[self.at] in ("are", "is", *_VERBS):
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
        """The kind of leaf, and whether it is negated."""
        if not self._take("is", "am", "are"):
            self._take("always")
            leaf = _VERBS.get(self.low[self.at])
            self.at += 1
            if leaf is None or (leaf == TRUTHFUL and not self._take("the truth")):
                raise self._error()
            return leaf, False
        negated = self._take("not")
        self._take("both", "all")
        start = self.at
        self._take("a", "an")
        if leaf := self.roles.get(self.low[self.at]):
            self.at += 1
            return leaf, negated
        self.at = start
        for phrase, leaf in _HONESTY.items():
            if self._take(phrase):
                return leaf, negated
        raise self._error()

    def _take(self, *phrases: str) -> bool:
        """Steps over the first of the phrases that is found at the current position."""
        for phrase in phrases:
            parts = phrase.split(" ")
            if parts[0] == self.low[self.at] and self.low[self.at : self.at + len(parts)] == parts:
                self.at += len(parts)
                return True
        return False

    def _error(self) -> DataError:
        return DataError(f"not a statement about {', '.join(self.names)}: {self.text!r}")


def _words(text: str, names: Sequence[str]) -> list[str]:
    """Words, brackets, commas and the marks of `_PHRASES`; each name is one word. Other characters match nothing."""
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
    """The leaf for each form of the role words."""
    words = ((roles.truthful.lower(), TRUTHFUL), (roles.liar.lower(), LIAR))
    singular = dict(words)
    return singular | {form: leaf for word, leaf in words for form in word_forms(word)[1:]}
