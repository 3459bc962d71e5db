"""Reads a terse chain of thought sentence by sentence: cases, checks, the solved case and the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from warmup_rl.knights.grammar import Puzzle
from warmup_rl.knights.reasoning import Facts
from warmup_rl.knights.solver import assignment_index
from warmup_rl.knights.statements import IFF, LIAR, NOT, TRUTHFUL, Statement, is_leaf
from warmup_rl.knights.terse import NEXT, RECHECK, SO, WAIT, render_terse

_SENTENCE = re.compile(rf"(?:(?<!\S)(?:{NEXT}|{SO})(?!\S)|\S)(?:(?!(?<!\S)(?:{NEXT}|{SO})(?!\S)).)*", re.DOTALL)
_TRUTHS = {"true": True, "false": False}
_VERDICTS = {"ok": True, "bad": False}


class Sentence(NamedTuple):
    """What a terse sentence does.

    Attributes:
        does: `case` opens one, `check` looks at an anchor, `solved` and `answer` conclude, `wait` does nothing, `noise`
            is none of these.
        facts: the roles of a case or an answer.
        said: what a check holds to be true, as formulas.
        cites: the word of the anchor, or the number of the case, is the right one.
    """

    start: int
    end: int
    does: str
    facts: Facts = ()
    said: tuple[Statement, ...] = ()
    cites: bool = True


def terse_sentences(thinking: str, puzzle: Puzzle) -> Iterator[Sentence]:
    """All sentences in order; they cover the text."""
    anchors = _anchors(puzzle)
    values = {f"{name}={role}": (person, truthful) for person, name in enumerate(puzzle.names)
              for truthful, role in ((True, puzzle.roles.truthful), (False, puzzle.roles.liar))}  # fmt: skip
    start = 0
    for match in _SENTENCE.finditer(thinking):
        words = match[0].split()
        yield _read(words, anchors, values, puzzle)._replace(start=start, end=match.end())
        start = match.end()


def _read(
    words: Sequence[str], anchors: Sequence[tuple[str, Statement]], values: dict[str, tuple[int, bool]], puzzle: Puzzle
) -> Sentence:
    noise = Sentence(0, 0, "noise")
    if words[0] == SO:
        facts = tuple(values[word] for word in words[1:] if word in values)
        return Sentence(0, 0, "answer", facts) if facts and len(facts) == len(words) - 1 else noise
    if words[0] == NEXT:
        words = words[1:]
    if words == [WAIT]:
        return Sentence(0, 0, "wait")
    does = "solved" if words[:1] == ["solved"] else "case"
    if words[:1] in (["solved"], [RECHECK]):
        words = words[1:]
    if words and words[0].startswith("case"):
        return _case(does, words, values, puzzle) or noise
    if does == "case" and words and words[0].startswith("#"):
        return _check(words, anchors, values) or noise
    return noise


def _case(does: str, words: Sequence[str], values: dict[str, tuple[int, bool]], puzzle: Puzzle) -> Sentence | None:
    """`case3 p1 Hal=knight p2 Bob=knave`; cited as it is when the roles are those of the case with this number."""
    facts = tuple(values[word] for word in words[2::2] if word in values)
    if not facts or len(words) != 2 * len(facts) + 1:
        return None
    expected = [f"p{number}" for number in range(1, puzzle.people + 1)]
    right = list(words[1::2]) == expected and [person for person, _ in facts] == list(range(puzzle.people))
    right = right and words[0] == f"case{assignment_index([truthful for _, truthful in facts]) + 1}"
    return Sentence(0, 0, does, facts, cites=right)


def _check(
    words: Sequence[str], anchors: Sequence[tuple[str, Statement]], values: dict[str, tuple[int, bool]]
) -> Sentence | None:
    """`#3 not true false`, `#1 knave(Bob) Bob=knight false`, `#4 says(Hal) false Hal=knave ok`."""
    number = int(words[0][1:]) if words[0][1:].isdecimal() else 0
    if not 0 < number <= len(anchors) or len(words) < 4:
        return None
    word, formula = anchors[number - 1]
    if word.startswith("says("):
        return _whole(words, word, formula, values)
    truth, seen = _TRUTHS.get(words[-1]), words[2:-1]
    if truth is None:
        return None
    if is_leaf(formula):
        if len(seen) != 1 or seen[0] not in values:
            return None
        person, truthful = values[seen[0]]
        said: tuple[Statement, ...] = (_leaf(person, truthful), _as(formula, truth))
        return Sentence(0, 0, "check", said=said, cites=words[1] == word and person == formula[1])
    parts = formula[1:]
    if len(seen) != len(parts) or any(value not in _TRUTHS for value in seen):
        return None
    looked = tuple(_as(part, _TRUTHS[value]) for part, value in zip(parts, seen, strict=True))
    return Sentence(0, 0, "check", said=(*looked, _as(formula, truth)), cites=words[1] == word)


def _whole(words: Sequence[str], word: str, fits: Statement, values: dict[str, tuple[int, bool]]) -> Sentence | None:
    if len(words) != 5 or words[2] not in _TRUTHS or words[3] not in values or words[4] not in _VERDICTS:
        return None
    person, truthful = values[words[3]]
    said = (_as(fits[2], _TRUTHS[words[2]]), _leaf(person, truthful), _as(fits, _VERDICTS[words[4]]))
    return Sentence(0, 0, "check", said=said, cites=words[1] == word and person == fits[1][1])


def _anchors(puzzle: Puzzle) -> list[tuple[str, Statement]]:
    """The word of each anchor with the formula that it stands for: of `says`, that the speaker's role fits."""
    listed = render_terse(puzzle).split(" . ", 1)[1].split()[1:-2:2]
    formulas: list[Statement] = []
    for speaker, statement in enumerate(puzzle.statements):
        formulas += [*_postfix(statement), (IFF, (TRUTHFUL, speaker), statement)]
    return list(zip(listed, formulas, strict=True))


def _postfix(statement: Statement) -> Iterator[Statement]:
    if not is_leaf(statement):
        for part in statement[1:]:
            yield from _postfix(part)
    yield statement


def _leaf(person: int, truthful: bool) -> Statement:
    return (TRUTHFUL if truthful else LIAR, person)


def _as(formula: Statement, truth: bool) -> Statement:
    return formula if truth else (NOT, formula)
