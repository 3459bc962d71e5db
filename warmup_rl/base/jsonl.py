"""JSON lines on disk: atomic writes, append-only logs that survive a kill, errors that name the line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, TextIO

from warmup_rl.base.errors import DataError
from warmup_rl.base.files import aside
from warmup_rl.base.untrusted import parse_json

MAX_LINE = 1 << 26
"""Characters of a line, and of a cell in a table."""
MAX_GROWTH = 200
"""How many times larger than a gzip file the text in it may be; real rows shrink by less than 30 times."""
LEAST_ROW = 32
"""Characters that a line counts for at least in that comparison: empty lines take time, too."""
_escaped = json.JSONEncoder().encode
_plain = json.JSONEncoder(ensure_ascii=False).encode


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Writes all rows atomically. Returns the number of rows."""
    count = 0
    with aside(path) as part, part.open("wb") as file:
        for row in rows:
            file.write(json_line(row))
            count += 1
    return count


def append_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Appends rows and syncs them to disk; first removes an incomplete last line that a killed writer left."""
    with path.open("a+b") as file:
        _cut_torn_tail(file)
        file.write(b"".join(map(json_line, rows)))
        file.flush()
        os.fsync(file.fileno())


def json_line(value: Any) -> bytes:
    """A JSON value as one line of UTF-8; text that UTF-8 cannot encode (a lone surrogate) is escaped."""
    escaped = _escaped(value)
    if "\\u" not in escaped:  # ASCII alone: the same text, and encoded a third faster
        return escaped.encode() + b"\n"
    try:
        return _plain(value).encode() + b"\n"
    except UnicodeEncodeError:
        return escaped.encode() + b"\n"


def read_text(path: Path) -> str:
    """The text of a file. Raises `DataError` if it is not UTF-8, or not a file with content of its own."""
    require_regular(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}). Save the file as UTF-8.") from None


def require_regular(path: Path) -> None:
    """Raises `DataError` for a link to nothing, and for a folder, a pipe or a device in place of a file: reading it
    fails, or never ends."""
    if not path.is_file() and (path.exists() or path.is_symlink()):
        what = "a folder, a pipe or a device" if path.exists() else "a link that leads to no file"
        raise DataError(f"{path}: a regular file is needed; this is {what}.")


def read_jsonl(path: Path, *, first: int = 0, every: int = 1) -> Iterator[dict[str, Any]]:
    """Rows of a file: all, or each so many from the first on, counted from 0. Raises `DataError` with file and line if
    it is missing, or one of them is not a JSON object."""
    require_regular(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from (row for _, row in objects(path, file, first=first, every=every))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}). Save the file as UTF-8.") from None


def objects(
    path: Path, file: TextIO, *, repair: bool = False, first: int = 0, every: int = 1
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and value of lines that are not blank; see `read_jsonl`, and `parse_json` for `repair`."""
    found = ((number, line) for number, line in enumerate(lines(path, file), start=1) if line.strip())
    for number, line in islice(found, first, None, every):
        yield f"{path}:{number}", parse_object(f"{path}:{number}", line, repair=repair)


def lines(path: Path, file: TextIO, *, long: bool = False) -> Iterator[str]:
    """The lines of a file, which may be gzipped; if `long`, one longer than `MAX_LINE` comes in pieces.

    Raises `DataError` for a line that is too long, or a small gzip file that holds a huge text.
    """
    most = max(MAX_LINE, MAX_GROWTH * path.stat().st_size) if path.suffix == ".gz" else math.inf
    total = 0
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), ""), start=1):
        total += max(len(line), LEAST_ROW)
        if total > most:
            raise DataError(f"{path}: a gzip file that unpacks to more than {MAX_GROWTH} times its size. Unpack it.")
        if len(line) == MAX_LINE and not long:
            raise DataError(f"{path}:{number}: a line of more than {MAX_LINE:,} characters.")
        yield line


def parse_object(place: str, text: str, *, repair: bool = False) -> dict[str, Any]:
    """The JSON object in a text. Raises `DataError` beginning with `place` for anything else."""
    try:
        row = parse_json(text, repair=repair)
    except ValueError as error:
        raise DataError(f"{place}: not JSON ({error}). Fix or remove the line.") from None
    return require_object(place, row)


def require_object(place: str, value: Any) -> dict[str, Any]:
    """Returns the value. Raises `DataError` if it is not a JSON object."""
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise DataError(f"{place}: a JSON object is needed, found {kind}. Fix or remove the line.")
    return value


def read_json(path: Path, *, delete: Path | None = None) -> dict[str, Any]:
    """A JSON object. Raises `DataError` where the file holds something else; it says to delete the file, or `delete`,
    a folder that is worthless without it."""
    fix = f"Delete {f'the folder {delete}' if delete else 'the file'} and run the recipe again."
    try:
        value = parse_json(read_text(path))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}). {fix}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: a JSON object is needed, found {type(value).__name__}. {fix}")
    return value


def write_json(path: Path, value: Any) -> None:
    """Writes one JSON value atomically."""
    with aside(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _cut_torn_tail(file: Any) -> None:
    if size := file.seek(0, os.SEEK_END):
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            whole = content.rfind(b"\n") + 1
        if whole < size:
            file.truncate(whole)
