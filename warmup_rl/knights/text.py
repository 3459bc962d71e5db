"""Both phrasings behind one pair of functions, and puzzles as JSON values."""

from __future__ import annotations

import random
from typing import Any, Literal

from warmup_rl.base.errors import DataError
from warmup_rl.knights.english import Told, answer_english, render_told
from warmup_rl.knights.english import told as told_english
from warmup_rl.knights.grammar import Puzzle, Roles
from warmup_rl.knights.reading import parse_english
from warmup_rl.knights.statements import statement_from_json
from warmup_rl.knights.terse import answer_terse, parse_terse, render_terse

Phrasing = Literal["english", "terse"]


def told(puzzle: Puzzle, phrasing: Phrasing, rng: random.Random) -> Told:
    """The puzzle with a way of telling it; `rng` picks ways of speaking in English."""
    return Told(puzzle, ()) if phrasing == "terse" else told_english(puzzle, rng)


def render(tale: Told, phrasing: Phrasing) -> str:
    """The question."""
    return render_terse(tale.puzzle) if phrasing == "terse" else render_told(tale)


def parse(text: str, phrasing: Phrasing) -> Puzzle:
    """The puzzle of a question. Raises `DataError` when the text is none in this phrasing."""
    return parse_terse(text) if phrasing == "terse" else parse_english(text)


def answer(puzzle: Puzzle, phrasing: Phrasing) -> str:
    """The answer as text."""
    return answer_terse(puzzle) if phrasing == "terse" else answer_english(puzzle)


def to_meta(puzzle: Puzzle, phrasing: Phrasing) -> dict[str, Any]:
    """The puzzle as JSON values: what a problem carries in `meta`."""
    return {
        "people": puzzle.people,
        "names": list(puzzle.names),
        "roles": [puzzle.roles.truthful, puzzle.roles.liar],
        "statements": _as_lists(puzzle.statements),
        "solution": list(puzzle.solution),
        "phrasing": phrasing,
    }


def from_meta(meta: dict[str, Any]) -> tuple[Puzzle, Phrasing]:
    """Inverse of `to_meta`. Raises `DataError` when the values are no puzzle."""
    try:
        statements = tuple(statement_from_json(statement, meta["people"]) for statement in meta["statements"])
        puzzle = Puzzle(tuple(meta["names"]), statements, tuple(meta["solution"]), Roles(*meta["roles"]))
        return puzzle, meta["phrasing"]
    except (KeyError, TypeError) as error:
        raise DataError(f"not a Knights & Knaves puzzle: {error!r} in keys {', '.join(meta)}") from None


def _as_lists(value: Any) -> Any:
    return [_as_lists(part) for part in value] if isinstance(value, tuple) else value
