"""The sandbox that callers hold: runs programs on one rung, tells its own failures from theirs, and counts them."""

from __future__ import annotations

import logging
import threading

from warmup_rl.sandbox.process import Child, Killed, job_of
from warmup_rl.sandbox.program import Program, Ran, SandboxError, SandboxUnavailable
from warmup_rl.sandbox.rungs import Rung

FAILURES_IN_A_ROW = 5
_log = logging.getLogger(__name__)


class Sandbox:
    """Runs programs on one rung; made by `open_sandbox`. Threads may share it.

    Attributes:
        rung: `bwrap`, `landlock` or `unsafe_subprocess`.
        how: what keeps programs in, in words.
    """

    def __init__(self, rung: Rung) -> None:
        self._rung = rung
        self.rung = rung.name
        self.how = rung.how
        self._failures = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open between two programs."""

    def run(self, program: Program) -> Ran:
        """Runs one program in a process of its own and waits until nothing is left of it.

        A program that was killed from outside, or could not be started, is run once more.

        Raises:
            SandboxUnavailable: twice the sandbox failed, not the program.
            SandboxError: it failed on several programs in a row.
            TypeError: an argument of a call is not plain data.
        """
        try:
            ran = self._twice(program)
        except SandboxUnavailable as failure:
            self._count(failure)
            raise
        with self._lock:
            self._failures = 0
        return ran

    def _twice(self, program: Program) -> Ran:
        job = job_of(program, self._rung)
        try:
            return Child(self._rung, job, program).result()
        except Killed as killed:
            _log.info("a program is run again: %s", killed)
        try:
            return Child(self._rung, job, program).result()
        except Killed as killed:
            if killed.ran is None:
                raise SandboxUnavailable(f"the sandbox ({self.rung}) failed twice: {killed}") from None
            return killed.ran

    def _count(self, failure: SandboxUnavailable) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                count = self._failures
                message = f"the sandbox ({self.rung}) failed on {count} programs in a row; the last time: {failure}"
                raise SandboxError(f"{message}\nSee `python -m warmup_rl doctor`.") from failure
