"""Append-only files that grow together: after a kill they are cut back to what was last committed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warmup_rl.base.jsonl import json_line

_ROWS, _SECONDS = 64, 1.0
_PROGRESS = "progress.json"


class CheckpointedLog:
    """JSON lines files of one folder, with a state that always fits what they hold.

    Args:
        names: of the files; what a killed process wrote to them after its last commit is cut off.
        made_of: JSON value that stands for all that decides the files; where another one is found they begin anew.
    """

    def __init__(self, folder: Path, names: Sequence[str], made_of: Any) -> None:
        self._progress, self._made_of = folder / _PROGRESS, made_of
        saved = _saved(self._progress, [folder / name for name in names], made_of)
        self.state: dict[str, Any] | None = saved.get("state")
        """What was committed last; None for a new ledger."""
        self._files = {name: (folder / name).open("ab") for name in names}
        for name, file in self._files.items():
            file.truncate(saved.get("sizes", {}).get(name, 0))
            file.seek(0, os.SEEK_END)
        self._open_rows, self._committed = 0, time.monotonic()

    def write(self, name: str, row: Any) -> None:
        """Appends a JSON value to a file."""
        self._files[name].write(json_line(row))

    def due(self, count: int) -> bool:
        """Whether it is time to commit, now that `count` items more are written: at once, but where items are fast."""
        self._open_rows += count
        return self._open_rows >= _ROWS or time.monotonic() - self._committed >= _SECONDS

    def commit(self, state: Mapping[str, Any]) -> None:
        """Makes what was written last, together with the state that belongs to it."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        sizes = {name: file.tell() for name, file in self._files.items()}
        record = {"made_of": self._made_of, "sizes": sizes, "state": state}
        part = self._progress.with_suffix(".part")
        part.write_bytes(json_line(record))
        part.replace(self._progress)
        self._open_rows, self._committed = 0, time.monotonic()

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def _saved(progress: Path, files: Sequence[Path], made_of: Any) -> dict[str, Any]:
    """The last commit; nothing where there is none, it is of another making, or a file holds less than it says."""
    try:
        saved: dict[str, Any] = json.loads(progress.read_bytes())
        whole = all(path.stat().st_size >= saved["sizes"][path.name] for path in files)
        return saved if whole and saved["made_of"] == made_of else {}
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        return {}
