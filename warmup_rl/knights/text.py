"""Questions and answers in both phrasings, and puzzles as JSON values."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from warmup_rl.base.errors import DataError
from warmup_rl.knights.english import NAMES, SPEECH, Quiz, answer_english, draw_quiz, render_quiz
from warmup_rl.knights.grammar import Grammar, Puzzle, Roles, draw_puzzle
from warmup_rl.knights.parse_quiz import parse_english
from warmup_rl.knights.statements import statement_from_json
from warmup_rl.knights.terse import NAMES as TERSE_NAMES
from warmup_rl.knights.terse import answer_terse, parse_terse, render_terse

Phrasing = Literal["english", "terse"]


def quiz_of(puzzle: Puzzle, phrasing: Phrasing, rng: random.Random) -> Quiz:
    """The puzzle with random speeches; without any in the terse phrasing."""
    return Quiz(puzzle) if phrasing == "terse" else draw_quiz(puzzle, rng)


def render(quiz: Quiz, phrasing: Phrasing) -> str:
    """The question."""
    return render_terse(quiz.puzzle) if phrasing == "terse" else render_quiz(quiz)


def parse(text: str, phrasing: Phrasing) -> Puzzle:
    """The puzzle of a question. Raises `DataError` if the text is not a question in this phrasing."""
    return parse_terse(text) if phrasing == "terse" else parse_english(text)


def answer(puzzle: Puzzle, phrasing: Phrasing) -> str:
    """The answer as text."""
    return answer_terse(puzzle) if phrasing == "terse" else answer_english(puzzle)


def unreadable(names: Sequence[str], pairs: Sequence[Roles], phrasing: Phrasing) -> list[str]:
    """The pairs of role words, or else the names, with which a puzzle is not read as it is meant: as a name `If`."""
    ann, bob, cy = (NAMES if phrasing == "english" else TERSE_NAMES)[:3]
    wrong = [f"{pair.truthful}/{pair.liar}" for pair in pairs if not _read(ann, bob, pair, phrasing)]
    others = ((name, cy if name.lower() == bob.lower() else bob) for name in names)
    return wrong or [name for name, other in others if not _read(name, other, pairs[0], phrasing)]


@lru_cache(maxsize=256)
def _read(name: str, other: str, roles: Roles, phrasing: Phrasing) -> bool:
    for quiz in _told():
        puzzle = quiz.puzzle._replace(names=(name, other), roles=roles)
        try:
            found = parse(render(quiz._replace(puzzle=puzzle), phrasing), phrasing)
        except DataError:
            return False
        if found[:3] != puzzle[:3]:
            return False
    return True


@lru_cache(maxsize=1)
def _told() -> list[Quiz]:
    """Puzzles of two people, each of whom speaks in every way."""
    rng = random.Random("told")
    puzzles = [draw_puzzle(rng, 2, Grammar(depth=3), NAMES) for _ in SPEECH]
    return [Quiz(puzzle, ((0, SPEECH[i]), (1, SPEECH[i - 1]))) for i, puzzle in enumerate(puzzles)]


def to_meta(puzzle: Puzzle, phrasing: Phrasing) -> dict[str, Any]:
    """The puzzle as JSON values, for the `meta` of a problem."""
    return {
        "people": puzzle.people, "names": list(puzzle.names), "roles": [puzzle.roles.truthful, puzzle.roles.liar],
        "statements": _as_lists(puzzle.statements), "solution": list(puzzle.solution), "phrasing": phrasing,
    }  # fmt: skip


def from_meta(meta: dict[str, Any]) -> tuple[Puzzle, Phrasing]:
    """Inverse of `to_meta`. Raises `DataError` if the values are not a puzzle."""
    try:
        statements = tuple(statement_from_json(statement, meta["people"]) for statement in meta["statements"])
        puzzle = Puzzle(tuple(meta["names"]), statements, tuple(meta["solution"]), Roles(*meta["roles"]))
        return puzzle, meta["phrasing"]
    except (KeyError, TypeError) as error:
        raise DataError(f"not a Knights & Knaves puzzle: {error!r} in keys {', '.join(meta)}") from None


def _as_lists(value: Any) -> Any:
    return [_as_lists(part) for part in value] if isinstance(value, tuple) else value
