"""Rows of a data set: a local file (JSON lines, JSON, CSV, Parquet; gzipped or not) or a dataset of the hub."""

from __future__ import annotations

import csv
import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from pydantic import model_validator

from warmup_rl.base.config import Config
from warmup_rl.base.errors import DataError, UserError, first_line
from warmup_rl.base.jsonl import MAX_LINE, lines, objects, require_object, require_regular
from warmup_rl.base.untrusted import parse_json

_UTF, _WINDOWS = "utf-8-sig", "cp1252"
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


class Source(Config):
    """Source of rows: in a recipe, a path or hub id, or a mapping with these keys."""

    path: str
    """A local file (.jsonl .json .csv .tsv .parquet, also .gz), or the id of a hub dataset."""
    name: str | None = None
    """Configuration of a hub dataset."""
    split: str | None = None
    """Split of a hub dataset."""
    revision: str | None = None
    """Branch, tag or commit of a hub dataset; pin a commit so that a run can be repeated."""

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, given: Any) -> Any:
        return {"path": str(given)} if isinstance(given, str | Path) else given

    @model_validator(mode="after")
    def _is_one_kind(self) -> Source:
        if self.is_file and (self.name or self.split or self.revision):
            raise ValueError(f"path: {self.path} is a local file: name, split and revision are for hub datasets")
        return self

    @property
    def is_file(self) -> bool:
        """Whether the path is a local file: hub ids have no such ending and no such beginning."""
        return _format(self.path) in FORMATS or self.path.startswith((".", "/", "~")) or Path(self.path).is_file()

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Pairs of a row's place, such as `mine.csv:3`, and the row.

        Raises `DataError`, with file and row, if the file is missing or a row is invalid; `UserError` if the hub
        dataset cannot be loaded.
        """
        return _file_rows(Path(self.path).expanduser()) if self.is_file else self._hub_rows()

    def note(self) -> str:
        """What to know about how the file is read; empty for a file in UTF-8."""
        path = Path(self.path).expanduser()
        is_table = _format(self.path) in (".csv", ".tsv") and self.is_file
        return "not UTF-8: read as Windows-1252" if is_table and _encoding(path) == _WINDOWS else ""

    def digest(self) -> str:
        """Changes when the rows do: a hash of a file's content; id and revision of a hub dataset. Raises as `rows`."""
        if self.is_file:
            return file_digest(_existing(Path(self.path).expanduser()))
        return "/".join(filter(None, (self.path, self.name, self.split, self.revision)))

    def _hub_rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        import datasets

        where = self.path + (f" ({self.name})" if self.name else "")
        try:
            found = datasets.load_dataset(self.path, self.name, split=self.split, revision=self.revision)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise UserError(
                f"{where}: the dataset cannot be loaded ({first_line(error)}). Give a local file, or "
                "the id of a dataset that is cached or can be reached (HF_HUB_OFFLINE=1 works once it is cached)."
            ) from None
        if isinstance(found, dict):
            raise UserError(f"{where}: has the splits {', '.join(found)}; name one under `split`.")
        for number, row in enumerate(found):
            yield f"{where}:{number}", dict(row)


def _format(path: str) -> str:
    return Path(path.removesuffix(".gz")).suffix.lower()


def _existing(path: Path) -> Path:
    require_regular(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file (looked from {Path.cwd()}).")
    return path


def file_digest(path: Path) -> str:
    """A hash of a file's content; computed once per process, unless the file changes."""
    status = path.stat()
    return _content_digest(path.resolve(), status.st_mtime_ns, status.st_size)


@cache
def _content_digest(path: Path, modified: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _file_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = _format(_existing(path).name)
    if kind == ".parquet":
        yield from _parquet_rows(path)
        return
    if kind not in FORMATS:
        raise DataError(
            f"{path}: unknown kind of file. Allowed: {', '.join(FORMATS)}, also with .gz. Rename or convert it."
        )
    try:
        with _open(path, _encoding(path) if kind in (".csv", ".tsv") else _UTF) as file:
            if kind in (".csv", ".tsv"):
                yield from _csv_rows(path, file, "\t" if kind == ".tsv" else "")
            elif kind == ".json":
                yield from _json_rows(path, file)
            else:
                yield from objects(path, file, repair=True)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}). Save the file as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{path}: the table cannot be read ({error}). Is a quotation mark never closed?") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is broken ({error}). Download it again.") from None


