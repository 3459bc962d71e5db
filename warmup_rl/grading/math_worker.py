"""Compares expressions with math-verify in child processes, which are killed when a comparison takes too long.

The pool in the parent starts workers when they are needed and replaces them when they die. A worker, `python -m
warmup_rl.grading.math_worker`, reads one comparison per line of JSON and writes one result per line. The kernel ends a
comparison that takes too much processor time, whatever its code is doing. A worker ends when its pipe closes, so that a
killed parent leaves nothing behind.
"""

from __future__ import annotations

import atexit
import itertools
import json
import logging
import os
import queue
import resource
import select
import signal
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from typing import IO, Any, Literal, cast

from warmup_rl.base.errors import Unscorable
from warmup_rl.base.machine import cores

Comparison = Literal["same", "different", "bad_gold", "timeout"]
"""`bad_gold`: the reference cannot be parsed; `timeout`: more than `SECONDS` of processor time."""

SECONDS = 0.5
"""Processor time of one comparison."""
_MODULE = "warmup_rl.grading.math_worker"
_WALL_SECONDS = 2.0
"""Longest wait for one comparison, however busy the machine is."""
_START_SECONDS = 120.0
_MAX_JOBS = 5_000
"""Comparisons after which a worker starts afresh, since the caches of sympy grow."""
_MAX_WORKERS = 8
_MAX_CACHED = 100_000
_MEMORY = 4 << 30
"""Bytes of address space of a worker."""
_DONE, _RESTART = 0, 7
"""Exit codes of a fork: the input ended; `_MAX_JOBS` are done."""
_FAILURES = (
    ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError, RecursionError, MemoryError,
    LookupError, AssertionError,
)  # fmt: skip
"""What sympy and its parser raise for input that they cannot handle."""


def verify(gold: str, answer: str) -> Comparison:
    """Compares two expressions in a worker. Thread-safe; waits while all workers are busy.

    Raises:
        Unscorable: workers cannot be started, or die again and again on this pair.
    """
    return _pool(os.getpid()).verify(gold, answer)


def close() -> None:
    """Ends all workers of this process; the next comparison starts new ones."""
    _pool(os.getpid()).close()


class _Pool:
    def __init__(self) -> None:
        self._owner = os.getpid()
        self._cache: dict[tuple[str, str], Comparison] = {}
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._size = min(_MAX_WORKERS, cores())
        for _ in range(self._size):
            self._idle.put(_Worker())

    def verify(self, gold: str, answer: str) -> Comparison:
        if known := self._cache.get((gold, answer)):
            return known
        worker = self._idle.get()
        try:
            result = worker.compare(gold, answer)
        finally:
            self._idle.put(worker)
        if len(self._cache) < _MAX_CACHED:
            self._cache[gold, answer] = result
        return result

    def close(self) -> None:
        if os.getpid() == self._owner:
            workers: list[_Worker] = []
            with suppress(queue.Empty):  # a worker that is still in use ends when its pipe closes
                while len(workers) < self._size:
                    workers.append(self._idle.get(timeout=_WALL_SECONDS))
            for worker in workers:
                worker.stop()
                self._idle.put(worker)


class _Worker:
    """One child process, started when it is first needed; used by one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()

    def compare(self, gold: str, answer: str) -> Comparison:
        for _ in range(3):
            number = next(self._numbers)
            reply = self._request({"job": number, "gold": gold, "answer": answer})
            if "result" in reply and reply.get("job", number) == number:
                return cast(Comparison, reply["result"])
            self.stop()
        reason = f"exit code {reply['died']}" if "died" in reply else "an answer to another question"
        raise Unscorable(f"comparing mathematics: the worker died three times ({reason})")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the leader of a process group, so that its fork ends too
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):  # closing flushes what was written and never read
                if pipe is not None:
                    pipe.close()

    def _request(self, job: dict[str, Any]) -> dict[str, Any]:
        process = self._running()
        stdin = cast(IO[bytes], process.stdin)
        with suppress(BrokenPipeError):  # then the reply is that it died
            stdin.write(json.dumps(job).encode() + b"\n")
            stdin.flush()
        return self._reply(process, _WALL_SECONDS)

    def _reply(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
        """The next line from the child; if it died or sends none in time, it is stopped, and the reply says so."""
        stdout = cast(IO[bytes], process.stdout)
        waiting = select.poll()
        waiting.register(stdout, select.POLLIN)
        in_time = waiting.poll(seconds * 1000)
        line = stdout.readline() if in_time else b""
        if line.endswith(b"\n"):
            reply: dict[str, Any] = json.loads(line)
            return reply
        self.stop()
        return {"died": process.returncode} if in_time else {"result": "timeout"}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        command = [sys.executable, "-m", _MODULE, str(SECONDS), str(_MAX_JOBS)]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, start_new_session=True)
        except OSError as error:
            raise Unscorable(f"comparing mathematics: no worker can be started ({error})") from None
        self._process = process
        if not self._reply(process, _START_SECONDS).get("ready"):
            self.stop()
            raise Unscorable(f"comparing mathematics: `{' '.join(command)}` does not start; run it to see why")
        return process


@lru_cache(maxsize=1)
def _pool(process_id: int) -> _Pool:
    pool = _Pool()
    atexit.register(pool.close)
    return pool


def _main() -> None:
    """Loads math-verify once, then serves comparisons from a fork of itself, and from a new fork when one ends."""
    seconds, max_jobs = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.ERROR)
    replies = os.dup(1)
    os.dup2(2, 1)
    _parse("\\frac{1}{2}")
    _send(replies, {"ready": True})
    while True:
        child = os.fork()
        if child == 0:
            os._exit(_serve(replies, seconds, max_jobs))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == _DONE:
            return
        if code != _RESTART:
            _send(replies, {"result": "timeout"} if code == -signal.SIGPROF else {"died": code})


def _serve(replies: int, seconds: float, max_jobs: int) -> int:
    """Serves until the input ends or `max_jobs` are done; returns the exit code."""
    with open(0, "rb", buffering=0, closefd=False) as jobs:
        for _ in range(max_jobs):
            line = jobs.readline()
            if not line:
                return _DONE
            signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends a process that does not handle it
            job = json.loads(line)
            result = _compare(job["gold"], job["answer"])
            signal.setitimer(signal.ITIMER_PROF, 0)
            _send(replies, {"result": result, "job": job["job"]})
    return _RESTART


def _send(replies: int, reply: dict[str, Any]) -> None:
    os.write(replies, (json.dumps(reply) + "\n").encode())


def _compare(gold: str, answer: str) -> Comparison:
    from math_verify import verify

    try:
        reference = _parse_gold(gold)
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
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    configs = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    found = parse(f"\\boxed{{{text}}}", configs, parsing_timeout=None, raise_on_error=True)  # type: ignore[arg-type]
    return [part if isinstance(part, str) else _with_plain_names(part) for part in found]


_parse_gold = lru_cache(maxsize=4096)(_parse)


def _with_plain_names(part: Any) -> Any:
    """`i` as the imaginary unit, and one symbol for a name that math-verify reads as two (real and not real)."""
    from sympy import Basic, I, Symbol

    if not isinstance(part, Basic):
        return part
    free = part.free_symbols
    return part.xreplace({
        symbol: I if symbol.name == "i" and symbol in free else Symbol(symbol.name) for symbol in part.atoms(Symbol)
    })  # fmt: skip


if __name__ == "__main__":
    _main()
