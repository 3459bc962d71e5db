"""The sandbox that callers use: runs programs on one backend and counts its own failures apart from theirs."""

from __future__ import annotations

import logging
import threading

from program_sandbox.backends import Backend
from program_sandbox.errors import SandboxError, SandboxUnavailable
from program_sandbox.process import Child, Killed, job_of
from program_sandbox.program import Program, Ran

FAILURES_IN_A_ROW = 5
_log = logging.getLogger(__name__)


class Sandbox:
    """Runs programs on one backend; made by `open_sandbox`. Threads may share it.

    Attributes:
        backend: `bwrap`, `landlock` or `unsafe_subprocess`.
        how: how programs are isolated, in words.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.backend = backend.name
        self.how = backend.how
        self._failures = 0
        self._lock = threading.Lock()

    def run(self, program: Program) -> Ran:
        """Runs one program in its own process and returns after that process has ended.

        A program that was killed from outside, or could not be started, is run once more.

        Raises:
            SandboxUnavailable: the sandbox, not the program, failed twice.
            SandboxError: the sandbox failed on several programs in a row.
            TypeError: an argument of a call is not plain data, or what is given is not a `Program`.
        """
        if not isinstance(program, Program):
            raise TypeError(f"a Program(source, calls) is needed (got an object of type {type(program).__name__})")
        try:
            ran = self._twice(program)
        except SandboxUnavailable as failure:
            self._count(failure)
            raise
        with self._lock:
            self._failures = 0
        return ran

    def _twice(self, program: Program) -> Ran:
        job = job_of(program, self._backend)
        try:
            return Child(self._backend, job, program).result()
        except Killed as killed:
            _log.info("a program is run again: %s", killed)
        try:
            return Child(self._backend, job, program).result()
        except Killed as killed:
            if killed.ran is None:
                raise SandboxUnavailable(f"the sandbox ({self.backend}) failed twice: {killed}") from None
            return killed.ran

    def _count(self, failure: SandboxUnavailable) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                count = self._failures
                message = f"the sandbox ({self.backend}) failed on {count} programs in a row; the last time: {failure}"
                raise SandboxError(message) from failure