def _open(path: Path, encoding: str) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")  # type: ignore[return-value]
    return path.open(encoding=encoding, newline="")


def _encoding(path: Path) -> str:
    """UTF-8; for tables as spreadsheets write them also UTF-16, by its mark, or Windows-1252 where it is neither."""
    status = _existing(path).stat()
    return _table_encoding(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _table_encoding(path: Path, modified: int, size: int) -> str:
    try:
        with _open(path, _UTF) as file:
            for _ in lines(path, file, long=True):
                pass
    except UnicodeDecodeError:
        with _open(path, "latin-1") as file:
            return "utf-16" if file.read(2) in ("\xff\xfe", "\xfe\xff") else _WINDOWS
    return _UTF


def _json_rows(path: Path, file: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        rows = parse_json("".join(lines(path, file, long=True)), repair=True)
    except ValueError as error:
        file.seek(0)
        if not _is_object(next(lines(path, file, long=True), "")):
            raise DataError(f"{path}: not JSON ({error}). Fix the file.") from None
        file.seek(0)
        yield from objects(path, file, repair=True)  # JSON lines under another name
        return
    for number, row in enumerate(_listed(rows, path), start=1):
        yield f"{path}:{number}", require_object(f"{path}:{number}", row)


def _is_object(line: str) -> bool:
    try:
        return isinstance(parse_json(line, repair=True), dict)
    except ValueError:
        return False


def _listed(found: Any, path: Path) -> list[Any]:
    """The list of rows in a JSON file: the file itself, the one list of objects under a key of it (questions in
    paragraphs, as in SQuAD, become rows), or objects by id."""
    if isinstance(found, list):
        return found
    lists = {key: value for key, value in found.items() if _is_rows(value)} if isinstance(found, dict) else {}
    if len(lists) == 1:
        rows = next(iter(lists.values()))
        return [one for row in rows for one in _questions(row)] if "paragraphs" in rows[0] else rows
    if isinstance(found, dict) and found and all(isinstance(value, dict) for value in found.values()):
        return list(found.values())
    several = f"Save one of its lists as a file: {', '.join(lists)}." if lists else "Give each row an object with keys."
    raise DataError(f"{path}: a JSON list of objects is needed, found {type(found).__name__}. {several}")


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _questions(article: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of an article in the form of SQuAD."""
    for paragraph in article.get("paragraphs", ()):
        for question in paragraph.get("qas", ()):
            yield {"context": paragraph.get("context"), **question}


def _csv_rows(path: Path, file: Any, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Default delimiter: the most frequent one of `,;|` and tab in the first line."""
    first = next(text := lines(path, file), "")
    delimiter = delimiter or max(",;\t|", key=first.count)
    reader = csv.DictReader(chain([first], text), delimiter=delimiter)
    csv.field_size_limit(MAX_LINE)
    if reader.fieldnames:
        reader.fieldnames = [name.strip() for name in reader.fieldnames]
        if twice := [name for name, count in Counter(filter(None, reader.fieldnames)).items() if count > 1]:
            raise DataError(f"{path}: two columns are named {twice[0]!r}. Rename one of them.")
    for number, row in enumerate(reader, start=1):
        place = f"{path}:{number + 1}"
        if None in row or None in row.values():
            count = len(reader.fieldnames or ())
            fix = f"Quote fields that contain {delimiter!r} or line ends."
            raise DataError(f"{place}: the first line names {count} columns, this row has another number. {fix}")
        yield place, dict(row)


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", row
    except (pa.ArrowException, OSError) as error:  # Arrow has no class of its own for a broken file
        raise DataError(f"{path}: not a Parquet file ({first_line(error)}).") from None
