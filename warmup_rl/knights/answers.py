"""Reads roles from answers: tolerant of layout, strict about anything ambiguous."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from warmup_rl.base.errors import DataError
from warmup_rl.base.untrusted import literal
from warmup_rl.knights.english import plural
from warmup_rl.knights.grammar import Roles

DOUBTS = (
    "not never neither nor non or either if unless whether false untrue wrong incorrect says said claims claimed maybe "
    "perhaps probably possibly likely unlikely might could would assume assuming suppose supposing"
).split()
"""Words that make an answer unclear anywhere: negation, alternatives, conditions, reported speech, doubt."""
LINKS = "is are was were be must a an the both all indeed also likewise thus therefore hence then".split()
"""Words allowed between a person and a role."""
_TOO, _COPULAS = frozenset("too likewise also similarly".split()), frozenset("is are both all".split())
"""Words of a clause that leaves the role out, since it is that of somebody else: `Ann is too`."""
_AS_WELL = re.compile(r"[Aa](?<!\w.)[Ss] [Ww][Ee][Ll][Ll]\b(?! [Aa][Ss])")
_IS = re.compile(r"['’](?<=\w.)s(?=\s+(?:an?|the)\s)")

_MARKUP = re.compile(r"[\\*_`\"'$#{}<>“”‘’](?:(?<!\\)|[a-zA-Z]+|[()\[\]])")
_BULLET = re.compile(r"^[ \t]*[-*•–—]+[ \t]+", re.MULTILINE)
_NUMBER = re.compile(r"[(\d](?:(?<=\()\d+|(?<!\w.)(?<!\()\d*)\b[.)\]]?")
_SENTENCE = re.compile(r"\s(?<=[.!?].)\s*(?=[A-Z*(-])")
_WORD = re.compile(r"\w+")
_PIECE = re.compile(r"\w+|->|[^\w\s]|\n")
_STRONG_LINKS = frozenset((":", "=", "is", "are", "was", "were"))


@dataclass(frozen=True, slots=True)
class Reading:
    """The roles in an answer.

    Attributes:
        truthful: one entry for each person; None if the answer is refused.
        found: whether the answer has any role word.
        note: why the answer was refused.
    """

    truthful: tuple[bool, ...] | None
    found: bool
    note: str = ""


class _Token(NamedTuple):
    kind: str  # person, role, link, and, end, doubt, nobody or word
    text: str
    person: int = -1
    truthful: bool = False
    many: bool = False


_KNOWN: Mapping[str, _Token] = {
    word: _Token(kind, word)
    for kind, words in (
        ("word", ("but", "so", "as", "too", "similarly")),
        ("end", (".", ";", "!", "\n")),
        ("nobody", ("none", "nobody")),
        ("doubt", (*DOUBTS, "≠", "¬", "~", "?", "/")),
        ("and", ("and", "&", ",")),
        ("link", (*LINKS, ":", "=", "-", "–", "—", "->", "→", "|", "(", ")", "[", "]")),
    )
    for word in words
}

_OTHER = _Token("word", "")
"""Any other word; what it is does not matter."""


class _Unclear(Exception):
    """The answer is refused for the reason in the message."""


def read_answer(text: str, names: Sequence[str], roles: Roles) -> Reading:
    """Reads the roles from lists, tables and sentences: `(1) Hal is a knight`, `Hal: knight`, `Hal=knight`,
    `Hal and Bob are knights`, `Hal is a knight, as is Bob`, `Hal is a knight. Bob is too.`, `Knights: Hal, Bob`.

    Refuses an answer with a role word that belongs to no person, both roles for one person, a person without a role,
    negations, alternatives, conditions or reported speech, and one that goes on behind the roles with a sentence or
    with "but", since that may take them back.
    """
    *_, forms, doubts = _vocabulary(tuple(names), roles)
    words = text.lower().split()
    if (doubt := next(filter(doubts.__contains__, words), "")) and not forms.isdisjoint(words):
        return Reading(None, True, f"{doubt!r} makes the answer unclear")
    tokens = _tokens(text, names, roles)
    found = any(token.kind == "role" for token in tokens)
    try:
        known = _bind(tokens)
    except _Unclear as unclear:
        return Reading(None, found, str(unclear))
    missing = [name for person, name in enumerate(names) if person not in known]
    if missing:
        return Reading(None, found, f"no role for {', '.join(missing)}" if found else "no role word")
    return Reading(tuple(known[person] for person in range(len(names))), found)


def final_statement(text: str, names: Sequence[str], roles: Roles) -> str | None:
    """The last lines and sentences of a text that give roles, as many of them as it takes to give everybody one.

    None where some person gets no role in the whole text. Whether what they say is clear is for `read_answer` to tell.
    """
    words = {form for word in (roles.truthful, roles.liar) for form in (word.lower(), plural(word.lower()))}
    everybody = {name.lower() for name in names}
    alike = {*everybody, *_TOO, *_COPULAS, "so", "as", "and"}
    missing, kept = set(everybody), list[str]()
    if not all(map(text.lower().__contains__, everybody)):
        return None
    lines = (_SENTENCE.split(_AS_WELL.sub("too", line)) for line in reversed(text.split("\n")))
    for sentence in (sentence for line in lines for sentence in reversed(line)):
        low = set(_WORD.findall(sentence.lower()))
        if not low.isdisjoint(everybody) and (not low.isdisjoint(words) or low & {*_TOO, "so", "as"} and low <= alike):
            kept.append(sentence)
            missing -= low
            if not missing:
                return "\n".join(reversed(kept))
    return None


def read_solution(given: Any, names: Sequence[str], roles: Roles) -> tuple[bool, ...]:
    """Who tells the truth according to a reference answer.

    Args:
        given: a text, a list in the order of the people, or a mapping from names, the latter two also as text; their
            entries are booleans or role words.

    Raises:
        DataError: the answer cannot be read.
    """
    given = literal(given)
    if isinstance(given, str):
        reading = read_answer(given, names, roles)
        if reading.truthful is None:
            raise DataError(f"the answer {given[:80]!r} cannot be read: {reading.note}.")
        return reading.truthful
    values = [given.get(name) for name in names] if isinstance(given, Mapping) else given
    if not isinstance(values, list | tuple) or len(values) != len(names):
        raise DataError(f"the answer {str(given)[:80]!r} needs one entry for each of {', '.join(names)}.")
    words = {roles.truthful.lower(): True, roles.liar.lower(): False}
    found = [_truthful(value, words) for value in values]
    if None in found:
        raise DataError(f"the answer says {values[found.index(None)]!r}. Allowed: true, false, {', '.join(words)}.")
    return tuple(map(bool, found))


def _truthful(value: Any, words: Mapping[str, bool]) -> bool | None:
    if value in (True, False):
        return bool(value)
    return words.get(str(value).strip().lower().removeprefix("a ").removeprefix("an "))


def _bind(tokens: Sequence[_Token]) -> dict[int, bool]:
    known: dict[int, bool] = {}
    position = end = 0
    while position < len(tokens):
        token = tokens[position]
        if token.kind == "doubt":
            raise _Unclear(f"{token.text!r} makes the answer unclear")
        if token.kind == "person":
            people, role, position = _people_then_role(tokens, position)
        elif token.kind == "role":
            people, position = _role_then_people(tokens, position)
            role = token
        else:
            position += 1
            continue
        end = position if role else end
        for person in people if role else ():
            assert role is not None
            if known.setdefault(person, role.truthful) != role.truthful:
                raise _Unclear("two roles for one person")
    behind = [token.kind if token.text != "but" else "end" for token in tokens[end:]]
    if "end" in behind and "word" in behind[behind.index("end") :]:
        raise _Unclear("text behind the roles")
    return known


def _people_then_role(tokens: Sequence[_Token], position: int) -> tuple[list[int], _Token | None, int]:
    """`Hal is a knight`, `Hal and Bob are knights`; the role is None if the people are only mentioned."""
    people, after = _people(tokens, position, {"and"})
    role_at = after
    while role_at < len(tokens) and tokens[role_at].kind == "link":
        role_at += 1
    if role_at == len(tokens) or tokens[role_at].kind != "role":
        return people, None, after
    role = tokens[role_at]
    if role.many != (len(people) > 1):
        raise _Unclear(f"{role.text!r} for {len(people)} people")
    alike, after = _alike(tokens, role_at + 1)
    return people + alike, role, after


def _alike(tokens: Sequence[_Token], position: int) -> tuple[list[int], int]:
    """The people who are said to be the same behind a role, and the position after them: `, as is Hal`,
    `. So are Hal and Bob.`, `. Hal is too.`, `and Hal likewise`."""
    found: list[int] = []
    while True:
        start = position
        while start < len(tokens) and tokens[start].kind in ("and", "end"):
            start += 1
        said = [token.text for token in tokens[start : start + 2]]
        if said[:1] in (["as"], ["so"]) and said[1:] in (["is"], ["are"]):
            people, after = _people(tokens, start + 2, {"and"} if said[1] == "are" else set())
            if after < len(tokens) and tokens[after].kind in ("link", "role"):
                raise _Unclear(f"{tokens[after].text!r} behind {' '.join(said)!r}")
        else:
            people, after = _too(tokens, start)
        if not people:
            return found, position
        found, position = found + people, after


def _too(tokens: Sequence[_Token], start: int) -> tuple[list[int], int]:
    """The people of a clause that says only that they are the same, such as `Hal is too`, and its end; else nobody."""
    people, said = list[int](), set[str]()
    for end in range(start, len(tokens) + 1):
        token = tokens[end] if end < len(tokens) else _Token("end", "")
        if (token.kind in ("and", "end") or token.text == "but") and people and said & _TOO:
            return people, end
        if token.kind == "person":
            people.append(token.person)
        elif token.kind != "and":
            said.add(token.text)
        if not said <= _TOO | _COPULAS:
            break
    return [], start


def _role_then_people(tokens: Sequence[_Token], position: int) -> tuple[list[int], int]:
    """`Knights: Hal, Bob`, `the knight is Hal`, `Knaves: none`."""
    role, start = tokens[position], position + 1
    if start == len(tokens) or tokens[start].text not in _STRONG_LINKS:
        raise _Unclear(f"{role.text!r} belongs to nobody")
    while start < len(tokens) and tokens[start].kind in ("link", "end"):
        start += 1
    if start < len(tokens) and tokens[start].kind == "nobody":
        return [], start + 1
    people, after = _people(tokens, start, {"and", "end"})
    if not people or (after < len(tokens) and tokens[after].kind in ("link", "role")):
        raise _Unclear(f"{role.text!r} belongs to nobody")
    if len(people) > 1 and not role.many:
        raise _Unclear(f"{role.text!r} for {len(people)} people")
    return people, after


def _people(tokens: Sequence[_Token], position: int, separators: set[str]) -> tuple[list[int], int]:
    """The people listed from a position on, and the position after the last one."""
    people: list[int] = []
    after = position
    while position < len(tokens) and tokens[position].kind == "person":
        people.append(tokens[position].person)
        position = after = position + 1
        while position < len(tokens) and tokens[position].kind in separators:
            position += 1
    return people, after


def _tokens(text: str, names: Sequence[str], roles: Roles) -> list[_Token]:
    text = (
        _AS_WELL.sub("too", _IS.sub(" is", text)).replace("n't", " not").replace("n’t", " not").replace("!=", " not ")
    )
    text = _NUMBER.sub(" ", _MARKUP.sub("", _BULLET.sub("", text)))
    named, known, pattern, *_ = _vocabulary(tuple(names), roles)
    pieces = pattern.findall(text)
    tokens = [named.get(piece) or known.get(piece.lower(), _OTHER) for piece in pieces]
    return [
        token._replace(text=piece) if token.kind == "role" and token.text != piece else token
        for token, piece in zip(tokens, pieces, strict=True)
    ]


@lru_cache(256)
def _vocabulary(
    names: Sequence[str], roles: Roles
) -> tuple[dict[str, _Token], dict[str, _Token], re.Pattern[str], Set[str], Set[str]]:  # fmt: skip
    """The tokens of names as they are written, all tokens by words in lower case, the pattern that finds both, the role
    words, and the words of doubt that are no part of a name or a role word."""
    words = {
        form: _Token("role", form, truthful=truthful, many=many)
        for truthful, word in ((True, roles.truthful), (False, roles.liar))
        for many, form in ((False, word.lower()), (True, plural(word.lower())))
    }
    named = {name: _Token("person", name, person=person) for person, name in enumerate(names)}
    lower = {name.lower(): token for name, token in named.items() if name.lower() not in (*LINKS, *DOUBTS)}
    pattern = _pattern([word for word in (*names, *words) if not word.isalnum()])
    doubts = {word for word, token in _KNOWN.items() if token.kind == "doubt"}
    doubts.difference_update(" ".join((*names, *words)).lower().split())
    return named, {**_KNOWN, **words, **lower}, pattern, words.keys(), doubts


def _pattern(names: Collection[str]) -> re.Pattern[str]:
    """Matches words, signs, and the given names of several words."""
    if not names:
        return _PIECE
    listed = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?i:(?<!\w)(?:{listed})(?!\w))|{_PIECE.pattern}")
