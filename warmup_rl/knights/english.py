"""The English phrasing: puzzles in the wording of the published Knights & Knaves data."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from warmup_rl.knights.grammar import MOST_PEOPLE, Puzzle, Roles
from warmup_rl.knights.statements import AND, CACHED, IFF, IMPLIES, LEAVES, NOT, OR, TRUTHFUL, Statement

SPEECH = (
    '{name} said, "{what}."', '{name} was heard saying, "{what}".', '{name} commented, "{what}".',
    '{name} noted, "{what}".', '{name} stated, "{what}".', '{name} remarked, "{what}".', '{name} asserted: "{what}".',
    '"{what}," {name} claimed.', '"{what}," {name} declared.', '"{what}," {name} mentioned.', '"{what}" - {name}.',
    'According to {name}, "{what}".', 'In a statement by {name}: "{what}".', "In {name}'s words: \"{what}\".",
    'As {name} put it, "{what}".', "{name} said that {what}.", "{name} told you that {what}.",
    "{name} expressed that {what}.",
)  # fmt: skip
"""Templates for speeches, as in the data of arXiv 2410.23123."""

ROLES = (
    Roles("knight", "knave"), Roles("pioneer", "laggard"), Roles("saint", "sinner"), Roles("hero", "villain"),
    Roles("angel", "devil"), Roles("altruist", "egoist"), Roles("sage", "fool"),
)  # fmt: skip
"""Role words of the published data and of its perturbations."""

NAMES = tuple(
    "Abigail Aiden Alexander Amelia Aria Aurora Ava Avery Benjamin Charlotte Chloe Daniel David Elizabeth Ella Emily "
    "Emma Ethan Evelyn Grace Harper Henry Isabella Jack Jackson Jacob James Joseph Liam Lily Logan Lucas Luke Mason "
    "Matthew Mia Michael Noah Oliver Olivia Owen Penelope Riley Samuel Scarlett Sebastian Sofia Sophia Victoria "
    "William Zoey".split()
)
"""Names of the published data."""

_NEGATION = "It is not the case that "
_FIELDS = [f"{{{person}}}" for person in range(MOST_PEOPLE)]
_JOINTS = {AND: " and ", OR: " or ", IFF: " if and only if "}


class Quiz(NamedTuple):
    """A puzzle with the speeches that tell it in English.

    Attributes:
        speeches: in order, pairs of a person and a template such as `{name} said that {what}.`
    """

    puzzle: Puzzle
    speeches: tuple[tuple[int, str], ...] = ()


def draw_quiz(puzzle: Puzzle, rng: random.Random) -> Quiz:
    """One speech for each person, in the order of the people, with random templates."""
    draw = rng.random
    return Quiz(puzzle, tuple([(person, SPEECH[int(draw() * len(SPEECH))]) for person in range(len(puzzle.names))]))


def render_quiz(quiz: Quiz) -> str:
    """The question."""
    names, roles = quiz.puzzle.names, quiz.puzzle.roles
    said = [statement_text(statement, names, roles) for statement in quiz.puzzle.statements]
    speeches = [
        said[person].join([part.replace("{name}", names[person]) for part in form.split("{what}")])
        for person, form in quiz.speeches
    ]
    opening, question = _frame(roles)
    listed = f"{', '.join(names[:-1])}, and {names[-1]}"
    return f"{opening} You meet {len(names)} inhabitants: {listed}. {' '.join(speeches)} {question}"


def statement_text(statement: Statement, names: Sequence[str], roles: Roles) -> str:
    """A statement in words, without full stop; operands that have operands themselves are in brackets."""
    return _form(statement, roles).format(*names)


def answer_english(puzzle: Puzzle) -> str:
    """The answer, one numbered line for each person, e.g. `(1) Hal is a knight`."""
    return numbered(role_lines(puzzle))


def numbered(lines: Sequence[str]) -> str:
    """The lines, each after its number from 1 in brackets."""
    return "\n".join([f"({i}) {line}" for i, line in enumerate(lines, 1)])


def role_lines(puzzle: Puzzle) -> list[str]:
    """The solution, a line for each person."""
    words = with_article(puzzle.roles.liar), with_article(puzzle.roles.truthful)
    return [f"{name} is {words[truthful]}" for name, truthful in zip(puzzle.names, puzzle.solution, strict=True)]


def role_text(puzzle: Puzzle, person: int, truthful: bool) -> str:
    """`Hal is a knight`."""
    return f"{puzzle.names[person]} is {with_article(puzzle.roles.of(truthful))}"


@lru_cache(maxsize=64)
def with_article(word: str) -> str:
    """`a knight`, `an angel`."""
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def plural(word: str) -> str:
    """`knights`, `heroes`."""
    return word + ("es" if word.endswith(("s", "x", "ch", "sh", "o")) else "s")


def word_forms(word: str) -> tuple[str, str, str]:
    """A role word and its plurals; the published generator writes "heros"."""
    return word, plural(word), word + "s"


@lru_cache(maxsize=CACHED)
def _form(statement: Statement, roles: Roles) -> str:
    """The statement as a format string, with the numbers of its people for their names."""
    liar, truthful = (with_article(word).replace("{", "{{").replace("}", "}}") for word in (roles.liar, roles.truthful))
    return _text(statement, _FIELDS, (liar, truthful))


@lru_cache(maxsize=64)
def _frame(roles: Roles) -> tuple[str, str]:
    """The rules before the list of people, and the question after the speeches."""
    truthfuls, liars = plural(roles.truthful), plural(roles.liar)
    rules = (
        f"A very special island is inhabited only by {truthfuls} and {liars}. "
        f"{truthfuls[0].upper() + truthfuls[1:]} always tell the truth, and {liars} always lie."
    )
    return rules, f"So who is {with_article(roles.truthful)} and who is {with_article(roles.liar)}?"


def _text(statement: Statement, names: Sequence[str], words: tuple[str, str]) -> str:
    """The statement in words; `words` are the roles of a liar and of a truthful person, with articles."""
    operator = statement[0]
    if operator in LEAVES:
        return f"{names[statement[1]]} is {words[operator == TRUTHFUL]}"
    if operator == NOT:
        inner = statement[1]
        if inner[0] in LEAVES:
            return f"{names[inner[1]]} is not {words[inner[0] == TRUTHFUL]}"
        return f"{_NEGATION}{_operand(inner, names, words)}"
    parts = [_operand(part, names, words) for part in statement[1:]]
    return f"If {parts[0]} then {parts[1]}" if operator == IMPLIES else _JOINTS[operator].join(parts)


def _operand(statement: Statement, names: Sequence[str], words: tuple[str, str]) -> str:
    text = _text(statement, names, words)
    if statement[0] in LEAVES or (statement[0] == NOT and statement[1][0] in LEAVES):
        return text
    return f"({text[0].lower() + text[1:] if text.startswith(('If ', _NEGATION)) else text})"
