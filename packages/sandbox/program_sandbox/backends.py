"""The backends: what each needs of the machine, and how each starts an interpreter."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from program_sandbox.allowed_paths import (
    PackageMissing,
    bwrap_arguments,
    interpreter,
    landlock_rules,
    package_folders,
    walkable,
)
from program_sandbox.child import BOOT
from program_sandbox.seccomp import filter_program

NOBODY = 65534
UNSAFE = "unsafe_subprocess"
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # a program that walks through a set does the same on every run
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",  # numpy: there are no threads
    "OMP_NUM_THREADS": "1",
}
_INSTALL = "apt-get install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora, RHEL)"


class BackendMissing(Exception):
    """This backend is not available here; the message says why, and `fix` how to get it."""

    def __init__(self, why: str, fix: str = "") -> None:
        super().__init__(why)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to start the child.

    Attributes:
        name: `bwrap`, `landlock` or `unsafe_subprocess`.
        how: how the program is isolated, in words.
        wrapper: the command that isolates the interpreter before it starts; empty where the child isolates itself.
        confine: what the child is told to give up (`child.confine`).
    """

    name: str
    how: str
    wrapper: tuple[str, ...]
    confine: dict[str, Any]

    def command(self, *descriptors: int) -> list[str]:
        """Command line of a child that is given these descriptors."""
        python = [interpreter(), "-sPSB", "-X", "utf8", "-c", BOOT]
        return [*self.wrapper, *python, *map(str, descriptors), _process(os.getpid())]


def bwrap_backends(packages: Sequence[str]) -> Iterator[Backend]:
    """Bubblewrap, in the ways to try. As root first without a user namespace, so that the child really becomes another
    user; then, and for other users only, with one.

    Raises:
        BackendMissing: bubblewrap or a named package is not installed, or there is no filter for this machine.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise BackendMissing("bubblewrap is not installed", _INSTALL)
    known = subprocess.run([found, "--help"], capture_output=True, text=True, check=False).stdout
    if "--perms" not in known:
        raise BackendMissing("this bubblewrap does not run or is older than 0.5", _INSTALL)
    _end_orphans()
    confine = _confine(packages)
    walls = ["--die-with-parent", "--new-session", "--cap-drop", "ALL", *bwrap_arguments(packages)]
    spaces = [f"--unshare-{space}" for space in ("pid", "net", "ipc", "uts", "cgroup-try")]
    if os.geteuid() == 0:
        real = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        how = "bubblewrap namespaces, another user, system call filter"
        yield Backend("bwrap", how, (found, *spaces, *walls, *real), {**confine, "user": NOBODY})
    mapped = ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    mapped += ["--disable-userns"] if "--disable-userns" in known else []
    how = "bubblewrap namespaces with a user namespace, system call filter"
    yield Backend("bwrap", how, (found, *spaces, *mapped, *walls), confine)


def landlock_backends(packages: Sequence[str]) -> Iterator[Backend]:
    """Landlock, for machines without user namespaces. As root first with a change of user, which not every root may do.

    Raises:
        BackendMissing: the kernel has no Landlock, a named package is not installed, or there is no filter for this
            machine.
    """
    version = landlock_version()
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = files.to_bytes(8, sys.byteorder)
    attributes += (3).to_bytes(8, sys.byteorder) if version >= 4 else b""  # no TCP port to bind or to connect to
    attributes += (3).to_bytes(8, sys.byteorder) if version >= 6 else b""  # no abstract socket, no signal outside
    confine = _confine(packages)
    rules = landlock_rules(packages)
    confine["landlock"] = (attributes, rules)
    if os.geteuid() == 0:
        pin = not walkable([path for path, _ in rules])
        how = f"Landlock {version}, another user, system call filter"
        yield Backend("landlock", how, (), {**confine, "user": NOBODY, "pin": pin})
    yield Backend("landlock", f"Landlock {version}, system call filter", (), confine)


def unsafe_backends(packages: Sequence[str]) -> Iterator[Backend]:
    """No isolation, only limits on time and memory. Raises `BackendMissing` where a named package is not installed."""
    yield Backend(UNSAFE, "NOTHING keeps the program in", (), _confine(packages, walls=False))


def landlock_version() -> int:
    """The kernel's Landlock ABI. Raises `BackendMissing` where it is absent or switched off."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(444, None, ctypes.c_size_t(0), 1)
    if version >= 1:
        return int(version)
    if ctypes.get_errno() == errno.EOPNOTSUPP:
        raise BackendMissing("Landlock is switched off", "add landlock to the kernel's lsm= boot option")
    if ctypes.get_errno() == errno.ENOSYS:
        raise BackendMissing(f"kernel {platform.release()} has no Landlock", "Linux 5.13 or later, built with Landlock")
    raise BackendMissing("Landlock is forbidden here", "a container runtime of 2023 or later lets it through")


def _end_orphans() -> None:
    """Ends wrappers of callers that have ended: one that was killed in the first milliseconds of a program leaves some.

    The last argument of a child's command names its caller.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            words = (folder / "cmdline").read_text().split("\0")
            if BOOT in words:
                space, process, _ = words[-2].split()
                if space == _process(os.getpid()).split()[0] and _process(int(process)) != words[-2]:
                    os.kill(int(folder.name), signal.SIGKILL)


def _process(number: int) -> str:
    """A process for good: namespace, number, and start time in clock ticks; empty where it has ended."""
    try:
        space = os.readlink("/proc/self/ns/pid")
        return f"{space} {number} {Path(f'/proc/{number}/stat').read_text().rpartition(')')[2].split()[19]}"
    except OSError:
        return ""


def _confine(packages: Sequence[str], walls: bool = True) -> dict[str, Any]:
    try:
        folders = package_folders(packages)
        seccomp = filter_program() if walls else None
    except PackageMissing as error:
        raise BackendMissing(f"the package {error} is not installed", f"pip install {error}") from None
    except LookupError as error:
        raise BackendMissing(str(error), "x86_64 and aarch64 have one") from None
    return {"packages": folders, "pin": False, "landlock": None, "user": None, "seccomp": seccomp}
