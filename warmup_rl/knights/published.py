"""Puzzles as rows with the columns of the published data (arXiv 2410.23123 and Logic-RL): write, read, check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.data.datasets import Source
from warmup_rl.knights.answers import literal, read_solution
from warmup_rl.knights.assumptions import assumption_chain
from warmup_rl.knights.difficulty import difficulty
from warmup_rl.knights.english import answer_english, role_text, with_article
from warmup_rl.knights.files import read_rows
from warmup_rl.knights.grammar import KNIGHTS, Puzzle, Roles, make_puzzle
from warmup_rl.knights.parse_quiz import parse_english
from warmup_rl.knights.statements import statement_from_json

NEEDED = (("quiz",), ("statements",), ("solution", "solution_text", "solution_text_format"))
"""A file must have at least one column of each group."""
_DEEPEST = 100
_SPLITS = {"train": "train", "test": "test", **dict.fromkeys(("validation", "val", "valid", "dev"), "validation")}


@dataclass(frozen=True, slots=True)
class PublishedPuzzle:
    """A row of a file.

    Attributes:
        split: from the column `split`, or None.
        index: from the column `index`, or else the number of the row from 0.
        original: id of the puzzle that this one is a variant of.
    """

    puzzle: Puzzle
    question: str
    split: str | None
    index: int
    original: str | None = None
    perturbation: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """How often the solver finds the answers of a file.

    Attributes:
        disagree: numbers, from 0, of the rows with an answer that does not follow from the statements or the text.
    """

    rows: int
    solved_from_statements: int
    solved_from_text: int
    disagree: list[int]


def to_row(puzzle: Puzzle, quiz: str, *, index: int, **more: Any) -> dict[str, Any]:
    """A puzzle as a row with the published columns; `more` has further columns (id, split, ...)."""
    chain, hardness, roles = assumption_chain(puzzle), difficulty(puzzle.statements), puzzle.roles
    lines = [role_text(puzzle, person, puzzle.solution[person]) for person in range(puzzle.people)]
    return {
        "quiz": quiz,
        "names": list(puzzle.names),
        "knight_knave": {
            "knight": roles.truthful,
            "knave": roles.liar,
            "a_knight": with_article(roles.truthful),
            "a_knave": with_article(roles.liar),
            "Knight": roles.truthful.capitalize(),
            "Knave": roles.liar.capitalize(),
        },
        "solution": list(puzzle.solution),
        "solution_text": f"{', '.join(lines[:-1])}, and {lines[-1]}.",
        "solution_text_format": answer_english(puzzle),
        "cot_head": chain.head,
        "cot_repeat_steps": chain.steps,
        "cot_foot": chain.foot,
        "statements": repr(puzzle.statements),
        "index": index,
        "difficulty": hardness.hypotheses,
        "depth": hardness.depth,
        **more,
    }


def row_schema() -> Any:
    """The `pyarrow.Schema` of the rows of `to_row`."""
    import pyarrow as pa

    words = pa.struct([(key, pa.string()) for key in ("knight", "knave", "a_knight", "a_knave", "Knight", "Knave")])
    text, texts = pa.string(), pa.list_(pa.string())
    return pa.schema([
        ("quiz", text), ("names", texts), ("knight_knave", words), ("solution", pa.list_(pa.bool_())),
        ("solution_text", text), ("solution_text_format", text), ("cot_head", text), ("cot_repeat_steps", texts),
        ("cot_foot", text), ("statements", text), ("index", pa.int64()), ("id", text), ("split", text),
        ("difficulty", pa.int64()), ("depth", pa.int64()), ("original", text), ("perturbation", text),
    ])  # fmt: skip


def read_puzzles(source: Source) -> list[PublishedPuzzle]:
    """All puzzles of a file or hub dataset, after a check that each answer is the only solution of the statements.

    Raises:
        DataError: the file is missing, lacks columns, or has an invalid row; the message names file and row.
    """
    found: list[PublishedPuzzle] = []
    for place, row in source.rows():
        try:
            _check_columns(row.keys())
            found.append(_published(row, len(found)))
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
    return found


def check_file(path: Path) -> Check:
    """Solves each row twice, from its statements and from its text alone. Rows that cannot be read count as unsolved.

    Raises:
        DataError: the file is missing or lacks columns.
    """
    columns: set[str] = set()
    solved: list[tuple[bool, bool]] = []
    for row in read_rows(path):
        columns.update(row)
        solved.append((_solves(row, _from_statements), _solves(row, _from_text)))
    try:
        _check_columns(columns)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    disagree = [number for number, both in enumerate(solved) if not all(both)]
    from_statements, from_text = (sum(one) for one in zip(*solved, strict=True))
    return Check(len(solved), from_statements, from_text, disagree)


def _check_columns(columns: Collection[str]) -> None:
    missing = [" or ".join(group) for group in NEEDED if not any(name in columns for name in group)]
    if missing:
        raise DataError(
            f"columns missing: {', '.join(missing)}. Found: {', '.join(columns) or 'none'}. "
            f"The published data have quiz, names, statements (logic tuples) and solution (true: tells the truth)."
        )


def _published(row: dict[str, Any], number: int) -> PublishedPuzzle:
    puzzle, index, split = _from_statements(row), row.get("index"), row.get("split")
    if _gold(row, _names(row), puzzle.roles) != puzzle.solution:
        raise DataError(f"the answer is not the solution of the statements: {row.get('solution')!r}")
    if not isinstance(row.get("quiz"), str):
        raise DataError("the quiz is not a text")
    if split is not None and split not in _SPLITS:
        raise DataError(f"split {split!r} is unknown. Allowed: {', '.join(_SPLITS)}")
    own_split, index = _SPLITS[split] if split else None, index if isinstance(index, int) else number
    return PublishedPuzzle(puzzle, row["quiz"], own_split, index, row.get("original"), row.get("perturbation"))


def _solves(row: dict[str, Any], read: Callable[[dict[str, Any]], Puzzle]) -> bool:
    try:
        puzzle = read(row)
        names = _names(row, puzzle.names)
        solution = dict(zip(names, _gold(row, names, puzzle.roles), strict=True))
        return solution == dict(zip(puzzle.names, puzzle.solution, strict=True))
    except (DataError, TypeError):
        return False


def _from_statements(row: dict[str, Any]) -> Puzzle:
    statements, words = literal(row.get("statements")), literal(row.get("knight_knave"))
    if not isinstance(statements, list | tuple):
        raise DataError(f"statements must be logic tuples: {str(statements)[:80]!r}")
    names = _names(row, [str(person) for person in range(len(statements))])
    known = isinstance(words, dict) and {"knight", "knave"} <= words.keys()
    roles = Roles(str(words["knight"]), str(words["knave"])) if known else KNIGHTS
    return make_puzzle(names, [statement_from_json(_numbered(value), len(names)) for value in statements], roles)


def _from_text(row: dict[str, Any]) -> Puzzle:
    return parse_english(row["quiz"] if isinstance(row.get("quiz"), str) else "")


def _gold(row: dict[str, Any], names: Sequence[str], roles: Roles) -> tuple[bool, ...]:
    """The answer in the row: the column `solution`, or else the text of the solution."""
    for column in NEEDED[-1]:
        if row.get(column) is not None:
            return read_solution(row[column], names, roles)
    raise DataError("the row has no answer")


def _names(row: dict[str, Any], default: Sequence[str] = ()) -> list[str]:
    names = literal(row.get("names")) or list(default)
    if not names or not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise DataError(f"names must be a list of texts: {names!r}")
    return list(names)


def _numbered(value: Any, depth: int = 0) -> Any:
    """Converts people that are given as text to numbers."""
    if depth > _DEEPEST:
        raise DataError(f"a statement is nested deeper than {_DEEPEST} levels.")
    if isinstance(value, list | tuple):
        return [_numbered(part, depth + 1) for part in value]
    return int(value) if isinstance(value, str) and value.isdecimal() else value
