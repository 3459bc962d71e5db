"""Puzzles as rows with the columns of the published data (arXiv 2410.23123 and Logic-RL): write, read, check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from warmup_rl.base.errors import DataError
from warmup_rl.base.files import aside
from warmup_rl.base.jsonl import json_line, parse_object, require_regular
from warmup_rl.base.processes import in_processes
from warmup_rl.base.untrusted import literal
from warmup_rl.data.datasets import Source
from warmup_rl.knights.answers import read_solution
from warmup_rl.knights.difficulty import difficulty
from warmup_rl.knights.english import numbered, role_lines, statement_text, with_article
from warmup_rl.knights.grammar import KNIGHTS, Puzzle, Roles, make_puzzle
from warmup_rl.knights.parse_quiz import parse_english
from warmup_rl.knights.solver import full_table, role_tables, table
from warmup_rl.knights.statements import mentioned, statement_from_json

SUFFIXES = (".parquet", ".jsonl")
ROWS_PER_BATCH = 1_000
"""Rows that are made at once, and those of a group in a Parquet file."""
PROCESSES = 2
"""They make rows; a row takes somewhat longer than to draw its puzzle."""
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


class Told(Protocol):
    """A puzzle and its further columns: quiz, index, id, split, ..."""

    @property
    def puzzle(self) -> Puzzle: ...

    @property
    def columns(self) -> Mapping[str, Any]: ...


def to_rows(puzzles: Sequence[Told]) -> list[dict[str, Any]]:
    """Rows with the published columns."""
    # one column for all rows before the next: a quarter faster, as each one's code then stays in the processor's cache
    hardness = [difficulty(one.puzzle.statements) for one in puzzles]
    chains = [assumption_chain(one.puzzle) for one in puzzles]
    return [
        {**one.columns, **_columns(one.puzzle), "cot_repeat_steps": chain, "difficulty": hard[0], "depth": hard[1]}
        for one, hard, chain in zip(puzzles, hardness, chains, strict=True)
    ]


def _columns(puzzle: Puzzle) -> dict[str, Any]:
    lines = role_lines(puzzle)
    head, words = _of_roles(puzzle.roles)
    return {
        "names": list(puzzle.names), "knight_knave": words,
        "solution": list(puzzle.solution), "solution_text": f"{', '.join(lines[:-1])}, and {lines[-1]}.",
        "solution_text_format": numbered(lines), "cot_head": head,
        "cot_foot": "Nobody contradicts these roles, so they are the solution.", "statements": repr(puzzle.statements),
    }  # fmt: skip


@lru_cache(maxsize=64)
def _of_roles(roles: Roles) -> tuple[str, dict[str, str]]:
    """The columns `cot_head` and `knight_knave`."""
    truthful, liar = with_article(roles.truthful), with_article(roles.liar)
    words = (roles.truthful, roles.liar, truthful, liar, roles.truthful.capitalize(), roles.liar.capitalize())
    head = f"I take one person after the other, first as {truthful}, then as {liar}, and drop what contradicts itself."
    return head, dict(zip(_WORDS, words, strict=True))


def row_schema() -> Any:
    """The `pyarrow.Schema` of the rows of `to_rows`."""
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
    search.explore(list(range(puzzle.people)), full_table(puzzle.people), [])
    return search.steps


def check_suffix(path: Path) -> None:
    """Raises `DataError` if the file's name has no known suffix."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: the file name must end in {' or '.join(SUFFIXES)}.")


def write_rows(path: Path, batches: Iterable[Sequence[Told]]) -> None:
    """Writes the rows of all batches (see `to_rows`), which other processes make; the file gets its name at the end.

    Raises:
        DataError: the file's name has no known suffix.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet = path.suffix == ".parquet"
    encode: Callable[[Sequence[Told]], Any] = _table if parquet else _lines
    with aside(path) as part, closing(in_processes(encode, batches, PROCESSES)) as made:
        if parquet:
            from pyarrow.parquet import ParquetWriter

            with ParquetWriter(str(part), row_schema()) as writer:
                for rows in made:
                    writer.write_table(rows)
        else:
            with part.open("wb") as file:
                file.writelines(made)


def _table(batch: Sequence[Told]) -> Any:
    from pyarrow import Table

    return Table.from_pylist(to_rows(batch), schema=row_schema())


def _lines(batch: Sequence[Told]) -> bytes:
    return b"".join(map(json_line, to_rows(batch)))


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
    columns: dict[str, None] = {}
    solved: list[tuple[bool, bool]] = []
    for row in _rows(path):
        columns.update(dict.fromkeys(row))
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
            f"columns missing: {', '.join(missing)}. Found: {', '.join(columns) or 'no row that can be read'}. "
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


_Role = tuple[str, str, int, int]
"""A role's word with article, `true` or `false` as what is said with it, and the tables (see `solver`) of the
assignments in which a person has it, and in which their statement fits it."""
_Assumed = tuple[int, str, int]
"""A person, whether what they say has to be true or false, and the table of the assignments in which it is."""


class _Assumptions:
    def __init__(self, puzzle: Puzzle) -> None:
        people, full = puzzle.people, full_table(puzzle.people)
        knight, knave = with_article(puzzle.roles.truthful), with_article(puzzle.roles.liar)
        texts = [statement_text(statement, puzzle.names, puzzle.roles) for statement in puzzle.statements]
        self.names, self.statements = puzzle.names, puzzle.statements
        self.claims = [f'"{text}", said by {name},' for text, name in zip(texts, puzzle.names, strict=True)]
        self.roles: list[tuple[_Role, _Role]] = []
        for statement, (truthful, lying) in zip(puzzle.statements, role_tables(people), strict=True):
            truth = table(statement, people)
            self.roles.append(((knight, "true", truthful, truth), (knave, "false", lying, full ^ truth)))
        self.steps: list[str] = []

    def explore(self, left: list[int], cases: int, assumed: list[_Assumed]) -> bool:
        """Whether all people get a role; `cases` is the table of the assignments that agree with `assumed`."""
        if not left:
            return True
        person, *others = left
        name = self.names[person]
        for role, said, having, fitting in self.roles[person]:
            held, supposed = cases & having, [*assumed, (person, said, fitting)]
            for speaker, needed, fits in supposed:
                if not held & fits:
                    claim = f"{self.claims[speaker]} cannot be {needed}"
                    self.steps.append(f"{name} cannot be {role}: then {claim}, although it has to be.")
                    break
            else:
                self.steps.append(f"Suppose {name} is {role}. {self.claims[person]} can be {said}.")
                named = [other for other in mentioned(self.statements[person]) if other in others]
                if self.explore(named + [other for other in others if other not in named], held, supposed):
                    return True
        if assumed:
            before = self.names[assumed[-1][0]]
            self.steps.append(f"Neither role is left for {name}, so what I supposed of {before} does not hold.")
        return False
