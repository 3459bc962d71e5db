"""The problems of a traces file, read when asked for: only their places are held in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from warmup_rl.base.errors import DataError
from warmup_rl.base.types import Problem


class ProblemFile(Mapping[str, Problem]):
    """Problems by id, in the order of the file.

    Raises:
        DataError: the file is missing, or a row is no problem; the message names file and line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        if not path.is_file():
            raise DataError(
                f"{path}: no such file. It holds the problems of the traces beside it; run the stage that "
                "made both again."
            )
        self._file = path.open("rb")
        self._last: Problem | None = None
        place = 0
        for number, line in enumerate(self._file, start=1):
            if line.strip():
                self._places[self._read(line, number).id] = place
            place += len(line)

    def __getitem__(self, problem_id: str) -> Problem:
        if self._last is None or self._last.id != problem_id:
            self._file.seek(self._places[problem_id])
            self._last = self._read(self._file.readline(), 0)
        return self._last

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, problem_id: object) -> bool:
        return problem_id in self._places

    def close(self) -> None:
        self._file.close()

    def _read(self, line: bytes, number: int) -> Problem:
        try:
            return Problem(**json.loads(line.decode("utf-8-sig")))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{self._path}:{number}: no problem ({error}). Mend the line, or run the stage that made it again."
            ) from None
