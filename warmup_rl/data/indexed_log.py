"""An append-only log of JSON lines by key: the progress of a stage, safe against a kill at any point."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import append_jsonl, json_line
from warmup_rl.base.untrusted import parse_json

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SYNC_SECONDS = 1.0


class IndexedLog(Mapping[K, V]):
    """Values of a file by key, in the order of the file; only their offsets in the file are held in memory.

    A row is written to the system when `add` returns, so a killed process loses none; it is synced to the disk at most
    a second later, or with the next row. An incomplete last line, left by a kill or a power cut, is removed on opening.

    Args:
        key, value: the key of a value, the value of a row; KeyError, TypeError or ValueError: the row is invalid.
        read_only: do not change the file; of rows with equal keys the last one counts.
        fix: how to fix an invalid row, or one with the key of an earlier one: a `DataError` that names file and line.
    """

    def __init__(
        self,
        path: Path,
        key: Callable[[V], K],
        value: Callable[[dict[str, Any]], V] = lambda row: row,  # type: ignore[assignment, return-value]
        *,
        read_only: bool = False,
        fix: str = "Remove the line, or delete the folder.",
    ) -> None:
        self._path, self._key, self._value, self._read_only, self._fix = path, key, value, read_only, fix
        self._offsets: dict[K, int] = {}
        self._latest: tuple[K, V] | None = None
        if not read_only:
            append_jsonl(path, [])
        self._file = path.open("rb" if read_only else "a+b")
        self._file.seek(0)
        offset = 0
        for number, line in enumerate(self._file, start=1):
            if line.strip():
                self._index(number, line, offset)
            offset += len(line)
        self._synced = time.monotonic()

    def __getitem__(self, key: K) -> V:
        if self._latest is None or self._latest[0] != key:
            self._file.seek(self._offsets[key])
            self._latest = key, self._parse(self._file.readline())
        return self._latest[1]

    def __iter__(self) -> Iterator[K]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: object) -> bool:
        return key in self._offsets

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row with a new key."""
        key = self._key(self._value(dict(row)))
        assert key not in self._offsets
        self._offsets[key] = self._file.seek(0, os.SEEK_END)
        self._file.write(json_line(row))
        self._file.flush()
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Returns when all rows are on the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        if not self._read_only:
            self.sync()
        self._file.close()

    def _parse(self, line: bytes) -> V:
        return self._value(parse_json(line.decode("utf-8-sig")))

    def _index(self, number: int, line: bytes, offset: int) -> None:
        try:
            key = self._key(self._parse(line))
            if key in self._offsets and not self._read_only:
                raise ValueError("it appears twice")
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else error
            raise DataError(f"{self._path}:{number}: not a valid row ({reason}). {self._fix}") from None
        self._offsets[key] = offset
