"""Puzzles as rows with the columns of the published data (arXiv 2410.23123 and Logic-RL), and their check."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.data.datasets import Source
from warmup_rl.knights.answers import read_answer
from warmup_rl.knights.assumptions import assumption_chain
from warmup_rl.knights.difficulty import difficulty
from warmup_rl.knights.english import answer_english, role_text, with_article
from warmup_rl.knights.files import rows_or_nothing
from warmup_rl.knights.grammar import KNIGHTS, Puzzle, Roles, make_puzzle
from warmup_rl.knights.reading import parse_english
from warmup_rl.knights.statements import Statement, statement_from_json

NEEDED = (("quiz",), ("statements",), ("solution", "solution_text", "solution_text_format"))
"""Of each of these groups a file must have a column."""
_HIGHEST = 100
_SPLITS = {"train": "train", "test": "test", **dict.fromkeys(("validation", "val", "valid", "dev"), "validation")}


@dataclass(frozen=True, slots=True)
class PublishedPuzzle:
    """A row of a file.

    Attributes:
        split: of the column `split`; None where the file has none.
        index: of the column `index`, else the number of the row from 0.
        original: id of the puzzle that this one is a variant of.
    """

    puzzle: Puzzle
    quiz: str
    split: str | None
    index: int
    original: str | None = None
    perturbation: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """How far the solver agrees with the answers of a file.

    Attributes:
        disagree: numbers from 0 of the rows whose statements or whose text do not lead to their answer.
    """

    rows: int
    solved_from_statements: int
    solved_from_text: int
    disagree: list[int]


def to_row(puzzle: Puzzle, quiz: str, *, index: int, **more: Any) -> dict[str, Any]:
    """A puzzle as a row of the published columns; `more` is what stands beside them (id, split, ...)."""
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
    """The `pyarrow.Schema` of such rows."""
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
    """All puzzles of a file or hub dataset, checked: the answer of each row is the one solution of its statements.

    Raises:
        DataError: the file is missing, lacks columns, or a row is broken; the message names file and row.
    """
    found: list[PublishedPuzzle] = []
    for place, row in source.rows():
        if missing := _missing(row.keys()):
            raise DataError(f"{place}: {missing}")
        try:
            found.append(_puzzle(row, len(found)))
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
    return found


def check_file(path: Path) -> Check:
    """Solves every row twice, from its statements and from its text alone. A row that does not parse is not solved.

    Raises:
        DataError: the file is missing or lacks columns.
    """
    rows = from_statements = from_text = 0
    disagree = []
    columns: set[str] = set()
    for number, row in enumerate(rows_or_nothing(path)):
        columns.update(row)
        by_statements, by_text = _solved_from_statements(row), _solved_from_text(row)
        rows += 1
        from_statements += by_statements
        from_text += by_text
        if not (by_statements and by_text):
            disagree.append(number)
    if missing := _missing(columns):
        raise DataError(f"{path}: {missing}")
    return Check(rows, from_statements, from_text, disagree)


def _missing(columns: Collection[str]) -> str:
    """What is wrong with the columns; empty where all are there."""
    missing = [" or ".join(group) for group in NEEDED if not any(name in columns for name in group)]
    if not missing:
        return ""
    return (
        f"columns missing: {', '.join(missing)}. There are: {', '.join(columns) or 'none'}. "
        f"The published data have quiz, names, statements (logic tuples) and solution (true: tells the truth)."
    )


def _puzzle(row: dict[str, Any], number: int) -> PublishedPuzzle:
    names, roles = _names(row), _roles(row)
    puzzle = make_puzzle(names, _statements(row, len(names)), roles)
    if _gold(row, puzzle) != puzzle.solution:
        raise DataError(f"the answer is not the solution of the statements: {row.get('solution')!r}")
    if not isinstance(row.get("quiz"), str):
        raise DataError("the quiz is no text")
    split = row.get("split")
    if split is not None and split not in _SPLITS:
        raise DataError(f"split {split!r} is unknown. Allowed: {', '.join(_SPLITS)}")
    index = row.get("index")
    known = _SPLITS[split] if split else None
    place = index if isinstance(index, int) else number
    return PublishedPuzzle(puzzle, row["quiz"], known, place, row.get("original"), row.get("perturbation"))


def _solved_from_statements(row: dict[str, Any]) -> bool:
    try:
        statements = _literal(row.get("statements"))
        names = _names(row) if row.get("names") else [str(person) for person in range(len(statements))]
        puzzle = make_puzzle(names, _statements(row, len(names)), _roles(row))
        return _gold(row, puzzle) == puzzle.solution
    except (DataError, TypeError):
        return False


def _solved_from_text(row: dict[str, Any]) -> bool:
    try:
        puzzle = parse_english(row["quiz"]) if isinstance(row.get("quiz"), str) else None
        if puzzle is None:
            return False
        names = _names(row) if row.get("names") else puzzle.names
        gold = _gold(row, puzzle, names)
        return dict(zip(names, gold, strict=True)) == dict(zip(puzzle.names, puzzle.solution, strict=True))
    except (DataError, ValueError):
        return False


def _gold(row: dict[str, Any], puzzle: Puzzle, names: Sequence[str] = ()) -> tuple[bool, ...]:
    """The row's own answer: the column `solution`, else read out of the solution's text."""
    names = names or puzzle.names
    solution = _literal(row.get("solution"))
    if solution is not None:
        given = solution if isinstance(solution, list | tuple) else []
        if len(given) != len(names) or not all(value in (True, False) for value in given):
            raise DataError(f"the solution must be {len(names)} times true or false: {solution!r}")
        return tuple(map(bool, solution))
    for column in ("solution_text_format", "solution_text"):
        if isinstance(row.get(column), str):
            reading = read_answer(row[column], names, puzzle.roles)
            if reading.truthful is not None:
                return reading.truthful
    raise DataError("the row has no answer")


def _names(row: dict[str, Any]) -> list[str]:
    names = _literal(row.get("names"))
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise DataError(f"names must be a list of texts: {names!r}")
    return list(names)


def _roles(row: dict[str, Any]) -> Roles:
    words = _literal(row.get("knight_knave"))
    if not isinstance(words, dict) or not {"knight", "knave"} <= words.keys():
        return KNIGHTS
    return Roles(str(words["knight"]), str(words["knave"]))


def _statements(row: dict[str, Any], people: int) -> list[Statement]:
    statements = _literal(row.get("statements"))
    if not isinstance(statements, list | tuple):
        raise DataError(f"statements must be logic tuples: {statements!r}")
    return [statement_from_json(_numbered(statement), people) for statement in statements]


def _numbered(value: Any, height: int = 0) -> Any:
    """People as numbers where a file holds them as text."""
    if height > _HIGHEST:
        raise DataError(f"a statement is nested deeper than {_HIGHEST} levels.")
    if isinstance(value, list | tuple):
        return [_numbered(part, height + 1) for part in value]
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _literal(value: Any) -> Any:
    """A value that a file may hold as Python or JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise DataError(f"not a Python literal: {value[:80]!r}") from None
