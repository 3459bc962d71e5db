"""Opens a sandbox: tries the rungs of the ladder from the top, and believes none before its self-test."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from warmup_rl.base.errors import Unscorable
from warmup_rl.sandbox.program import SandboxError
from warmup_rl.sandbox.rungs import UNSAFE, Rung, RungMissing, bwrap_rungs, landlock_rungs, unsafe_rungs
from warmup_rl.sandbox.selftest import faults
from warmup_rl.sandbox.supervise import Sandbox

Kind = Literal["auto", "bwrap", "landlock", "unsafe_subprocess"]
LADDER: tuple[Kind, ...] = ("bwrap", "landlock")
UNSAFE_VARIABLE = "WARMUP_RL_UNSAFE_SANDBOX"
_MAKERS: dict[Kind, Callable[[Sequence[str]], Iterator[Rung]]] = {
    "bwrap": bwrap_rungs,
    "landlock": landlock_rungs,
    "unsafe_subprocess": unsafe_rungs,
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
_BANNER = "!! NO SANDBOX: programs of a model run with your rights: files, network, keys"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a rung's self-test found on this machine: the rung, or why there is none and how to get it."""

    kind: Kind
    rung: Rung | None
    why: str = ""
    mend: str = ""


def open_sandbox(kind: Kind = "auto", packages: Sequence[str] = ()) -> Sandbox:
    """The best sandbox that works on this machine; each rung is tested once a process.

    Args:
        kind: `auto` (bwrap, else landlock), one of the two, or `unsafe_subprocess`, which keeps nothing in and is had
            only with the environment variable WARMUP_RL_UNSAFE_SANDBOX=1.
        packages: installed packages that programs may import beside the standard library, e.g. `numpy`.

    Raises:
        SandboxError: no rung works; the message says why, for each, and what to do.
    """
    if kind not in get_args(Kind):
        raise SandboxError(f"sandbox: unknown kind (got {kind!r}). Allowed: {', '.join(get_args(Kind))}.")
    if kind == UNSAFE:
        return _unsafe(packages)
    probes = []
    for rung in LADDER if kind == "auto" else (kind,):
        found = probe(rung, tuple(packages))
        if found.rung is not None:
            _log.info("sandbox: %s (%s)", found.rung.name, found.rung.how)
            return Sandbox(found.rung)
        probes.append(found)
    reasons = [f"  {found.kind}: {found.why}{f'. To mend: {found.mend}' if found.mend else ''}" for found in probes]
    message = "no sandbox works on this machine, and programs of a model are not run without one:"
    raise SandboxError("\n".join([message, *reasons, "See `python -m warmup_rl doctor`."]))


@lru_cache
def probe(kind: Kind, packages: tuple[str, ...] = ()) -> Probe:
    """Tries one rung, in each of its ways, by its self-test."""
    whys: list[str] = []
    try:
        for rung in _MAKERS[kind](packages):
            found = _faults(rung)
            if not found:
                return Probe(kind, rung)
            whys.append(found)
    except RungMissing as missing:
        return Probe(kind, None, str(missing), missing.mend)
    return Probe(kind, None, "; ".join(dict.fromkeys(whys)), _mend(kind))


def _faults(rung: Rung) -> str:
    try:
        return "; ".join(faults(Sandbox(rung)))
    except Unscorable as failure:
        return str(failure).partition("failed twice: ")[2].removeprefix("ended before it was ready: ")


def _unsafe(packages: Sequence[str]) -> Sandbox:
    if os.environ.get(UNSAFE_VARIABLE) != "1":
        message = f"sandbox: {UNSAFE} runs what a model wrote with all your rights: files, network, keys."
        raise SandboxError(f"{message} If this machine may be lost, say so again: set {UNSAFE_VARIABLE}=1.")
    print(f"{'!' * 72}\n{_BANNER}\n{'!' * 72}", file=sys.stderr, flush=True)
    return Sandbox(next(unsafe_rungs(packages)))


def _mend(kind: Kind) -> str:
    """How to let a rung work that is installed but fails its self-test."""
    if kind == "bwrap" and _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "AppArmor forbids user namespaces: give bwrap a profile (`python -m warmup_rl doctor` prints it)"
    if kind == "bwrap" and _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "sysctl kernel.unprivileged_userns_clone=1"
    if kind == "bwrap" and _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "sysctl user.max_user_namespaces=10000"
    if kind == "bwrap":
        return "in a container, let it make namespaces (docker run --security-opt seccomp=unconfined)"
    return ""


def _setting(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
