"""Compares expressions with math-verify in a child process, in which the kernel ends a comparison that takes too long.

The child, `python -m warmup_rl.grading.math_worker`, loads math-verify once, reads one comparison per line of JSON, and
makes each in a fork of itself, whose processor time is limited whatever its code is doing. It ends when its pipe
closes, so that a killed parent leaves nothing behind.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from typing import IO, Any, Literal, cast

from warmup_rl.base.errors import Unscorable

Comparison = Literal["same", "different", "bad_gold", "timeout"]
"""`bad_gold`: the reference cannot be parsed; `timeout`: more than `SECONDS` of processor time."""

SECONDS = 0.5
"""Processor time of one comparison."""
_COMMAND = [sys.executable, "-m", "warmup_rl.grading.math_worker"]
_WALL_SECONDS, _START_SECONDS = 2.0, 120.0
"""Longest wait for one comparison, however busy the machine is, and for math-verify to be loaded."""
_TRIES = 3
_MEMORY = 4 << 30
"""Bytes of address space of a worker."""
_FAILURES = (
    ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError, RecursionError, MemoryError,
    LookupError, AssertionError,
)  # fmt: skip
"""What sympy and its parser raise for input that they cannot handle."""


def verify(gold: str, answer: str) -> Comparison:
    """Compares two expressions. Thread-safe; waits while another comparison runs.

    Raises:
        Unscorable: the worker cannot be started, or dies again and again on this pair.
    """
    return _worker(os.getpid()).compare(gold, answer)


class _Worker:
    """The child process, started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self.compare = lru_cache(maxsize=4096)(self._compare)

    def _compare(self, gold: str, answer: str) -> Comparison:
        with self._lock:
            for _ in range(_TRIES):
                process = self._running()
                with suppress(BrokenPipeError):  # then the reply is that it died
                    cast(IO[bytes], process.stdin).write(json.dumps([gold, answer]).encode() + b"\n")
                    cast(IO[bytes], process.stdin).flush()
                reply = self._reply(process, _WALL_SECONDS)
                if "result" in reply:
                    return cast(Comparison, reply["result"])
        raise Unscorable(f"comparing mathematics: the worker died {_TRIES} times (exit code {reply['died']})")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the leader of a process group, so that its forks end too
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):  # closing flushes what was written and never read
                cast(IO[bytes], pipe).close()

    def _reply(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
        """The next line from the child; if it died or sends none in time, it is stopped, and the reply says so."""
        stdout = cast(IO[bytes], process.stdout)
        waiting = select.poll()
        waiting.register(stdout, select.POLLIN)
        in_time = waiting.poll(seconds * 1000)
        line = stdout.readline() if in_time else b""
        if line.endswith(b"\n"):
            return cast(dict[str, Any], json.loads(line))
        self.stop()
        return {"died": process.returncode} if in_time else {"result": "timeout"}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, stderr=null, start_new_session=True)
        except OSError as error:
            raise Unscorable(f"comparing mathematics: no worker can be started ({error})") from None
        self._process = process
        if not self._reply(process, _START_SECONDS).get("ready"):
            self.stop()
            raise Unscorable(f"comparing mathematics: `{' '.join(_COMMAND)}` does not start; run it to see why")
        return process


@lru_cache(maxsize=1)
def _worker(process_id: int) -> _Worker:
    worker = _Worker()
    atexit.register(worker.stop)
    return worker


def _main() -> None:
    """Loads math-verify, then makes each comparison in a fork until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.ERROR)
    replies = os.dup(1)
    os.dup2(2, 1)
    _same(r"\int_0^1 2x\,dx", "2")  # loads what sympy loads late, which each fork would do again
    _send(replies, {"ready": True})
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # SIGPROF ends a process that does not handle it
            _send(replies, {"result": _same(*json.loads(line))})
            os._exit(0)
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            _send(replies, {"result": "timeout"} if code == -signal.SIGPROF else {"died": code})


def _send(replies: int, reply: dict[str, Any]) -> None:
    os.write(replies, (json.dumps(reply) + "\n").encode())


def _same(gold: str, answer: str) -> Comparison:
    from math_verify import verify

    try:
        reference = _parse(gold)
    except _FAILURES:
        return "bad_gold"
    if all(isinstance(part, str) for part in reference):  # math-verify returns only text if it finds no mathematics
        return "bad_gold"
    try:
        given = _parse(answer)
        same = given and verify(reference, given, timeout_seconds=None, raise_on_error=True)
    except _FAILURES:
        return "different"
    return "same" if same else "different"


def _parse(text: str) -> list[Any]:
    """Expressions with `i` as the imaginary unit, and one symbol for a name that math-verify reads as two (real and not
    real)."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse
    from sympy import Basic, I, Symbol

    configs = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    found = parse(f"\\boxed{{{text}}}", configs, parsing_timeout=None, raise_on_error=True)  # type: ignore[arg-type]
    for place, part in enumerate(found):
        if isinstance(part, Basic):
            imaginary = {one for one in part.free_symbols if one.name == "i"}
            new = {one: I if one in imaginary else Symbol(one.name) for one in part.atoms(Symbol)}
            found[place] = part.xreplace(new)
    return cast(list[Any], found)


if __name__ == "__main__":
    _main()
