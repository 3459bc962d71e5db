"""Rows that each rank writes to its own file and the main one merges, without a collective that could time out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import append_jsonl, read_jsonl, write_jsonl

_POLL_SECONDS = 0.1


class RankFiles:
    """The files `<name>.rank<r>of<size>.jsonl`, merged into `<name>.jsonl` in the order of their rows' places.

    Each rank has its own object.
    """

    def __init__(self, path: Path, *, rank: int, size: int, resume: bool = False) -> None:
        self._path, self._rank, self._size = path, rank, size
        self._marker(rank).unlink(missing_ok=True)
        if not resume:
            self._file(rank).unlink(missing_ok=True)

    def done(self) -> set[tuple[int, ...]]:
        """Places of the rows that an earlier run of this rank, in a launch of the same size, has left."""
        append_jsonl(self._file(self._rank), [])
        return {tuple(row["place"]) for row in read_jsonl(self._file(self._rank))}

    def append(self, rows: Iterable[tuple[Sequence[int], dict[str, Any]]]) -> None:
        """Adds rows, each with its place among those of all ranks; they are on disk when it returns."""
        append_jsonl(self._file(self._rank), ({"place": place, "row": row} for place, row in rows))

    def close(self) -> None:
        """Marks this rank's file as complete."""
        append_jsonl(self._file(self._rank), [])
        self._marker(self._rank).touch()

    def merge(self, into: Path | None = None, *, timeout: float = 600.0) -> None:
        """On the main process: waits for all ranks and writes their rows into one file.

        Args:
            into: a file in place of `<name>.jsonl`, after which the files of the ranks are not removed.

        Raises:
            RunError: a rank's file is not complete after `timeout` seconds (its process died, or sees another disk).
        """
        ranks = range(self._size)
        deadline = time.monotonic() + timeout
        while missing := [rank for rank in ranks if not self._marker(rank).exists()]:
            if time.monotonic() > deadline:
                raise RunError(
                    f"{self._path}: the files of ranks {missing} are not complete after {timeout:.0f} s. All "
                    "processes must write to the same disk; see their logs for an error."
                )
            time.sleep(_POLL_SECONDS)
        rows = sorted((row for rank in ranks for row in read_jsonl(self._file(rank))), key=itemgetter("place"))
        write_jsonl(into or self._path, map(itemgetter("row"), rows))
        if into is None:
            for path in self._path.parent.glob(f"{self._path.stem}.rank*of*"):  # those of launches of another size too
                path.unlink()

    def _file(self, rank: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.rank{rank}of{self._size}.jsonl")

    def _marker(self, rank: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.rank{rank}of{self._size}.done")
