"""The test that a backend must pass before it is used: an honest program runs, and known ways out are closed."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from program_sandbox.backends import ENVIRONMENT
from program_sandbox.program import Call, Program, Raised
from program_sandbox.sandbox import Sandbox

_PROGRAM = """
import ctypes
import math
import os


def honest(n):
    return [math.factorial(n), {"root": math.isqrt(n)}]


def read(path):
    return open(path).read()


def write(path):
    return os.write(os.open(path, os.O_WRONLY | os.O_CREAT), b"was here")


def send(port):
    import socket
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        return connection.send(b"was here")


def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    return child


def kill(process):
    return os.kill(process, 0)


def unshare():
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")


def environment():
    return dict(os.environ)
"""
_SECRET = "canary"


def faults(sandbox: Sandbox) -> list[str]:
    """What is wrong with a sandbox, one phrase for each fault; empty where it holds.

    Raises:
        SandboxUnavailable: no program can be run in it.
    """
    with _bait() as (folder, listener):
        secret, new = folder / "secret", folder / "new"
        port = listener.getsockname()[1] if listener else 9
        calls = [
            Call("honest", (6,)), Call("environment"), Call("read", (str(secret),)), Call("read", ("/proc/1/environ",)),
            Call("write", (str(secret),)), Call("write", (str(new),)), Call("send", (port,)), Call("fork"),
            Call("kill", (os.getpid(),)), Call("unshare"),
        ]  # fmt: skip
        ran = sandbox.run(Program(_PROGRAM, calls, timeout_s=10))
        if ran.status != "done":
            return [f"an honest program fails ({ran.status}: {ran.note})"]
        honest, environment, *escapes = ran.values
        found = [] if honest == [720, {"root": 2}] else ["an honest program gives a wrong value"]
        if not isinstance(environment, dict) or set(environment) - {*ENVIRONMENT, "PWD", "LC_CTYPE"}:
            found += ["it sees the environment"]
        found += [_named(call) for call, value in zip(calls[2:], escapes, strict=True) if not isinstance(value, Raised)]
        if new.exists() or secret.read_text() != _SECRET:
            found += ["files were changed"]
        if listener and _visited(listener):
            found += ["a connection came through"]
        return found


def _named(call: Call) -> str:
    return f"{call.function}({', '.join(map(str, call.arguments))}) succeeds"


@contextmanager
def _bait() -> Iterator[tuple[Path, Any]]:
    """A folder and a file that everybody may read and write, and a listener (None where there is no loopback)."""
    with tempfile.TemporaryDirectory(prefix="program_sandbox_") as name, socket.socket() as listener:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "secret").write_text(_SECRET)
        (folder / "secret").chmod(0o666)
        try:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)
        except OSError:
            yield folder, None
            return
        yield folder, listener


def _visited(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True
