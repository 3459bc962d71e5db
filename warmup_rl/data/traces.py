"""Traces and their problems, as stages output them: two files in one folder."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import read_jsonl, require_regular
from warmup_rl.base.types import Problem, Trace, trace_from_json
from warmup_rl.data.indexed_log import IndexedLog

PROBLEMS_FILE = "problems.jsonl"
"""The problems of the traces, in the folder of the traces file."""

NO_GOLD = "no gold"
"""The problem of a foreign row without a reference answer, which `clean` drops for this reason."""
_MAKE_AGAIN = "Run the stage that made it again."


def read_traces(path: Path, *, first: int = 0, every: int = 1) -> Iterator[Trace]:
    """Traces of a file in order: all, or each so many from the first on, counted from 0. Raises `DataError` if the file
    or one of these rows is invalid."""
    for place, row in enumerate(read_jsonl(path, first=first, every=every)):
        try:
            yield trace_from_json(row)
        except (KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            number = 1 + first + place * every
            raise DataError(f"{path}: row {number} is not a valid trace ({reason}). {_MAKE_AGAIN}") from None


def open_problems(path: Path) -> IndexedLog[str, Problem]:
    """Problems by id, in the order of the file, each read on access; the caller closes the file. Raises `DataError` if
    the file is missing, or a row is not a problem."""
    require_regular(path)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file. It has the problems of the traces next to it; run the stage that made both again."
        )
    fix = f"Fix the line, or: {_MAKE_AGAIN}"
    return IndexedLog(path, attrgetter("id"), lambda row: Problem(**row), read_only=True, fix=fix)
