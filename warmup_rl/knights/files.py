"""Files of puzzles, written row by row as Parquet or JSON lines, so that memory stays constant."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import json_line, parse_object
from warmup_rl.data.datasets import Source

SUFFIXES = (".parquet", ".jsonl")
ROWS_PER_GROUP = 2_000

Write = Callable[[dict[str, Any]], object]
"""Writes one row."""


def check_suffix(path: Path) -> None:
    """Raises `DataError` if the file's name has no known suffix."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: the file name must end in {' or '.join(SUFFIXES)}.")


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file of any format that `Source` reads; a JSON line that is not an object gives an empty row.

    Raises:
        DataError: the file is missing or has an unknown format.
    """
    if path.suffix not in (".jsonl", ".ndjson"):
        yield from (row for _, row in Source(path=str(path.absolute())).rows())
        return
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in filter(str.strip, file):
            try:
                yield parse_object(str(path), line)
            except (DataError, RecursionError):
                yield {}


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
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if path.suffix == ".parquet":
            with _parquet(part, schema()) as write:
                yield write
        else:
            with part.open("wb") as file:
                yield lambda row: file.write(json_line(row))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
