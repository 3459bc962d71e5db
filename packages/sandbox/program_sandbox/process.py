"""One child process: starts it, reads its messages, decides the status of the program, and ends it for sure."""

from __future__ import annotations

import json
import logging
import marshal
import os
import select
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

from program_sandbox import child
from program_sandbox.backends import ENVIRONMENT, Backend
from program_sandbox.child import MAX_TOTAL, MAX_VALUE
from program_sandbox.program import Program, Raised, Ran, Refused, Status
from program_sandbox.seccomp import KILLED_STATUS
from program_sandbox.values import Malformed, decode, pack

START_S = 20.0
_MAX_BYTES = MAX_TOTAL + (1 << 20)
_MAX_LINE = MAX_VALUE + 64
_END_S = 5.0
_MOST_WALL = 10
"""Wall clock that a program may take, in time limits: on a busy machine it waits for a core most of the time."""
_FIRST_TO_GO = ("/bin/sh", "-c", 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$@"', "sh")
"""Before a command: where the machine's memory runs out, the kernel ends the program and not the caller."""
_log = logging.getLogger(__name__)


class Killed(Exception):
    """The child could not start, or something else killed it; `ran` is the result if it happens again."""

    def __init__(self, why: str, ran: Ran | None = None) -> None:
        super().__init__(why)
        self.ran = ran


class Child:
    """One process for one program, from start to end."""

    def __init__(self, backend: Backend, job: bytes, program: Program) -> None:
        self._backend = backend
        self._job = job
        self._program = program
        self._values: list[Any] = []
        self._buffer = bytearray()
        self._bytes = 0
        self._began: float | None = None
        self._errors = b""
        self._inner_id: int | None = None

    def result(self) -> Ran:
        """The result of the program. Raises `Killed` when the child did not start or something else killed it."""
        with ExitStack() as stack:
            try:
                self._start(stack)
            except OSError as error:
                raise Killed(f"cannot start a process ({error})") from None
            try:
                return self._listen()
            finally:
                self._end()

    def _start(self, stack: ExitStack) -> None:
        job = os.memfd_create("job")
        stack.callback(os.close, job)
        with open(job, "wb", closefd=False) as file:
            file.write(self._job)
        os.lseek(job, 0, os.SEEK_SET)
        with ExitStack() as ends:  # the child's, of which this process keeps none
            self._results, results = _pipe(stack, ends)
            self._info, info = _pipe(stack, ends)
            os.set_blocking(self._info, False)
            command = self._backend.command(job, results)
            if self._backend.wrapper:
                command[1:1] = ["--info-fd", str(info)]
            self._process = subprocess.Popen(
                [*_FIRST_TO_GO, *command], pass_fds=(job, results, *([info] if self._backend.wrapper else [])),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
                env=ENVIRONMENT, cwd="/",
            )  # fmt: skip
        assert self._process.stderr is not None
        stack.callback(self._process.stderr.close)
        self._stderr = self._process.stderr.fileno()

    def _listen(self) -> Ran:
        poll = select.poll()
        for descriptor in (self._results, self._stderr):
            poll.register(descriptor, select.POLLIN)
        self._deadline = time.monotonic() + START_S
        while True:
            left = self._deadline - time.monotonic()
            events = poll.poll(max(0, 1000 * left)) if left > 0 else []
            if not events:
                if self._began is None:
                    raise Killed(f"not ready after {START_S:g} s{self._said()}")
                if (more := self._time_left()) <= 0:
                    return self._ran("timeout", f"no end within {self._program.timeout_s:g} s")
                self._deadline = time.monotonic() + more
                continue
            for descriptor, _ in events:
                data = os.read(descriptor, 1 << 16)
                if descriptor == self._stderr:
                    self._errors = (self._errors + data)[-4096:]
                    if not data:
                        poll.unregister(descriptor)
                    continue
                try:
                    ran = self._heard(data) if data else self._gone()
                except Malformed as error:
                    return self._ran("tampered", str(error))
                if ran is not None:
                    return ran

    def _time_left(self) -> float:
        """Seconds that the program may still run: time that it waited for a core is not its own."""
        assert self._began is not None
        limit, elapsed = self._program.timeout_s, time.monotonic() - self._began
        return min(limit + self._waited(), _MOST_WALL * limit) - elapsed

    def _waited(self) -> float:
        """Seconds that the program was ready to run and had no core; 0 where the kernel does not tell."""
        try:
            process: int | None = self._process.pid
            if self._backend.wrapper:
                inner = self._inner()
                process = int(Path(f"/proc/{inner}/task/{inner}/children").read_text().split()[0])
            return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    def _heard(self, data: bytes) -> Ran | None:
        """Reads bytes of the result pipe. Returns the result once it is known. Raises `Malformed`."""
        self._bytes += len(data)
        self._buffer += data
        lines: list[bytearray] = []
        if b"\n" in data:
            *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > _MAX_LINE or self._bytes > _MAX_BYTES:
            raise Malformed("more than the child ever writes")
        for line in lines:
            ran = self._message(*decode(bytes(line)))
            if ran is not None:
                return ran
        return None

    def _message(self, word: str, body: Any) -> Ran | None:
        if self._began is None:
            if word != "ready":
                raise Malformed("no beginning")
            self._began = time.monotonic()
            self._deadline = self._began + self._program.timeout_s
            return None
        missing = len(self._program.calls) - len(self._values)
        match word:
            case "value" | "raised" | "refused" if missing:
                kinds = {"raised": Raised, "refused": Refused}
                self._values.append(kinds[word](body) if word in kinds else body)
                return None
            case "broken" if not self._values:
                return self._ran("raised", f"loading it raised {body}")
            case "missing" if missing:
                return self._ran("no_function", f"it defines no function {body}")
            case "end" if not missing:
                return self._ran("done")
        raise Malformed(f"{word[:20]!r} out of turn")

    def _gone(self) -> Ran:
        """The result of a program whose pipe ended too early. Raises `Killed` where the program is not the cause."""
        if self._began is None:
            raise Killed(f"ended before it was ready{self._said()}")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        code = self._process.returncode
        ran = self._ran("crashed", _how_ended(code))
        if code == -signal.SIGKILL:
            raise Killed("the sandbox was killed", None if self._backend.wrapper else ran)
        if code == KILLED_STATUS and self._backend.wrapper:
            raise Killed("the program was killed", ran)
        return ran

    def _ran(self, status: Status, note: str = "") -> Ran:
        assert self._began is not None
        return Ran(status, tuple(self._values), time.monotonic() - self._began, note)

    def _said(self) -> str:
        """The last line of stderr of a child that did not start, with a colon before it."""
        poll = select.poll()
        poll.register(self._stderr, select.POLLIN)
        while poll.poll(200) and (data := os.read(self._stderr, 1 << 16)):
            self._errors = (self._errors + data)[-4096:]
        text = self._errors.decode(errors="replace").strip()
        return f": {text.splitlines()[-1]}" if text else ""

    def _end(self) -> None:
        """Kills what still runs and waits for it; the inner process first, so that the wrapper can reap it."""
        inner = self._inner() if self._backend.wrapper and self._process.poll() is None else None
        if inner is not None:
            with suppress(ProcessLookupError):
                os.kill(inner, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._drain()

    def _inner(self) -> int | None:
        """The first process inside the wrapper, as the wrapper reports it; None where it has not reported yet."""
        if self._inner_id is None:
            with suppress(BlockingIOError, ValueError, KeyError):
                self._inner_id = int(json.loads(os.read(self._info, 4096))["child-pid"])
        return self._inner_id

    def _drain(self) -> None:
        """Waits until no process holds the result pipe any more."""
        poll = select.poll()
        poll.register(self._results, select.POLLIN)
        deadline = time.monotonic() + _END_S
        while poll.poll(max(0, 1000 * (deadline - time.monotonic()))):
            if not os.read(self._results, 1 << 20):
                return
        _log.warning("something of a sandboxed program outlived it by %g s", _END_S)


def job_of(program: Program, backend: Backend) -> bytes:
    """What a child reads: its own code, the program, and which rights to give up.

    Raises:
        TypeError: an argument of a call is not plain data.
    """
    seconds = int(program.timeout_s) + 2
    limits = {
        "RLIMIT_CPU": seconds, "RLIMIT_AS": program.memory_mb << 20, "RLIMIT_STACK": 64 << 20, "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 64, "RLIMIT_NPROC": 0, "RLIMIT_MEMLOCK": 0, "RLIMIT_MSGQUEUE": 0,
    }  # fmt: skip
    calls = [(call.function, pack(call)) for call in program.calls]
    confine = {**backend.confine, "limits": list(limits.items())}
    job = {"source": program.source, "calls": calls, "confine": confine}
    return marshal.dumps((_child(), job))


@lru_cache
def _child() -> CodeType:
    """The compiled code of the child. Parent and child run the same interpreter, so one compilation serves all."""
    path = Path(child.__file__)
    return compile(path.read_text(encoding="utf-8"), "<child>", "exec", dont_inherit=True)


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe; each stack closes one of its ends."""
    ends = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, ends[0])
    writer.callback(os.close, ends[1])
    return ends


def _how_ended(code: int | None) -> str:
    if code is None:
        return "it closed the result pipe"
    number = -code if code < 0 else code - 128
    known = {int(name): name.name for name in signal.Signals}
    return f"ended by {known[number]}" if number in known else f"exited with code {code}"
