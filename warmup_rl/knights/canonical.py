"""A key that two puzzles share exactly if they differ only in names, order of people and order of operands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from warmup_rl.knights.statements import CACHED, COMMUTATIVE, LIAR, TRUTHFUL, Statement

Colours = list[int]
"""A number for each person, equal for people that could not be distinguished so far."""
Mention = tuple[int, str]
"""A person, and the position in a statement where the person is named."""
_SIGNS = {TRUTHFUL: "+", LIAR: "-"}


def canonical_key(statements: Sequence[Statement]) -> str:
    """The smallest rendering over all necessary numberings of the people, with commutative operands sorted.

    People are distinguished step by step by what they say and what is said about them (colour refinement). If people
    remain tied, each of them is tried as the first, except those that swapping two people makes equal. So the key is
    exact for every number of people, and fast for nearly all puzzles. Names and role words do not matter.
    """
    return min(_keys(statements, _refine(statements, [0] * len(statements))))


def _keys(statements: Sequence[Statement], colours: Colours) -> list[str]:
    if max(colours) == len(colours) - 1:
        return [_render(statements, colours)]
    keys = []
    first = min(colour for colour in colours if colours.count(colour) > 1)
    for person in _unlike(statements, [person for person, colour in enumerate(colours) if colour == first]):
        singled = [2 * colour + (other != person) for other, colour in enumerate(colours)]
        keys += _keys(statements, _refine(statements, singled))
    return keys


def _refine(statements: Sequence[Statement], colours: Colours) -> Colours:
    """Splits colours by what people say and what is said about them until nothing changes; colours are ranks from 0."""
    people, known = len(statements), 0
    while True:
        if any(colours):
            marks = [str(colour) for colour in colours]
            heard = [_said(statement, speaker, marks) for speaker, statement in enumerate(statements)]
        else:
            heard = [_first(statement, speaker, people) for speaker, statement in enumerate(statements)]
        named: list[list[str]] = [[] for _ in range(people)]
        for _, mentions in heard:
            for person, mention in mentions:
                named[person].append(mention)
        for places in named:
            places.sort()
        looks = [(colours[i], heard[i][0], tuple(named[i])) for i in range(people)]
        ranks = {look: rank for rank, look in enumerate(sorted(set(looks)))}
        colours = [ranks[look] for look in looks]
        if len(ranks) in (known, people):
            return colours
        known = len(ranks)


def _said(statement: Statement, speaker: int, marks: Sequence[str]) -> tuple[str, list[Mention]]:
    mentions: list[Mention] = []
    text = _encode(statement, [*marks[:speaker], f"{marks[speaker]}s", *marks[speaker + 1 :]], "", mentions)
    return text, [(person, place + text) for person, place in mentions]


@lru_cache(maxsize=CACHED)
def _first(statement: Statement, speaker: int, people: int) -> tuple[str, list[Mention]]:
    return _said(statement, speaker, ["0"] * people)


def _unlike(statements: Sequence[Statement], tied: Sequence[int]) -> list[int]:
    """One person of each set of tied people that can be swapped without changing the puzzle."""
    marks = [str(person) for person in range(len(statements))]
    plain = [_encode(statement, marks, "", []) for statement in statements]
    kept: list[int] = []
    for person in tied:
        if not any(_exchangeable(statements, plain, marks, person, other) for other in kept):
            kept.append(person)
    return kept


def _exchangeable(
    statements: Sequence[Statement], plain: Sequence[str], marks: Sequence[str], person: int, other: int
) -> bool:
    order = list(range(len(statements)))
    order[person], order[other] = other, person
    swapped = [marks[number] for number in order]
    return all(_encode(statements[i], swapped, "", []) == plain[order[i]] for i in order)


def _render(statements: Sequence[Statement], ranks: Sequence[int]) -> str:
    marks = [str(rank) for rank in ranks]
    lines = [""] * len(ranks)
    for rank, statement in zip(ranks, statements, strict=True):
        lines[rank] = _encode(statement, marks, "", [])
    return ";".join(lines)


def _encode(statement: Statement, marks: Sequence[str], place: str, mentions: list[Mention]) -> str:
    """The statement with a mark for each person, commutative operands sorted; adds who is named where to `mentions`."""
    operator = statement[0]
    if operator in _SIGNS:
        sign = _SIGNS[operator]
        mentions.append((statement[1], place + sign))
        return sign + marks[statement[1]]
    place, swaps = place + operator, operator in COMMUTATIVE
    parts = []
    for position, part in enumerate(statement[1:]):
        inner = place if swaps else f"{place}{position}"
        if part[0] in _SIGNS:  # inlined for speed: most operands are leaves
            sign = _SIGNS[part[0]]
            mentions.append((part[1], inner + sign))
            parts.append(sign + marks[part[1]])
        else:
            parts.append(_encode(part, marks, inner, mentions))
    if swaps:
        parts.sort()
    return f"{operator}({','.join(parts)})"
