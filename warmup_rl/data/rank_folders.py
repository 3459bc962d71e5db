"""Folders in which the ranks of a launch each make a part of a stage's rows, as one process would make all."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import append_jsonl

_DONE = ".done"
_PATIENCE = 3600.0
"""Seconds without a new row after which a rank counts as lost; loading a large model and a first batch take less."""


class RankFolder:
    """The folder `rank-<rank>of<size>` of this rank, which begins with the rows that earlier runs have left."""

    def __init__(self, folder: Path, *, rank: int, size: int, poll_seconds: float = 0.1) -> None:
        self._folder, self._size, self._poll = folder, size, poll_seconds
        self.path = self._of(rank)
        self.path.mkdir(exist_ok=True)
        for file in folder.glob("*.jsonl"):
            shutil.copyfile(file, self.path / file.name)

    def close(self) -> None:
        """Tells the main process that all rows of this rank are written."""
        (self.path / _DONE).touch()

    def gather(self) -> None:
        """On the main process: waits for all ranks and adds their rows to those in the stage's folder.

        Raises:
            RunError: a rank has written nothing for an hour (its process died, or sees another disk).
        """
        for rank in range(self._size):
            while not (self._of(rank) / _DONE).exists():
                if time.time() - _last_change(self._of(rank), self.path) > _PATIENCE:
                    raise RunError(
                        f"{self._of(rank)}: nothing was written for {_PATIENCE:.0f} s. All processes must write to the "
                        "same disk; see their logs for an error."
                    )
                time.sleep(self._poll)
        gather(self._folder)

    def _of(self, rank: int) -> Path:
        return self._folder / f"rank-{rank}of{self._size}"


def gather(folder: Path) -> None:
    """Adds the rows that ranks have made to the files of the same name, each row once, and removes their folders; on
    one process only. A kill at any point loses nothing."""
    folders = sorted(folder.glob("rank-*of*/"))
    for name in sorted({file.name for one in folders for file in one.glob("*.jsonl")}):
        append_jsonl(folder / name, [])  # cuts off an incomplete last line
        known = {_digest(line) for line in (folder / name).open("rb")}
        with (folder / name).open("ab") as whole:
            for part in (one / name for one in folders if (one / name).exists()):
                append_jsonl(part, [])
                for line in part.open("rb"):
                    if _digest(line) not in known:
                        known.add(_digest(line))
                        whole.write(line)
        append_jsonl(folder / name, [])  # syncs
    for one in folders:
        shutil.rmtree(one)


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()


def _last_change(folder: Path, fallback: Path) -> float:
    found = folder if folder.exists() else fallback
    return max(path.stat().st_mtime for path in (found, *found.iterdir()))
