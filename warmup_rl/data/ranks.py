"""Rows that the ranks of a launch make side by side: each writes its own files, and the main one puts them together,
without a collective that could time out."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import RunError
from warmup_rl.base.jsonl import append_jsonl, read_jsonl, write_jsonl

_POLL_SECONDS = 0.1
_DONE = ".done"
_PATIENCE = 3600.0
"""Seconds without a new row after which a rank counts as lost; loading a large model and a first batch take less."""


class RankFiles:
    """The files `<name>.rank<r>of<size>.jsonl`, merged into `<name>.jsonl` in the order of their rows' places.

    Each rank has its own object.
    """

    def __init__(self, path: Path, *, rank: int, size: int, resume: bool = False) -> None:
        self._path, self._rank, self._size = path, rank, size
        self._marker(rank).unlink(missing_ok=True)
        if not resume:
            for left in (self._file(rank), *(self._of_other_sizes() if rank == 0 else ())):
                left.unlink(missing_ok=True)

    def done(self) -> set[tuple[int, ...]]:
        """Places of the rows that an earlier run has left: this rank's, and those of launches of another size."""
        files = [self._file(self._rank), *self._of_other_sizes()]
        for path in files:
            append_jsonl(path, [])
        return {tuple(row["place"]) for path in files for row in read_jsonl(path)}

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
            timeout: seconds without a new row after which a rank counts as lost: a `RunError`.
        """
        own = {self._marker(rank): self._file(rank) for rank in range(self._size)}
        _await(own, timeout)
        files = [*own.values(), *self._of_other_sizes()]
        rows = sorted((row for path in files for row in read_jsonl(path)), key=itemgetter("place"))
        write_jsonl(into or self._path, map(itemgetter("row"), rows))
        if into is None:
            for path in self._path.parent.glob(f"{self._path.stem}.rank*of*"):
                path.unlink()

    def _of_other_sizes(self) -> list[Path]:
        """The files that launches with another number of ranks have left."""
        left = self._path.parent.glob(f"{self._path.stem}.rank*of*.jsonl")
        return [path for path in left if not path.stem.endswith(f"of{self._size}")]

    def _file(self, rank: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.rank{rank}of{self._size}.jsonl")

    def _marker(self, rank: int) -> Path:
        return self._file(rank).with_suffix(".done")


class RankFolder:
    """The folder `rank-<rank>of<size>` of this rank, which begins with the rows that earlier runs have left."""

    def __init__(self, folder: Path, *, rank: int, size: int) -> None:
        self._folder, self._size = folder, size
        self.path = self._of(rank)
        self.path.mkdir(exist_ok=True)
        for file in folder.glob("*.jsonl"):
            shutil.copyfile(file, self.path / file.name)

    def close(self) -> None:
        """Tells the main process that all rows of this rank are written."""
        (self.path / _DONE).touch()

    def gather(self, meanwhile: Callable[[], None]) -> None:
        """On the main process: waits for all ranks and adds their rows to those in the folder; meanwhile calls a
        function, which may raise. Raises `RunError` if one has written nothing for an hour."""
        parts = map(self._of, range(self._size))
        _await({part / _DONE: part for part in parts}, _PATIENCE, meanwhile)
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


def await_main(made: Path, meanwhile: Callable[[], None]) -> None:
    """For ranks other than the main one: returns when that has made a file; meanwhile calls a function, which may
    raise. Raises `RunError` if nothing was written to the file's folder for an hour."""
    _await({made: made.parent}, _PATIENCE, meanwhile)


def _await(parts: Mapping[Path, Path], patience: float, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Returns when all marks (the keys) exist. Raises `RunError` where what one stands for, a file or a folder, has not
    changed for so many seconds: its process died, or sees another disk."""
    began = time.time()
    for mark, part in parts.items():
        deadline = began + patience
        while not mark.exists():
            if time.time() > deadline:
                deadline = max(began, _last_change(part)) + patience
                if time.time() > deadline:
                    raise RunError(
                        f"{part}: nothing was written for {patience:.0f} s. All processes must write to the same disk; "
                        "see their logs for an error."
                    )
            meanwhile()
            time.sleep(_POLL_SECONDS)


def _last_change(part: Path) -> float:
    """Seconds since the epoch at which a file, or anything in a folder, was last changed; 0 if there is none."""
    try:
        return max((path.stat().st_mtime for path in (part, *part.rglob("*")) if path.exists()), default=0.0)
    except FileNotFoundError:  # one was removed just now
        return time.time()
