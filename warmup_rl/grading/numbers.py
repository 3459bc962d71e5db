"""Numbers written out: integers, decimals, recurring decimals, fractions, mixed numbers."""

from __future__ import annotations

import re
from fractions import Fraction

_INTEGER = re.compile(r"[+-]?\d{1,40}")
_DECIMAL = re.compile(r"([+-]?)(\d{0,40})\.(\d{0,40})")
_FRACTION = re.compile(
    r"([+-]?)\s*(\d{1,20})??\s*(?:\\frac\s*\{\s*([+-]?\d{1,20})\s*\}\s*\{\s*(\d{1,20})\s*\}|(?<!\d)(\d{1,20})\s*/\s*(\d{1,20}))"
)
_RECURRING = re.compile(r"(\d{0,40})\.(\d{0,20})\\overline\s*\{\s*(\d{1,20})\s*\}")
_SAME_DECIMALS, _SIGNIFICANT = 6, 4
"""A decimal of at least so many places stands for the fraction that rounds to it (as in math-verify)."""


def rational(text: str) -> Fraction | None:
    """The value of an integer, decimal, fraction or mixed number; None for anything else."""
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return Fraction(int(text))
    if (found := _DECIMAL.fullmatch(text)) and found[2] + found[3]:
        return Fraction(f"{found[1]}{found[2] or 0}.{found[3] or 0}")
    if found := _FRACTION.fullmatch(text):
        top, bottom = int(found[3] or found[5]), int(found[4] or found[6])
        if bottom == 0 or found[2] and top < 0:
            return None
        value = int(found[2] or 0) + Fraction(top, bottom)
        return -value if found[1] == "-" else value
    return None


def rounds_to(decimal: str, value: Fraction) -> bool:
    """Whether a decimal of enough places is the value, rounded."""
    found = _DECIMAL.fullmatch(decimal.strip())
    if not found or len(found[3]) < _SAME_DECIMALS or len((found[2] + found[3]).lstrip("0")) < _SIGNIFICANT:
        return False
    return abs(Fraction(decimal.strip()) - value) * 2 * 10 ** len(found[3]) <= 1


def without_recurring(text: str) -> str:
    """`0.1\\overline{6}` as the fraction it is."""
    return _RECURRING.sub(_fraction, text) if "\\overline" in text else text


def _fraction(found: re.Match[str]) -> str:
    whole, fixed, period = found[1] or "0", found[2], found[3]
    shift = 10 ** len(fixed)
    value = Fraction(int(whole + fixed), shift) + Fraction(int(period), (10 ** len(period) - 1) * shift)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
