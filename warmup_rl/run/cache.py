"""The cache: each stage output once, in a folder named by a hash of its settings, inputs and code."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

import psutil
from typing_extensions import TypedDict

from warmup_rl.base.config import ADAPTER_FILE
from warmup_rl.base.errors import DataError, RunError
from warmup_rl.base.files import damage, files_in, fingerprints, share, sync, sync_files
from warmup_rl.base.jsonl import read_json, write_json
from warmup_rl.base.models import base_of
from warmup_rl.base.untrusted import shaped
from warmup_rl.data.datasets import file_digest
from warmup_rl.interfaces.measurement import Cell, recorded_cells
from warmup_rl.interfaces.stage import SCRATCH
from warmup_rl.recipe.schema import CACHE_FOLDER


class _File(TypedDict):
    size: int
    sha256: str


class _Record(TypedDict):
    """The parts of a stage's record that are read."""

    summary: NotRequired[_Summary]
    config: NotRequired[dict[str, Any]]
    inputs: NotRequired[dict[str, str]]
    data: NotRequired[dict[str, str]]
    versions: NotRequired[dict[str, str]]
    seconds: NotRequired[float]
    files: NotRequired[dict[str, _File]]


class _Summary(TypedDict):
    cells: NotRequired[list[dict[str, Any]]]


RECORD = "stage.json"
POLL_SECONDS = 0.2
"""Interval at which ranks look for files of another rank. They do not wait in a collective, which could time out."""
_VERIFIED: set[tuple[Path, str]] = set()
"""Outputs whose files this process has compared with their record."""
CARD = "README.md"
"""File of a model folder that is written again with the results of later stages."""
_NOT_RECORDED = (SCRATCH, RECORD)


@dataclass(frozen=True)
class CacheEntry:
    """The place of one stage output: `folder`, which exists only when finished, and `part`, in which it is made."""

    folder: Path

    @property
    def part(self) -> Path:
        return self.folder.with_name(self.folder.name + ".part")

    @property
    def done(self) -> bool:
        return (self.folder / RECORD).is_file()

    def record(self) -> dict[str, Any]:
        """The stage record of a finished output. Raises `DataError` where it is broken or was edited."""
        path = self.folder / RECORD
        record = read_json(path, delete=self.folder)
        digest = record.pop("digest", None)
        if digest not in (None, key_of(record)):  # records of earlier versions have none
            raise DataError(
                f"{path} was changed after it was written. Delete the folder {self.folder} and run the recipe again."
            )
        shaped(_Record, record, path, f"Delete the folder {self.folder} and run the recipe again.")
        recorded_cells({"summary": {}, **record}, path)
        return record

    def cells(self) -> list[Cell]:
        """The measurements of a finished evaluation; none for other stages."""
        return recorded_cells(self.record(), self.folder / RECORD)

    def locked(self, waiting: Callable[[str], None]) -> AbstractContextManager[None]:
        """Holds the right to make this output; calls `waiting` once with the pid if another process holds it."""
        return _lock(self.folder.with_name(f"{self.folder.name}.lock"), waiting)

    def open_part(self, recover: Callable[[Path], None], *, launch: str) -> None:
        """Creates the working folder, or lets `recover` prepare what an earlier run has left in it, and signals the
        other ranks of `launch` that work begins."""
        if self.part.exists():
            recover(self.part)
        self.part.mkdir(parents=True, exist_ok=True)
        (self.part / ".launch").write_text(launch, encoding="utf-8")

    def finish(self, record: Mapping[str, Any]) -> None:
        """Moves the output to `folder`, with `record`, its digest, and the size and SHA-256 of every file.

        A folder without a record is replaced. All files are synced to disk first, so that a power loss leaves the whole
        output or none. Checkpoints are deleted last, since a kill may come at any time.
        """
        (self.part / ".launch").unlink(missing_ok=True)
        names = [name for name in files_in(self.part, leave_out=_NOT_RECORDED) if Path(name).name != CARD]
        files = fingerprints(self.part, names)
        content = json.loads(json.dumps({**record, "files": files}))  # as it is when it is read
        text = json.dumps({**content, "digest": key_of(content)}, indent=2) + "\n"
        (self.part / RECORD).write_text(text, encoding="utf-8")
        share(self.part)
        sync_files(self.part, (*files, RECORD))
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.part.replace(self.folder)
        sync(self.folder.parent)
        shutil.rmtree(self.folder / SCRATCH, ignore_errors=True)

    def damage(self, within: str = "") -> list[str]:
        """What is wrong with the stored files, or those within a file or folder of the output, one line each."""
        recorded: dict[str, dict[str, Any]] = self.record().get("files", {})
        wanted = {name: found for name, found in recorded.items() if not within or Path(name).is_relative_to(within)}
        return list(damage(self.folder, wanted))

    def require_whole(self, within: str) -> None:
        """Raises `RunError` if a file or folder of the output has changed; checks once per process."""
        key = (self.folder.resolve(), within)
        if key in _VERIFIED:
            return
        if lines := self.damage(within):
            raise RunError(
                "\n".join([*lines, f"To make the output again, delete {self.folder} and run the same command."])
            )
        _VERIFIED.add(key)

    def await_start(self, launch: str, meanwhile: Callable[[], None]) -> bool:
        """For ranks other than the main one: True when this launch begins to make the output, False when it is done;
        meanwhile calls a function, which may raise."""
        marker = self.part / ".launch"
        while True:
            if self.done:
                return False
            try:
                if marker.read_text(encoding="utf-8") == launch:
                    return True
            except FileNotFoundError:
                pass
            meanwhile()
            time.sleep(POLL_SECONDS)

    def await_done(self, meanwhile: Callable[[], None]) -> None:
        """For ranks other than the main one: returns when the output is finished."""
        while not self.done:
            meanwhile()
            time.sleep(POLL_SECONDS)


