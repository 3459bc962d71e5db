"""The child process that compares mathematics: one JSON line in, one out; run by `warmup_rl.grading.workers`.

The kernel ends it when one comparison takes too much processor time, whatever its code is doing, and it ends itself
when the pipe closes, so that nothing is left behind by a parent that was killed.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from functools import lru_cache
from typing import Any

MEMORY = 4 << 30
"""Bytes of address space."""
DONE, AGAIN = 0, 7
"""Exit codes of a fork: the input ended; it is time for a fresh one, since sympy's caches grow."""
_FAILURES = (
    ValueError,
    TypeError,
    ArithmeticError,
    AttributeError,
    NotImplementedError,
    RecursionError,
    MemoryError,
    LookupError,
    AssertionError,
)  # what sympy and its parser raise on what they cannot work with


def main() -> None:
    """Loads math-verify once, then serves comparisons from a fork of itself, and from another where one ended."""
    seconds, most_jobs = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.ERROR)
    answers = os.dup(1)
    os.dup2(2, 1)
    _parse("\\frac{1}{2}")
    _reply(answers, {"ready": True})
    while True:
        child = os.fork()
        if child == 0:
            os._exit(_serve(answers, seconds, most_jobs))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == DONE:
            return
        if code != AGAIN:
            _reply(answers, {"slow": True} if code == -signal.SIGPROF else {"died": code})


def _serve(answers: int, seconds: float, most_jobs: int) -> int:
    """Serves until the input ends or so many jobs are done; returns the exit code."""
    with open(0, "rb", buffering=0, closefd=False) as jobs:
        for _ in range(most_jobs):
            line = jobs.readline()
            if not line:
                return DONE
            signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends a process that does not handle it
            job = json.loads(line)
            result = _compare(job["gold"], job["answer"])
            signal.setitimer(signal.ITIMER_PROF, 0)
            _reply(answers, {**result, "job": job["job"]})
    return AGAIN


def _reply(answers: int, result: dict[str, Any]) -> None:
    os.write(answers, (json.dumps(result) + "\n").encode())


def _compare(gold: str, answer: str) -> dict[str, Any]:
    from math_verify import verify

    try:
        reference = _parsed_gold(gold)
    except _FAILURES:
        return {"bad_gold": True, "same": False}
    if all(isinstance(part, str) for part in reference):  # a text alone is what it gives for no mathematics
        return {"bad_gold": True, "same": False}
    try:
        given = _parse(answer)
        same = bool(given) and bool(verify(reference, given, timeout_seconds=None, raise_on_error=True))
    except _FAILURES as error:
        return {"bad_gold": False, "same": False, "note": type(error).__name__}
    return {"bad_gold": False, "same": same}


@lru_cache(maxsize=4096)
def _parsed_gold(gold: str) -> Any:
    return _parse(gold)


def _parse(text: str) -> Any:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    configs = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    found = parse(f"\\boxed{{{text}}}", configs, parsing_timeout=None, raise_on_error=True)  # type: ignore[arg-type]
    return [part if isinstance(part, str) else _with_plain_names(part) for part in found]


def _with_plain_names(part: Any) -> Any:
    """With `i` as the imaginary unit, and one symbol for a name that math-verify gives two (real and not)."""
    from sympy import Basic, I, Symbol

    if not isinstance(part, Basic):
        return part
    free = part.free_symbols
    return part.xreplace({
        symbol: I if symbol.name == "i" and symbol in free else Symbol(symbol.name) for symbol in part.atoms(Symbol)
    })  # fmt: skip


if __name__ == "__main__":
    main()
