"""The code sandbox: one program at a time and two at once, on each backend that works, beside a bare interpreter."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter

from benchmarks.figure import Figure, at_least, at_most
from program_sandbox import FALLBACK_ORDER, Call, Program, Sandbox, SandboxError, open_sandbox
from program_sandbox.allowed_paths import interpreter

_PROGRAM = Program("def add(a, b):\n    return a + b\n", [Call("add", (1, 2)), Call("add", (5, 7))])
_TURNS = 60
_AT_ONCE = 150
_MS = 60.0
_PER_SECOND = 25.0


def figures() -> Iterator[Figure]:
    """Milliseconds a program (median), and programs a second with two at once."""
    sandboxes = dict(_sandboxes())
    timed: dict[str, Callable[[], object]] = {"bare interpreter": _bare}
    timed |= {backend: _runner(sandbox) for backend, sandbox in sandboxes.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(_TURNS):
        for name, run in timed.items():
            seconds[name].append(_seconds(run))
    yield Figure("bare interpreter: start", 1000 * median(seconds["bare interpreter"]), "ms")
    for backend, sandbox in sandboxes.items():
        yield at_most(f"{backend}: one program", 1000 * median(seconds[backend]), "ms", _MS)
        yield at_least(f"{backend}: two at once", _rate(sandbox), "programs/s", _PER_SECOND)


def _runner(sandbox: Sandbox) -> Callable[[], object]:
    """Runs one honest program, and makes sure of its values."""

    def run() -> None:
        ran = sandbox.run(_PROGRAM)
        assert ran.values == (3, 12), ran

    return run


def _sandboxes() -> Iterator[tuple[str, Sandbox]]:
    for backend in FALLBACK_ORDER:
        try:
            yield backend, open_sandbox(backend)
        except SandboxError:
            continue


def _rate(sandbox: Sandbox) -> float:
    run = _runner(sandbox)
    began = perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: run(), range(_AT_ONCE)))
    return _AT_ONCE / (perf_counter() - began)


def _bare() -> None:
    subprocess.run([interpreter(), "-I", "-S", "-c", "pass"], check=True)


def _seconds(run: Callable[[], object]) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began
