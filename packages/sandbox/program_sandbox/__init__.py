"""Runs untrusted Python, such as code that a model wrote, and returns typed values to compare outside the sandbox.

    sandbox = open_sandbox()                       # bwrap, else landlock, else SandboxError that says how to fix it
    ran = sandbox.run(Program(source, calls=[Call("add", (1, 2)), Call("add", (5, 7))], timeout_s=3.0))
    ran.status                                     # done | timeout | crashed | tampered | raised | no_function
    ran.values                                     # (3, 12): plain values, or `Raised(kind)`, `Refused(why)`
    right = ran.status == "done" and ran.values == (3, 12)

The child process gets source and arguments, never an expected value, and every call gets its own copy of its arguments.
One process runs one program. The program can write nothing, reads nothing of the host but the standard library (and
packages named to `open_sandbox`), and leaves nothing behind. `Sandbox.run` may be called from many threads at once.

A failure of the sandbox itself is never a status: `run` raises `SandboxUnavailable` for one program, and `SandboxError`
after several in a row. The package needs Linux and the standard library only.
"""

from program_sandbox.errors import SandboxError, SandboxUnavailable
from program_sandbox.program import Call, Program, Raised, Ran, Refused, Status
from program_sandbox.sandbox import Sandbox
from program_sandbox.selection import APPARMOR_PROFILE, FALLBACK_ORDER, BackendName, Probe, open_sandbox, probe
from program_sandbox.values import as_set

__all__ = [
    "APPARMOR_PROFILE",
    "FALLBACK_ORDER",
    "BackendName",
    "Call",
    "Probe",
    "Program",
    "Raised",
    "Ran",
    "Refused",
    "Sandbox",
    "SandboxError",
    "SandboxUnavailable",
    "Status",
    "as_set",
    "open_sandbox",
    "probe",
]
