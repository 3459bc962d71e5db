"""Puzzles as rows with the columns of the published data (arXiv 2410.23123 and Logic-RL): write, read, check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.base.files import aside
from warmup_rl.base.jsonl import json_line, parse_object, require_regular
from warmup_rl.base.untrusted import literal
from warmup_rl.data.datasets import Source
from warmup_rl.knights.answers import read_solution
from warmup_rl.knights.difficulty import difficulty
from warmup_rl.knights.english import answer_english, role_text, statement_text, with_article
from warmup_rl.knights.grammar import KNIGHTS, Puzzle, Roles, make_puzzle
from warmup_rl.knights.parse_quiz import parse_english
from warmup_rl.knights.solver import full_table, person_tables, table
from warmup_rl.knights.statements import mentioned, statement_from_json

SUFFIXES = (".parquet", ".jsonl")
ROWS_PER_GROUP = 2_000

Write = Callable[[dict[str, Any]], object]
"""Writes one row."""
NEEDED = (("quiz",), ("statements",), ("solution", "solution_text", "solution_text_format"))
"""A file must have at least one column of each group."""
_DEEPEST = 100
_WORDS = ("knight", "knave", "a_knight", "a_knave", "Knight", "Knave")
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
    hardness, roles = difficulty(puzzle.statements), puzzle.roles
    truthful, liar = with_article(roles.truthful), with_article(roles.liar)
    lines = [role_text(puzzle, person, puzzle.solution[person]) for person in range(puzzle.people)]
    words = (roles.truthful, roles.liar, truthful, liar, roles.truthful.capitalize(), roles.liar.capitalize())
    head = f"I take one person after the other, first as {truthful}, then as {liar}, and drop what contradicts itself."
    return {
        "quiz": quiz, "names": list(puzzle.names), "knight_knave": dict(zip(_WORDS, words, strict=True)),
        "solution": list(puzzle.solution), "solution_text": f"{', '.join(lines[:-1])}, and {lines[-1]}.",
        "solution_text_format": answer_english(puzzle), "cot_head": head, "cot_repeat_steps": assumption_chain(puzzle),
        "cot_foot": "Nobody contradicts these roles, so they are the solution.", "statements": repr(puzzle.statements),
        "index": index, "difficulty": hardness.hypotheses, "depth": hardness.depth, **more,
    }  # fmt: skip


def row_schema() -> Any:
    """The `pyarrow.Schema` of the rows of `to_row`."""
    import pyarrow as pa

    words = pa.struct([(key, pa.string()) for key in _WORDS])
    text, texts = pa.string(), pa.list_(pa.string())
    return pa.schema([
        ("quiz", text), ("names", texts), ("knight_knave", words), ("solution", pa.list_(pa.bool_())),
        ("solution_text", text), ("solution_text_format", text), ("cot_head", text), ("cot_repeat_steps", texts),
        ("cot_foot", text), ("statements", text), ("index", pa.int64()), ("id", text), ("split", text),
        ("difficulty", pa.int64()), ("depth", pa.int64()), ("original", text), ("perturbation", text),
    ])  # fmt: skip


def assumption_chain(puzzle: Puzzle) -> list[str]:
    """The steps of the column `cot_repeat_steps`: a role is assumed for one person after the other.

    The people mentioned by the last person come next. As in arXiv 2410.23123, a role is rejected if the statement of
    somebody with an assumed role is consistent in none of the remaining assignments. The wording is our own.
    """
    search = _Assumptions(puzzle)
    search.explore(list(range(puzzle.people)), search.full, [])
    return search.steps


def check_suffix(path: Path) -> None:
    """Raises `DataError` if the file's name has no known suffix."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: the file name must end in {' or '.join(SUFFIXES)}.")


@contextmanager
def row_file(path: Path, schema: Callable[[], Any]) -> Iterator[Write]:
    """Opens a file for writing; it gets its name once all rows are written.

    Args:
        schema: returns the `pyarrow.Schema` of a Parquet file.

    Raises:
        DataError: the file's name has no known suffix.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as part:
        if path.suffix == ".parquet":
            with _parquet(part, schema()) as write:
                yield write
        else:
            with part.open("wb") as file:
                yield lambda row: file.write(json_line(row))


@contextmanager
def _parquet(path: Path, schema: Any) -> Iterator[Write]:
    from pyarrow import Table
    from pyarrow.parquet import ParquetWriter

    rows: list[dict[str, Any]] = []

    def flush() -> None:
        if rows:
            writer.write_table(Table.from_pylist(rows, schema=schema))
            rows.clear()

    def write(row: dict[str, Any]) -> None:
        rows.append(row)
        if len(rows) == ROWS_PER_GROUP:
            flush()

    with ParquetWriter(str(path), schema) as writer:
        yield write
        flush()


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
    for row in _rows(path):
        columns.update(row)
        solved.append((_solves(row, _from_statements), _solves(row, lambda row: parse_english(str(row.get("quiz"))))))
    try:
        _check_columns(columns)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    disagree = [number for number, both in enumerate(solved) if not all(both)]
    from_statements, from_text = (sum(one) for one in zip(*solved, strict=True))
    return Check(len(solved), from_statements, from_text, disagree)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file of any format that `Source` reads; a JSON line that is not an object gives an empty row.

    Raises:
        DataError: the file is missing or has an unknown format.
    """
    if path.suffix not in (".jsonl", ".ndjson"):
        yield from (row for _, row in Source(path=str(path.absolute())).rows())
        return
    require_regular(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in filter(str.strip, file):
            try:
                yield parse_object(str(path), line)
            except DataError:
                yield {}


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


class _Assumptions:
    def __init__(self, puzzle: Puzzle) -> None:
        self.puzzle = puzzle
        self.full, self.persons = full_table(puzzle.people), person_tables(puzzle.people)
        self.tables = [table(statement, puzzle.people) for statement in puzzle.statements]
        self.steps: list[str] = []

    def explore(self, left: list[int], cases: int, assumed: list[tuple[int, bool]]) -> bool:
        """Whether all people get a role; `cases` is the table of the assignments that agree with `assumed`."""
        if not left:
            return True
        person, name = left[0], self.puzzle.names[left[0]]
        for truthful in (True, False):
            held = cases & (self.persons[person] if truthful else self.full ^ self.persons[person])
            roles = [*assumed, (person, truthful)]
            misfit = next(
                (role for role in roles if not held & (self.tables[role[0]] ^ self.full * (not role[1]))), None
            )
            role = with_article(self.puzzle.roles.of(truthful))
            if misfit:
                self.steps.append(f"{name} cannot be {role}: then {self._claim(*misfit)}, although it has to be.")
                continue
            self.steps.append(f"Suppose {name} is {role}. {self._claim(person, truthful, possible=True)}.")
            named = [other for other in mentioned(self.puzzle.statements[person]) if other in left[1:]]
            if self.explore([*named, *(other for other in left[1:] if other not in named)], held, roles):
                return True
        if assumed:
            before = self.puzzle.names[assumed[-1][0]]
            self.steps.append(f"Neither role is left for {name}, so what I supposed of {before} does not hold.")
        return False

    def _claim(self, person: int, truthful: bool, *, possible: bool = False) -> str:
        """`"Bob is a knave", said by Hal, can be true`."""
        claim = statement_text(self.puzzle.statements[person], self.puzzle.names, self.puzzle.roles)
        name, can = self.puzzle.names[person], "can" if possible else "cannot"
        return f'"{claim}", said by {name}, {can} be {"true" if truthful else "false"}'
