"""What a teacher completed, on disk: each (problem, sample) pair once, safe against a kill at any point."""

from __future__ import annotations

import json
import os
import time
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import DataError
from warmup_rl.base.jsonl import append_jsonl, json_line

_SYNC_SECONDS = 1.0
_ABSENT = -1


class CompletionLog:
    """Rows of an append-only file by (problem, sample); in memory are only the places in the file, 8 bytes a pair.

    A row has been handed to the system when `add` returns, so a killed process loses none; it is synced to the disk at
    most a second later, or with the next row. A torn last line, of a kill or a power cut, is cut off on opening.

    Args:
        places: the place of each problem, by id.
        samples: completions a problem.

    Raises:
        DataError: the file holds a pair twice, or one that is not asked for.
    """

    def __init__(self, path: Path, places: Mapping[str, int], samples: int) -> None:
        self.path, self._places, self._samples = path, places, samples
        self._offsets = array("q", [_ABSENT]) * (len(places) * samples)
        self.count = 0
        append_jsonl(path, [])
        with path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                self._index(number, line, offset)
                offset += len(line)
        self._reader, self._writer, self._synced = path.open("rb"), path.open("ab"), time.monotonic()

    def __contains__(self, pair: tuple[str, int]) -> bool:
        return self._offsets[self._slot(*pair)] != _ABSENT

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row that names its `problem_id` and `sample`."""
        slot = self._slot(row["problem_id"], row["sample"])
        assert self._offsets[slot] == _ABSENT
        self._offsets[slot] = self._writer.tell()
        self._writer.write(json_line(row))
        self._writer.flush()
        self.count += 1
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            self.sync()

    def row(self, problem_id: str, sample: int) -> dict[str, Any] | None:
        """The row of a pair; None where it is not there yet."""
        offset = self._offsets[self._slot(problem_id, sample)]
        if offset == _ABSENT:
            return None
        self._reader.seek(offset)
        row: dict[str, Any] = json.loads(self._reader.readline())
        return row

    def sync(self) -> None:
        """Returns when all rows are on the disk."""
        os.fsync(self._writer.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        self.sync()
        self._writer.close()
        self._reader.close()

    def _slot(self, problem_id: str, sample: int) -> int:
        return self._places[problem_id] * self._samples + sample

    def _index(self, number: int, line: bytes, offset: int) -> None:
        try:
            row = json.loads(line)
            problem_id, sample = row["problem_id"], row["sample"]
            known = problem_id in self._places and 0 <= sample < self._samples
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{self.path}:{number}: no completion. Remove the line, or delete the folder.") from None
        if not known or (problem_id, sample) in self:
            what = f"sample {sample} of problem {problem_id} " + ("stands there twice" if known else "is not asked for")
            raise DataError(f"{self.path}:{number}: {what}. Delete {self.path.parent} and run the stage again.")
        self._offsets[self._slot(problem_id, sample)] = offset
        self.count += 1
