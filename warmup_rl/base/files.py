"""Folders that must be whole after a kill or a power loss: fingerprints of their files, and syncing them to disk."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warmup_rl.base.errors import UserError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
"""Codes of system errors where there is no room."""


def files_in(folder: Path, *, leave_out: Collection[str] = ()) -> list[str]:
    """All files below a folder, as sorted relative paths; without those whose first part is in `leave_out`."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [str(path) for path in paths if path.parts[0] not in leave_out]


def fingerprints(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of files, by name."""
    names = list(names)
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter lock
        return dict(zip(names, pool.map(lambda name: _fingerprint(folder / name), names), strict=True))


def damage(folder: Path, recorded: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with files whose fingerprints were recorded, one line each; nothing if none has changed."""
    for name, fingerprint in recorded.items():
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing"
        elif (size := path.stat().st_size) != fingerprint["size"]:
            yield f"{path} has {size:,} bytes, {fingerprint['size']:,} were written"
        elif _fingerprint(path) != fingerprint:
            yield f"{path} was changed after it was written (its SHA-256 differs)"


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A temporary path, one for each process, that becomes `path` at the end: readers never see a partial file. Raises
    `UserError` where no file can be made; an `OSError` of a full disk names the path."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if path.is_dir():
            raise IsADirectoryError
        part.touch()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        why = "no file can be made there" if path.parent.is_dir() else f"there is no folder {path.parent}"
        why = "a folder stands there" if isinstance(error, IsADirectoryError) else why
        raise UserError(f"{path}: the file cannot be written: {why}. Give another name.") from None
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if error.errno in DISK_FULL and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(existing(folder)).free


def real(path: Path) -> Path:
    """The path without links. Unlike `Path.resolve`, which raises `RuntimeError` then, it lets links in a loop be."""
    return Path(os.path.realpath(path.expanduser()))


def share(folder: Path) -> None:
    """Lets others read the files below a folder as far as the umask allows it; some libraries write for one user."""
    os.umask(mask := os.umask(0))
    for path in (folder, *folder.rglob("*")):
        allowed = (0o777 if path.is_dir() else 0o666) & ~mask
        if not path.is_symlink() and (mode := path.stat().st_mode) | allowed != mode:
            path.chmod(mode | allowed)


def sync_files(folder: Path, names: Iterable[str]) -> None:
    """Returns when files and the folders that they are in have reached the disk."""
    paths = [folder / name for name in names]
    for path in (*paths, *{path.parent for path in paths}):
        sync(path)


def sync(path: Path) -> None:
    """Returns when a file or the list of files in a folder has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
