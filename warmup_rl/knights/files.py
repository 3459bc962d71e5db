"""Files of rows: written piece by piece as Parquet or JSON lines, so that memory stays flat, and read with patience."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import json_line
from warmup_rl.data.datasets import Source

SUFFIXES = (".parquet", ".jsonl")
ROWS_PER_GROUP = 2_000


class Sink(Protocol):
    """Takes rows."""

    def write(self, row: dict[str, Any]) -> None: ...


def check_suffix(path: Path) -> None:
    """Raises `DataError` where the file's name does not say what it holds."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: a file that ends in {' or '.join(SUFFIXES)} is needed.")


def rows_or_nothing(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file of any kind that `sources.Source` reads; a line of JSON lines that is no object is an empty row.

    Raises:
        DataError: the file is missing or of another kind.
    """
    if path.suffix not in (".jsonl", ".ndjson"):
        yield from (row for _, row in Source(path=str(path.absolute())).rows())
        return
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            if line.strip():
                yield _object(line)


@contextmanager
def row_file(path: Path, schema: Callable[[], Any]) -> Iterator[Sink]:
    """A file that rows are written to; it stands under its name once all are written.

    Args:
        schema: gives the `pyarrow.Schema` of a Parquet file.

    Raises:
        DataError: the file's name ends in something else.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    sink = _ParquetSink(part, schema()) if path.suffix == ".parquet" else _JsonSink(part)
    try:
        yield sink
        sink.close()
        part.replace(path)
    finally:
        sink.abandon()
        part.unlink(missing_ok=True)


class _JsonSink:
    def __init__(self, part: Path) -> None:
        self._file = part.open("wb")

    def write(self, row: dict[str, Any]) -> None:
        self._file.write(json_line(row))

    def close(self) -> None:
        self._file.close()

    abandon = close


class _ParquetSink:
    def __init__(self, part: Path, schema: Any) -> None:
        from pyarrow.parquet import ParquetWriter

        self._writer = ParquetWriter(str(part), schema)
        self._schema, self._rows = schema, list[dict[str, Any]]()

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        if self._writer.is_open:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
