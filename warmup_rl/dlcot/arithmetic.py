"""Finds plain sums in a text that do not come out, such as `17 * 3 = 41`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from warmup_rl.dlcot.structure import Span

_NUMBER = r"-?\d{1,12}(?:\.\d{1,6})?"
_SUM = re.compile(
    rf"(?<![\w.,^_\\)}}\]])(?P<a>{_NUMBER})\s*(?P<op>[-+*×·−]|\\times|\\cdot)\s*(?P<b>{_NUMBER})\s*=\s*(?P<c>{_NUMBER})"
    r"(?![\d.,]*\d)(?!\s*[-+*×·/÷^!%(=_\\−]|\w|\s*\{)"
)
_BEFORE = frozenset("+-*×·/÷^\\−")


def false_sums(text: str, start: int, end: int) -> Iterator[Span]:
    """The spans of sums of two numbers that are wrong; longer terms, quotients and remainders are not looked at."""
    for match in _SUM.finditer(text, start, end):
        before = text[max(start, match.start() - 8) : match.start()].rstrip()
        if before[-1:] in _BEFORE:
            continue
        a, b, c = (Decimal(match[name]) for name in ("a", "b", "c"))
        sign = match["op"]
        value = a + b if sign == "+" else a - b if sign in "-−" else a * b
        if value != c and "mod" not in text[match.end() : match.end() + 12]:
            yield Span(match.start(), match.end())
