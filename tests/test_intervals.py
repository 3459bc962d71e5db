"""Unions and intersections of intervals hold the numbers they should, and equal sets are equal."""

from __future__ import annotations

from fractions import Fraction
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.grading.math_structure import Interval, Region, intersection, union

VALUES = st.integers(-3, 3).map(Fraction)
LOWS = st.just((-inf, 0)) | st.tuples(VALUES, st.sampled_from([0, 1]))
HIGHS = st.just((inf, 0)) | st.tuples(VALUES, st.sampled_from([0, -1]))
INTERVALS = st.tuples(LOWS, HIGHS)
SETS = st.lists(INTERVALS, max_size=4)
POINTS = [Fraction(number, 2) for number in range(-9, 10)]
"""All ends, what lies between two of them, and what lies beyond all."""


def _holds(part: Interval, point: Fraction) -> bool:
    (low, above), (high, below) = part
    return (point > low or above == 0 and point == low) and (point < high or below == 0 and point == high)


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
