"""Rows that every rank writes for itself and the main one puts together, without a collective that could time out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import append_jsonl, read_jsonl, write_jsonl
from warmup_rl.interfaces.stage import LaunchEnv

_POLL_SECONDS = 0.1


class RankFiles:
    """The part files `<name>.rank<r>.jsonl` of one output `<name>.jsonl`; each rank has its own object."""

    def __init__(self, path: Path, launch_env: LaunchEnv) -> None:
        self._path, self._world = path, launch_env
        self._part(launch_env.rank).unlink(missing_ok=True)
        self._mark(launch_env.rank).unlink(missing_ok=True)

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Adds rows to this rank's part; they are on disk when it returns."""
        append_jsonl(self._part(self._world.rank), rows)

    def close(self) -> None:
        """Says that this rank's part is complete."""
        append_jsonl(self._part(self._world.rank), [])
        self._mark(self._world.rank).touch()

    def merge(self, order: Callable[[dict[str, Any]], Any], *, patience: float = 600.0) -> int:
        """On the main process: waits for all parts, writes the rows in `order` into one file, removes the parts.

        Returns:
            the number of rows.

        Raises:
            RunError: a part is not complete after `patience` seconds (its process died, or sees another disk).
        """
        ranks = range(self._world.size)
        deadline = time.monotonic() + patience
        while missing := [rank for rank in ranks if not self._mark(rank).exists()]:
            if time.monotonic() > deadline:
                raise RunError(
                    f"{self._path}: the parts of ranks {missing} are not complete after {patience:.0f} s. All "
                    "processes must write to one disk; see their logs for an error."
                )
            time.sleep(_POLL_SECONDS)
        rows = sorted((row for rank in ranks for row in read_jsonl(self._part(rank))), key=order)
        count = write_jsonl(self._path, rows)
        for rank in ranks:
            self._part(rank).unlink()
            self._mark(rank).unlink()
        return count

    def _part(self, rank: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.rank{rank}.jsonl")

    def _mark(self, rank: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.rank{rank}.done")
