"""How fast mathematics is graded: cold and warm, right and wrong answers mixed, and what poison costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.figure import Figure, at_least, at_most
from warmup_rl.grading.math import same_answer
from warmup_rl.grading.math_worker import SECONDS, close

_DATA = Path("../shared/data/math500.jsonl")
_POISON = [f"\\frac{{10^{{9{number:02d}}}}}{{3}}!" for number in range(64)]


def figures() -> Iterator[Figure]:
    """Speed of one worker, cold (each pair for the first time) and warm, and 64 poison answers on two."""
    pairs = _pairs()
    same_answer(gold="x+1", answer="1+x")  # the worker starts
    cold, slowest = _timed(pairs)
    yield at_least("verdicts a second, cold, one core", len(pairs) / sum(cold), "1/s", 150)
    yield at_most("99th percentile, cold", 1000 * sorted(cold)[len(cold) * 99 // 100], "ms", 150)
    yield at_most("slowest answer", slowest, "s", 2.5)
    warm, _ = _timed(pairs)
    yield at_least("verdicts a second, warm, one core", len(pairs) / sum(warm), "1/s", 400)
    start = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        verdicts = list(threads.map(lambda answer: same_answer(gold="x^2+1", answer=answer).verdict, _POISON))
    yield at_most("64 poison answers, two at once", time.monotonic() - start, "s", 80)
    yield Figure("poison answers that ran out of time", verdicts.count("timeout"), f"of 64, after {SECONDS:g} s")
    close()


def _pairs() -> list[tuple[str, str]]:
    """Each reference with itself in another spelling, and with another one: from MATH-500 where that is at hand."""
    if _DATA.is_file():
        golds = [str(json.loads(line)["answer"]) for line in _DATA.read_text(encoding="utf-8").splitlines()]
    else:
        golds = [
            text.format(n=n)
            for n in range(2, 60)
            for text in (
                "{n}",
                "\\frac{{{n}}}{{7}}",
                "{n}\\sqrt{{3}}",
                "x^{n}+1",
                "({n},\\pi)",
                "\\frac{{x+{n}}}{{x-1}}",
            )
        ]
    others = [*golds[1:], golds[0]]
    same = [(gold, f"\\boxed{{{gold.replace('frac', 'dfrac')}}}") for gold in golds]
    return [pair for both in zip(same, zip(golds, others, strict=True), strict=True) for pair in both]


def _timed(pairs: list[tuple[str, str]]) -> tuple[list[float], float]:
    seconds = []
    for gold, answer in pairs:
        start = time.monotonic()
        same_answer(gold=gold, answer=answer)
        seconds.append(time.monotonic() - start)
    return seconds, max(seconds)
