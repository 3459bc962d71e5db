"""Runs Python that a model wrote where it can do no harm, and brings back typed values to be compared outside.

    sandbox = open_sandbox()                       # bwrap, else landlock, else SandboxError that says how to mend it
    ran = sandbox.run(Program(source, calls=[Call("add", (1, 2)), Call("add", (5, 7))], timeout_s=3.0))
    ran.status                                     # done | timeout | crashed | tampered | raised | no_function
    ran.values                                     # (3, 12): plain values, or `Raised(kind)`, `Refused(why)`
    right = ran.status == "done" and ran.values == (3, 12)

The child gets source and arguments, never an expected value, and every call gets arguments of its own. One process runs
one program; nothing is writable in it, nothing of the host but the standard library can be read, and nothing is left of
it. `run` may be called from many threads at once. Whatever fails outside the program is `SandboxUnavailable`, a kind of
`Unscorable`, never a status; after several in a row a `SandboxError` ends the run. A user's own grader is a program
like any other: its file is the source, the call is its function with question, answer and gold.
"""

from warmup_rl.sandbox.opening import open_sandbox
from warmup_rl.sandbox.program import Call, Program, Raised, Ran, Refused, SandboxError, SandboxUnavailable, Status
from warmup_rl.sandbox.supervise import Sandbox
from warmup_rl.sandbox.values import as_set

__all__ = [
    "Call",
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
]
