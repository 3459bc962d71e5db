"""Processes that compare mathematics: persistent, killed when a comparison takes too long, replaced when they die."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, cast

from warmup_rl.base.errors import Unscorable

SECONDS = 1.0
"""Processor time of one comparison; several times what the slowest of MATH takes."""
_WALL = 20.0
"""Seconds of waiting after which a worker counts as stuck, however busy the machine is."""
_START = 120.0
_MOST_JOBS = 5_000
"""Comparisons after which a worker begins afresh: sympy's caches grow."""
_MOST = 8


@dataclass(frozen=True, slots=True)
class Answered:
    """What math-verify said; `bad_gold`: the reference cannot be parsed."""

    same: bool
    bad_gold: bool


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The comparison took more than `SECONDS` of processor time."""


def verify(gold: str, answer: str) -> Answered | TimedOut:
    """Compares two expressions in a worker; may be called from any thread, and waits while all workers are busy.

    Raises:
        Unscorable: workers cannot be started, or die again and again on this pair.
    """
    return _pool(os.getpid()).verify(gold, answer)


def close() -> None:
    """Ends all workers of this process; the next comparison starts new ones."""
    _pool(os.getpid()).close()


class _Died(Exception):
    """A worker ended without an answer and not for want of time."""


class _Pool:
    def __init__(self) -> None:
        self._owner = os.getpid()
        count = max(1, min(_MOST, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1") or 1)))
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._workers = [_Worker() for _ in range(count)]
        for worker in self._workers:
            self._idle.put(worker)
        self._cache: dict[tuple[str, str], Answered | TimedOut] = {}

    def verify(self, gold: str, answer: str) -> Answered | TimedOut:
        pair = (gold, answer)
        if pair in self._cache:
            return self._cache[pair]
        worker = self._idle.get()
        try:
            result = self._asked(worker, gold, answer)
        finally:
            self._idle.put(worker)
        if len(self._cache) < 100_000:
            self._cache[pair] = result
        return result

    def _asked(self, worker: _Worker, gold: str, answer: str) -> Answered | TimedOut:
        for _ in range(3):
            try:
                return worker.ask(gold, answer)
            except _Died as error:
                reason = str(error)
        raise Unscorable(f"comparing mathematics: the worker died three times ({reason})")

    def close(self) -> None:
        if os.getpid() == self._owner:
            for worker in self._workers:
                worker.stop()


class _Worker:
    """One child process, started when it is first needed."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, gold: str, answer: str) -> Answered | TimedOut:
        with self._lock:
            process = self._started()
            number = next(self._numbers)
            line = json.dumps({"job": number, "gold": gold, "answer": answer}) + "\n"
            try:
                stdin = cast(IO[bytes], process.stdin)
                stdin.write(line.encode())
                stdin.flush()
            except BrokenPipeError:
                raise self._ended(process) from None
            result = self._read(process, _WALL)
            if result is None:
                self._stop()
                return TimedOut()
            if result.get("slow"):
                return TimedOut()
            if result.get("job") != number:
                self._stop()
                raise _Died(f"exit code {result['died']}" if "died" in result else "an answer to another question")
            return Answered(bool(result["same"]), bool(result["bad_gold"]))

    def stop(self) -> None:
        with self._lock:
            self._stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        command = [sys.executable, "-m", "warmup_rl.grading.verifier", str(SECONDS), str(_MOST_JOBS)]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise Unscorable(f"comparing mathematics: no worker can be started ({error})") from None
        self._process = process
        try:
            ready = self._read(process, _START)
        except _Died:
            ready = None
        if ready is None or not ready.get("ready"):
            self._stop()
            raise Unscorable(f"comparing mathematics: `{' '.join(command)}` does not start; run it to see why")
        return process

    def _read(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
        """The next line; None where the time is up. Raises `_Died` where the process ended for another reason."""
        stdout = cast(IO[bytes], process.stdout)
        waiting = select.poll()
        waiting.register(stdout, select.POLLIN)
        if not waiting.poll(seconds * 1000):
            return None
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise self._ended(process)
        found: dict[str, Any] = json.loads(line)
        return found

    def _ended(self, process: subprocess.Popen[bytes]) -> _Died:
        self._stop()
        return _Died(f"exit code {process.returncode}")

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own: its fork goes with it
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):  # what was written and never read is flushed on closing
                if pipe is not None:
                    pipe.close()


@lru_cache(maxsize=1)
def _pool(process_id: int) -> _Pool:
    pool = _Pool()
    atexit.register(pool.close)
    return pool
