"""Compares mathematical values: exactly where they are rational, else to 180 digits, with variables at several points.

All steps are bounded: the size of exact numbers, the magnitude of others, and the number of operations.
"""

from __future__ import annotations

import math
import operator
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import mpmath

from warmup_rl.grading.math_matrices import folded
from warmup_rl.grading.math_tokens import tokenize
from warmup_rl.grading.math_tree import Tree, Unparsed, children, names, parse

Number = Any
"""A `Fraction` where the value is known exactly, else a number of `mpmath`."""

MAX_NUMBER = 300
"""Characters of a number in words and digits."""
_TEN: Tree = ("n", Fraction(10), "10")
_BITS = 1000
_SAME_BITS = 600
"""Leading bits in which two numbers that are not known exactly must agree."""
_MAX_EXACT_BITS = 1 << 14
_MAX_EXPONENT = 1 << 24
"""Largest power of two in a number that is not exact."""
_MAX_TERMS, _MAX_ARGUMENT = 1000, 10**6
_MAX_COST = 5000
"""Operations at one point, each counted by the length of its result."""
_FUNCTION_COST = 20
_MIN_PLACES, _MIN_DIGITS = 6, 4
"""A decimal with at least this many places and significant digits may be a rounded value (as in math-verify)."""
_POINTS = 10
_MIN_POINTS = 2
"""Points at which both sides must be defined."""


class Undefined(ArithmeticError):
    """No value at this point: outside of the domain, too large, or not understood."""


class _Exhausted(Undefined):
    """Too much work for one answer."""


class _Context(threading.local):
    def __init__(self) -> None:
        self.mp = mpmath.MPContext()
        self.mp.prec = _BITS


_CONTEXT = _Context()


def value(tree: Tree) -> Number | None:
    """The value of an expression without variables; None if it has none or cannot be computed."""
    if names(tree):
        return None
    try:
        return _Evaluation({}, tree).of(tree)
    except Undefined:
        return None


