"""How fast mathematics is graded, right and wrong answers mixed, and what poison costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.figure import Figure, at_least, at_most
from warmup_rl.grading.math import same_answer

_DATA = Path("../shared/data/math500.jsonl")
_POISON = [f"\\frac{{10^{{9{number:02d}}}}}{{3}}!" for number in range(64)]


def figures() -> Iterator[Figure]:
    """Speed on one core, the slowest answer, and 64 poison answers on two threads."""
    pairs = _pairs()
    seconds, slowest = _timed(pairs)
    yield at_least("verdicts a second, one core", len(pairs) / sum(seconds), "1/s", 400)
    yield at_most("99th percentile", 1000 * sorted(seconds)[len(seconds) * 99 // 100], "ms", 150)
    yield at_most("slowest answer", slowest, "s", 2.5)
    start = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        verdicts = list(threads.map(lambda answer: same_answer(gold="x^2+1", answer=answer).verdict, _POISON))
    yield at_most("64 poison answers, two at once", time.monotonic() - start, "s", 80)
    yield Figure("poison answers graded correct", verdicts.count("correct"), "of 64")


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