def key_of(content: Any) -> str:
    """A key of 12 hex digits for JSON-ready content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def note_of(output_dir: Path, kind: str, *decided_by: Any) -> Path:
    """The file in the cache that says what was found out once; of another name as soon as what decides it is another.
    `decided_by` is JSON-ready."""
    return output_dir / CACHE_FOLDER / kind / f"{key_of(decided_by)}.json"


def keep_note(note: Path | None, found: Any) -> None:
    if note is not None:
        with suppress(OSError):  # where the folder cannot be written, the run says so later
            note.parent.mkdir(parents=True, exist_ok=True)
            write_json(note, found)


def stale_key(cache: Path, type: str, key: str) -> str:
    """The key `SETTINGS-CODE` itself if its output exists, otherwise that of the newest output with equal settings."""
    if (cache / f"{type}-{key}" / RECORD).is_file():
        return key
    settings = key.partition("-")[0]
    others = [path.parent for path in cache.glob(f"{type}-{settings}-*/{RECORD}")]
    newest = max(others, key=lambda folder: str(CacheEntry(folder).record().get("finished_at")), default=None)
    return newest.name.removeprefix(f"{type}-") if newest else key


def model_key(model: str, revision: str | None) -> str:
    """The key of a model that the recipe starts from: the contents of a folder, or hub id and revision."""
    folder = Path(model)
    if not folder.is_dir():
        return key_of(["hub", model, revision])
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != CARD:
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(file_digest(path).encode())
    if (folder / ADAPTER_FILE).is_file():
        digest.update(model_key(*base_of(folder)).encode())
    return digest.hexdigest()[:12]


def sole_process(folder: Path) -> AbstractContextManager[None]:
    """Holds a folder for this process. Raises `RunError` if another process holds it."""

    def refuse(holder: str) -> None:
        raise RunError(
            f"{folder}: another process{holder} runs this arm and seed. Wait for it, end it, or choose another "
            "run_name."
        )

    return _lock(folder / ".lock", refuse)


def lost_process(folder: Path) -> int | None:
    """The pid of the process that held a folder and was killed; None where it lives, or is on another machine."""
    with suppress(OSError, ValueError):
        pid, _, host = (folder / ".lock.pid").read_text(encoding="utf-8").partition(" on ")
        if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
            return int(pid)
    return None


@contextmanager
def _lock(path: Path, taken: Callable[[str], None]) -> Iterator[None]:
    """Holds a lock file. If another process holds it, calls `taken`, which may raise, with its pid, and waits."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(path), path.with_suffix(".pid")  # the lock file itself is emptied by who tries to lock it
    try:
        lock.acquire(timeout=0)
    except Timeout:
        taken(f" (pid {owner.read_text()})" if owner.is_file() else "")
        lock.acquire()
    owner.write_text(f"{os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    try:
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
