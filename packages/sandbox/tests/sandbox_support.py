"""What several tests share: the backends, a sandbox on one of them, and the processes that it must not leave behind."""

from __future__ import annotations

import os

import psutil
import pytest

from program_sandbox import Sandbox, SandboxError, open_sandbox
from program_sandbox.child import BOOT

BACKENDS = ("bwrap", "landlock")


def sandbox_or_skip(backend: str) -> Sandbox:
    """A sandbox on this backend; without one the test is skipped, or fails where REQUIRE_SANDBOX names the backend."""
    try:
        return open_sandbox(backend)  # type: ignore[arg-type]
    except SandboxError as error:
        if backend in os.environ.get("REQUIRE_SANDBOX", "").split(","):
            pytest.fail(f"REQUIRE_SANDBOX: {error}")
        pytest.skip(str(error))


def left_behind() -> list[psutil.Process]:
    """Sandbox processes whose parent is this process or has ended."""
    found = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        if BOOT in (process.info["cmdline"] or []) and process.info["ppid"] in (os.getpid(), 1):
            found.append(process)
    return found