def real(tree: Tree) -> Fraction | None:
    """The value of a real expression without variables, exact or rounded in the same way for the same value."""
    found = value(tree)
    if isinstance(found, Fraction) or found is None:
        return found
    if _imaginary(found) or not _CONTEXT.mp.isfinite(found):
        return None
    mp = _CONTEXT.mp
    digits = mp.nstr(mp.re(found), _SAME_BITS * 3 // 10, min_fixed=0, max_fixed=0)
    return Fraction(digits)


def rational(text: str) -> Fraction | None:
    """The value of an integer, decimal, fraction, mixed number or scientific notation; None for anything else."""
    if len(text) > MAX_NUMBER:
        return None
    try:
        return literal(parse(tokenize(text)))
    except (Unparsed, ValueError):
        return None


def literal(tree: Tree) -> Fraction | None:
    """The value of a number that needs no calculation, as `rational` reads it; None for any other expression."""
    kind, *operands = tree
    if kind in ("n", "recurring"):
        number: Fraction = operands[0]
        return number
    if kind == "-":
        inner = literal(operands[0])
        return None if inner is None else -inner
    digits = len(operands) == 2 and operands[0][0] == "n"
    fraction = kind == "/" and digits and operands[1][0] == "n"
    mixed = kind == "+" and digits and operands[1][0] == "/"
    scientific = kind == "*" and digits and operands[1][:2] == ("^", _TEN) or kind == "^" and operands[0] == _TEN
    found = value(tree) if fraction or mixed or scientific else None
    return found if isinstance(found, Fraction) else None


def equal(one: Tree, other: Tree) -> bool:
    """Whether two expressions have the same value, at all points where both are defined; for matrices, their cells."""
    one, other = folded(one), folded(other)
    if {one[0], other[0]} & {"matrix", "row"}:
        return one[0] == other[0] and len(one) == len(other) and all(map(equal, children(one), children(other)))
    points = 0
    for pair in _values(one, other):
        if not _same(*pair):
            return False
        points += 1
    return points >= (_MIN_POINTS if names(one) | names(other) else 1)


def proportional(one: Tree, other: Tree, *, positive: bool = False) -> bool:
    """Whether one expression is a constant multiple of the other, so that both are 0 at the same points.

    Args:
        positive: the constant must be above 0, so that both have the same sign everywhere.
    """
    if not names(one) or names(one) != names(other):
        return False
    pairs = list(_values(one, other))
    if any((left == 0) != (right == 0) for left, right in pairs):
        return False
    ratios = [_float(left) / _float(right) for left, right in pairs if right != 0]
    if len(ratios) < _MIN_POINTS or positive and (_imaginary(ratios[0]) or _CONTEXT.mp.re(ratios[0]) <= 0):
        return False
    return all(_same(ratio, ratios[0]) for ratio in ratios)


def rounds_to(decimal: Tree, exact: Tree) -> bool:
    """Whether a decimal with enough digits is the rounded value of the other."""
    sign, number = (-1, decimal[1]) if decimal[0] == "-" else (1, decimal)
    whole, _, places = number[2].partition(".") if number[0] == "n" and "e" not in number[2] else ("", "", "")
    if len(places) < _MIN_PLACES or len((whole + places).lstrip("0")) < _MIN_DIGITS:
        return False
    target = real(exact)
    return target is not None and abs(sign * number[1] - target) * 2 * 10 ** len(places) <= 1


def rounds_to_places(decimal: Tree, exact: Tree) -> bool:
    """Whether a decimal is the rounded value of the other, whatever its number of digits."""
    shown, target = real(decimal), real(exact)
    number = decimal[1] if decimal[0] == "-" else decimal
    if shown is None or target is None or number[0] != "n":
        return False
    return abs(shown - target) * 2 * 10 ** len(number[2].partition(".")[2]) <= 1


def _values(one: Tree, other: Tree) -> Iterator[tuple[Number, Number]]:
    """The values of both at the points where both are defined."""
    variables = sorted(names(one) | names(other))
    whole = any(_has(tree, "!", "binom", "sum", "prod", "gcd", "lcm") for tree in (one, other))
    for number in range(_POINTS if variables else 1):
        point = _point(variables, number, whole)
        try:
            yield _Evaluation(point, one, other).of(one), _Evaluation(point, one, other).of(other)
        except _Exhausted:
            return
        except Undefined:
            continue


def _point(variables: list[str], number: int, whole: bool) -> dict[str, Fraction]:
    """Values for the variables: fractions of several sizes and signs, at the end whole numbers."""
    chance = random.Random(number)
    if whole or number >= _POINTS - 3:
        return {name: Fraction(value) for name, value in zip(variables, chance.sample(range(2, 30), 28), strict=False)}
    low, high = ((40, 400), (60, 600), (1, 30), (40, 200))[number % 4]
    signs = [1, 1, 1, 1] if number < 3 else [-1, -1, -1, -1] if number == 3 else [1, -1, 1, -1]
    return {
        name: Fraction(signs[(place + number) % 4] * (2 * chance.randint(low, high) + 1), 128)
        for place, name in enumerate(variables)
    }


def _has(tree: Tree, *kinds: str) -> bool:
    """Whether a tree holds an operation or a constant of one of these names."""
    return tree[0] in kinds or tree[0] == "c" and tree[1] in kinds or any(_has(part, *kinds) for part in children(tree))


def _same(one: Number, other: Number) -> bool:
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one == other
    mp = _CONTEXT.mp
    left, right = _float(one), _float(other)
    if not (mp.isfinite(left) and mp.isfinite(right)):
        return bool(left == right)
    return bool(abs(left - right) <= mp.ldexp(max(abs(left), abs(right)), -_SAME_BITS))


def _float(number: Number) -> Any:
    mp = _CONTEXT.mp
    return mp.mpf(number.numerator) / number.denominator if isinstance(number, Fraction) else number


def _imaginary(number: Number) -> bool:
    mp = _CONTEXT.mp
    return not isinstance(number, Fraction) and bool(abs(mp.im(number)) > mp.ldexp(abs(number), -_SAME_BITS))


class _Evaluation:
    """Evaluates trees at one point.

    Args:
        point: values of the variables.
        trees: all that is compared: without the imaginary unit in any of them, all steps at a point must be real.
    """

    def __init__(self, point: Mapping[str, Fraction], *trees: Tree) -> None:
        self._point, self._cost, self._mp = dict(point), 0, _CONTEXT.mp
        self._exact = not point
        self._real = bool(point) and not any(_has(tree, "i") for tree in trees)

    def of(self, tree: Tree) -> Number:
        """The value of a tree. Raises `Undefined`."""
        try:
            return self._checked(self._node(*tree))
        except Undefined:
            raise
        except (ArithmeticError, ValueError, TypeError, KeyError) as error:
            raise Undefined(str(error)) from None

    def _checked(self, number: Number) -> Number:
        """A number if it is within all bounds, exact as long as it is short."""
        exact = isinstance(number, Fraction)
        bits = max(number.numerator.bit_length(), number.denominator.bit_length()) if exact else _BITS
        self._cost += 1 + bits // 256
        if self._cost > _MAX_COST:
            raise _Exhausted("too much work")
        if exact and (bits <= _MAX_EXACT_BITS or self._exact):
            if bits > _MAX_EXACT_BITS:
                raise Undefined("too large")
            return number
        number = _float(number)
        if not self._mp.isfinite(number):
            return number
        if number != 0 and abs(self._mp.mag(number)) > _MAX_EXPONENT:
            raise Undefined("too large")
        if self._real and _imaginary(number):
            raise Undefined("not real")
        return number if _imaginary(number) else self._mp.re(number)

    def _node(self, kind: str, *parts: Any) -> Number:
        mp = self._mp
        if kind in ("n", "recurring"):
            return parts[0]
        if kind == "v":
            return self._point[parts[0]]
        if kind == "c":
            return +{"e": mp.e, "i": mp.j, "pi": mp.pi, "infinity": mp.inf}[parts[0]]
        if kind in ("sum", "prod"):
            return self._series(kind, *parts)
        operands = [self.of(part) for part in parts if isinstance(part, tuple)]
        if kind == "f":
            return self._function(parts[0], _float(operands[0]))
        if kind == "log":
            return self._function("ln", _float(operands[1])) / self._function("ln", _float(operands[0]))
        if kind == "^":
            return self._power(*operands)
        if kind == "!":
            return Fraction(math.factorial(self._whole(operands[0], 2000)))
        if kind == "binom":
            return Fraction(math.comb(*(self._whole(one, 5000) for one in operands)))
        if kind in ("gcd", "lcm"):
            return Fraction(getattr(math, kind)(*(self._whole(one, math.inf) for one in operands)))
        if kind == "root":
            return self._root(*operands)
        if not all(isinstance(one, Fraction) for one in operands) or kind == "deg":
            operands = [_float(one) for one in operands]
        return self._sum(*operands) if kind == "+" else _OPERATIONS[kind](*operands)

    def _sum(self, one: Number, other: Number) -> Number:
        """A sum; zero where the terms cancel to all digits."""
        total = one + other
        if isinstance(total, Fraction):
            return total
        if not self._mp.isfinite(total):
            raise Undefined("infinite terms")
        return Fraction(0) if abs(total) < self._mp.ldexp(max(abs(one), abs(other)), 100 - _BITS) else total

    def _power(self, base: Number, exponent: Number) -> Number:
        whole = isinstance(exponent, Fraction) and exponent.denominator == 1
        if isinstance(base, Fraction) and whole:
            if base == 0 and exponent <= 0:
                raise Undefined("a power of zero")
            if abs(base) == 1:
                return base ** (int(exponent) % 2)
            if max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent) <= _MAX_EXACT_BITS:
                return base ** int(exponent)
            if self._exact:
                raise Undefined("too large")
        elif isinstance(base, Fraction) and isinstance(exponent, Fraction) and base < 0 and exponent.denominator % 2:
            return self._power(self._root(Fraction(exponent.denominator), base), Fraction(exponent.numerator))
        base, power = _float(base), _float(exponent)
        if base == 0:
            return Fraction(0)
        if self._mp.mag(power) + (abs(self._mp.mag(base)) + 1).bit_length() > _MAX_EXPONENT.bit_length():
            raise Undefined("too large")
        return self._mp.power(base, int(exponent) if whole else power)

    def _root(self, index: Number, radicand: Number) -> Number:
        """A root; of a negative number with an odd index the real one."""
        degree, number = self._whole(index, 100), _float(radicand)
        if degree % 2 and not _imaginary(number) and number < 0:
            return -self._mp.root(-number, degree)
        return self._mp.root(number, degree)

    def _whole(self, number: Number, most: float) -> int:
        if not isinstance(number, Fraction) or number.denominator > 1 or not 0 <= number <= most:
            raise Undefined("not a small whole number")
        return int(number)

    def _function(self, name: str, number: Any) -> Number:
        self._cost += _FUNCTION_COST
        if not self._mp.isfinite(number) or number == 0 and name in ("ln", "log"):
            raise Undefined("outside of the domain")
        if abs(number) > _MAX_ARGUMENT and name not in ("ln", "log"):
            raise Undefined("too large")
        found = _FUNCTIONS.get(name, name)
        value = getattr(self._mp, found.lstrip("/"))(number)
        return 1 / value if found[0] == "/" else value

    def _series(self, kind: str, index: str, low: Tree, high: Tree, term: Tree) -> Number:
        first, last = self.of(low), self.of(high)
        operation, total, outer = ("+", Fraction(0), self._point.get(index)) if kind == "sum" else (
            "*", Fraction(1), self._point.get(index))  # fmt: skip
        for step in range(self._whole(last - first + 1, _MAX_TERMS)):
            self._point[index] = first + step
            total = self.of((operation, ("n", total, ""), term))
        self._point.pop(index, None)
        if outer is not None:
            self._point[index] = outer
        return total


_OPERATIONS: dict[str, Callable[..., Number]] = {
    "-": operator.neg, "*": operator.mul, "/": operator.truediv, "abs": abs, "max": max, "min": min,
    "floor": lambda number: Fraction(math.floor(number)), "ceil": lambda number: Fraction(math.ceil(number)),
    "deg": lambda number: number * _CONTEXT.mp.pi / 180,
}  # fmt: skip
_FUNCTIONS = {
    "sec": "/cos", "csc": "/sin", "cot": "/tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "log": "log10",
}  # fmt: skip
"""Names in `mpmath` where they differ; after a slash, what the function is one over."""
