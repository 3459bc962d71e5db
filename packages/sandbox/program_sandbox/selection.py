"""Selects the backend: the first in the fallback order that passes its self-test on this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from program_sandbox.backends import UNSAFE, Backend, BackendMissing, bwrap_backends, landlock_backends, unsafe_backends
from program_sandbox.errors import SandboxError, SandboxUnavailable
from program_sandbox.sandbox import Sandbox
from program_sandbox.selftest import faults

BackendName = Literal["auto", "bwrap", "landlock", "unsafe_subprocess"]
FALLBACK_ORDER: tuple[BackendName, ...] = ("bwrap", "landlock")
"""Backends that `auto` tries, strongest first."""
UNSAFE_VARIABLE = "WARMUP_RL_UNSAFE_SANDBOX"
_MAKERS: dict[BackendName, Callable[[Sequence[str]], Iterator[Backend]]] = {
    "bwrap": bwrap_backends,
    "landlock": landlock_backends,
    "unsafe_subprocess": unsafe_backends,
}
APPARMOR_PROFILE = """
Ubuntu forbids user namespaces to programs without a profile. As root, write to /etc/apparmor.d/bwrap:

    abi <abi/4.0>,
    include <tunables/global>
    profile bwrap /usr/bin/bwrap flags=(unconfined) {
      userns,
      include if exists <local/bwrap>
    }

and then run: systemctl reload apparmor
"""
"""How to let bubblewrap make user namespaces where AppArmor forbids it."""
_BANNER = "!! NO SANDBOX: programs of a model run with your rights: files, network, keys"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """What the self-test of a backend found on this machine.

    Attributes:
        name: which backend was tried.
        backend: the backend, ready to use; None where it does not work here.
        why: why it does not work.
        fix: how to make it work; empty where no way is known.
    """

    name: BackendName
    backend: Backend | None
    why: str = ""
    fix: str = ""


def open_sandbox(backend: BackendName = "auto", packages: Sequence[str] = ()) -> Sandbox:
    """The strongest sandbox that works on this machine. Each backend is tested once per process.

    Args:
        backend: `auto` (bwrap, else landlock), one of these two, or `unsafe_subprocess`, which isolates nothing and
            needs the environment variable WARMUP_RL_UNSAFE_SANDBOX=1 as well.
        packages: installed packages that programs may import beside the standard library, e.g. `numpy`.

    Raises:
        SandboxError: no backend works; the message says why, for each, and what to do.
    """
    if backend not in get_args(BackendName):
        raise SandboxError(f"sandbox: unknown backend (got {backend!r}). Allowed: {', '.join(get_args(BackendName))}.")
    if backend == UNSAFE:
        return _unsafe(packages)
    probes = []
    for name in FALLBACK_ORDER if backend == "auto" else (backend,):
        found = probe(name, tuple(packages))
        if found.backend is not None:
            _log.info("sandbox: %s (%s)", found.backend.name, found.backend.how)
            return Sandbox(found.backend)
        probes.append(found)
    reasons = [f"  {found.name}: {found.why}{f'. To fix: {found.fix}' if found.fix else ''}" for found in probes]
    message = "no sandbox works on this machine, and programs of a model are not run without one:"
    raise SandboxError("\n".join([message, *reasons]))


@lru_cache
def probe(name: BackendName, packages: tuple[str, ...] = ()) -> Probe:
    """Runs the self-test of one backend, for each way to start it, until one passes. The result is cached."""
    whys: list[str] = []
    try:
        for backend in _MAKERS[name](packages):
            found = _faults(backend)
            if not found:
                return Probe(name, backend)
            whys.append(found)
    except BackendMissing as missing:
        return Probe(name, None, str(missing), missing.fix)
    return Probe(name, None, "; ".join(dict.fromkeys(whys)), _fix(name))


def _faults(backend: Backend) -> str:
    try:
        return "; ".join(faults(Sandbox(backend)))
    except SandboxUnavailable as failure:
        return str(failure).partition("failed twice: ")[2].removeprefix("ended before it was ready: ")


def _unsafe(packages: Sequence[str]) -> Sandbox:
    if os.environ.get(UNSAFE_VARIABLE) != "1":
        message = f"sandbox: {UNSAFE} runs what a model wrote with all your rights: files, network, keys."
        raise SandboxError(f"{message} If this machine may be lost, say so again: set {UNSAFE_VARIABLE}=1.")
    print(f"{'!' * 72}\n{_BANNER}\n{'!' * 72}", file=sys.stderr, flush=True)
    return Sandbox(next(unsafe_backends(packages)))


def _fix(name: BackendName) -> str:
    """How to make a backend work that is installed but fails its self-test."""
    if name == "bwrap" and _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "AppArmor forbids user namespaces: give bwrap a profile (program_sandbox.APPARMOR_PROFILE shows how)"
    if name == "bwrap" and _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "sysctl kernel.unprivileged_userns_clone=1"
    if name == "bwrap" and _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "sysctl user.max_user_namespaces=10000"
    if name == "bwrap":
        return "in a container, let it make namespaces (docker run --security-opt seccomp=unconfined)"
    return ""


def _setting(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
