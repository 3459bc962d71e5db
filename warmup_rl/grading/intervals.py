"""Sets of real numbers as unions of intervals: parts that touch are joined, conditions are met together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Bound:
    """An end of an interval: `value` None is the infinite end of its side, which is never closed."""

    value: Fraction | None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers between two bounds; a single number where both are closed and equal."""

    low: Bound
    high: Bound

    @property
    def empty(self) -> bool:
        if self.low.value is None or self.high.value is None or self.low.value < self.high.value:
            return False
        return self.low.value > self.high.value or not (self.low.closed and self.high.closed)


Region = tuple[Interval, ...]
"""Intervals in ascending order of which no two touch: equal sets are equal tuples."""


def union(parts: Iterable[Interval]) -> Region:
    """The numbers in any of the parts."""
    joined: list[Interval] = []
    for part in sorted((part for part in parts if not part.empty), key=_by_low):
        if joined and _touch(joined[-1].high, part.low):
            last = joined.pop()
            part = Interval(last.low, max(last.high, part.high, key=_height))
        joined.append(part)
    return tuple(joined)


def intersection(one: Region, other: Region) -> Region:
    """The numbers in both."""
    return union(
        Interval(max(left.low, right.low, key=_depth), min(left.high, right.high, key=_height))
        for left in one
        for right in other
    )


def _by_low(part: Interval) -> tuple[bool, Fraction, bool]:
    return _depth(part.low)


def _depth(low: Bound) -> tuple[bool, Fraction, bool]:
    """Greater for a lower bound that leaves more numbers out."""
    return (low.value is not None, low.value or Fraction(0), not low.closed)


def _height(high: Bound) -> tuple[bool, Fraction, bool]:
    """Greater for an upper bound that lets more numbers in."""
    return (high.value is None, high.value or Fraction(0), high.closed)


def _touch(high: Bound, low: Bound) -> bool:
    """Whether no number lies between an upper bound and the lower bound that follows."""
    if high.value is None or low.value is None or low.value < high.value:
        return True
    return low.value == high.value and (low.closed or high.closed)
