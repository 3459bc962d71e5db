"""Unions and intersections of intervals hold the numbers they should, and equal sets are equal."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.grading.intervals import Bound, Interval, Region, intersection, union

BOUNDS = st.just(Bound(None)) | st.builds(Bound, st.integers(-3, 3).map(Fraction), st.booleans())
INTERVALS = st.builds(Interval, BOUNDS, BOUNDS)
SETS = st.lists(INTERVALS, max_size=4)
POINTS = [Fraction(number, 2) for number in range(-9, 10)]
"""All ends, what lies between two of them, and what lies beyond all."""


def _holds(part: Interval, point: Fraction) -> bool:
    low, high = part.low, part.high
    above = low.value is None or point > low.value or low.closed and point == low.value
    return above and (high.value is None or point < high.value or high.closed and point == high.value)


def _points(parts: list[Interval] | Region) -> set[Fraction]:
    return {point for point in POINTS if any(_holds(part, point) for part in parts)}


@given(SETS)
def test_a_union_holds_what_any_part_holds(parts: list[Interval]) -> None:
    assert _points(union(parts)) == _points(parts)


@given(SETS, SETS)
def test_an_intersection_holds_what_both_hold(one: list[Interval], other: list[Interval]) -> None:
    assert _points(intersection(union(one), union(other))) == _points(one) & _points(other)


@given(SETS, SETS)
def test_equal_sets_are_equal_and_others_are_not(one: list[Interval], other: list[Interval]) -> None:
    assert (union(one) == union(other)) == (_points(one) == _points(other))
