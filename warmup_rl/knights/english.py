"""The English phrasing: puzzles in the wording of the published Knights & Knaves data."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from warmup_rl.knights.grammar import Puzzle, Roles
from warmup_rl.knights.statements import AND, IFF, IMPLIES, LEAVES, NOT, OR, TRUTHFUL, Statement

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
    words = _articled(roles)
    said = [_text(statement, names, words) for statement in quiz.puzzle.statements]
    speeches = [form.replace("{name}", names[person]).replace("{what}", said[person]) for person, form in quiz.speeches]
    opening, question = _frame(roles)
    listed = f"{', '.join(names[:-1])}, and {names[-1]}"
    return f"{opening} You meet {len(names)} inhabitants: {listed}. {' '.join(speeches)} {question}"


def statement_text(statement: Statement, names: Sequence[str], roles: Roles) -> str:
    """A statement in words, without full stop; operands that have operands themselves are in brackets."""
    return _text(statement, names, _articled(roles))


def answer_english(puzzle: Puzzle) -> str:
    """The answer, one numbered line for each person, e.g. `(1) Hal is a knight`."""
    lines = (f"({i}) {role_text(puzzle, i - 1, puzzle.solution[i - 1])}" for i in range(1, puzzle.people + 1))
    return "\n".join(lines)


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


@lru_cache(maxsize=64)
def _articled(roles: Roles) -> tuple[str, str]:
    """The role words for a liar and for a truthful person, with articles."""
    return with_article(roles.liar), with_article(roles.truthful)


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
    """The statement in words; `words` are those of `_articled`."""
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
