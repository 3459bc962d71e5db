"""The structure of a mathematical answer: interval, tuple, list, equation, inequality, ratio, or a single value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import chain
from math import inf
from typing import Literal

from warmup_rl.grading.math_normalize import meaning_of, rational

Kind = Literal["value", "list", "tuple", "interval", "union", "intersection", "equation", "chain", "ratio", "base"]
Edge = tuple[Fraction | float, int]
"""A place on the number line: a number, and -1 for just below it, 0 for the number itself, 1 for just above it."""
Interval = tuple[Edge, Edge]
"""The first and the last place that belong to it."""
Region = tuple[Interval, ...]
"""Intervals in ascending order that do not touch each other, so that equal sets of numbers are equal tuples."""

CONSTANTS = ("e", "i", "\\pi")
"""Names that stand for one number."""
_SYMBOL = re.compile(
    r"(?:m?\s*\\(?:angle|triangle|overline|widehat)\s*)?\{?\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\([a-z\d]\))?'?\}?"
)
_BASE = re.compile(r"([0-9A-Za-z]+)_\{?\s*(?:\\text\s*)?\{?\s*(\d{1,3}|[a-z]{3,7})\}?\s*\}?")
_RATIO = re.compile(r"-?\d+(?:\s*(?::|\bto\b)\s*-?\d+)+")
_RELATION = re.compile(r"(\\[lg][et](?![a-z])|<|>)")
_LESS, _CLOSED = ("\\le", "\\lt", "<"), ("\\le", "\\ge")
_REALS = re.compile(r"\\(?:mathbb|mathbf|text|Bbb)?\s*\{?R\}?")
_ALL_BUT = re.compile(r"\\mathbb\s*\{?R\}?\s*\\?(?:setminus|backslash|smallsetminus|-)\s*\\\{([^{}]+)\\\}")
_SET_BUILDER = re.compile(r"\\\{\s*[A-Za-z]\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\||:)\s*(.+?)\s*\\\}")
_MEMBERSHIP = re.compile(r"^[A-Za-z]\s*\\in(?![a-z])\s*")
_ABSOLUTE = re.compile(r"\|\s*[A-Za-z]\s*\|\s*(\\le|\\ge|<|>)\s*([^-+<>=\s][^-+<>=]*)")
_UNEQUAL = re.compile(r"[A-Za-z]\s*\\ne(?![a-z])\s*([^,<>=]+)")
_JOINED: tuple[tuple[Kind, str], ...] = (
    ("union", r"\bor\b|\\lor(?![a-z])|\\vee(?![a-z])"),
    ("intersection", r"\band\b|\\land(?![a-z])|\\wedge(?![a-z])"),
)
_COMMA = r",\s*(?:and|or)\b|,|;|\b(?:and|or)\b|\\(?:text|lor|vee)(?![a-z])"


@dataclass(frozen=True, slots=True)
class Shape:
    """An answer split into its outermost parts.

    Attributes:
        parts: the members of a list, tuple, union or intersection; the ends of an interval; the sides of an equation,
            or of a chain (`x=y=2`); the terms of a ratio; the digits and the base of a number in another base; the
            text of a value.
        brackets: of an interval or a tuple, such as `[)`.
        braced: whether a list stands in braces.
        names: the names of a list such as `x=1, y=2` if each member has one of its own.
    """

    kind: Kind
    parts: tuple[str, ...]
    brackets: str = ""
    braced: bool = False
    names: tuple[str, ...] = ()


def shape(text: str) -> Shape:
    """The shape of a normalized answer; anything unknown is a value."""
    text = text.strip()
    text = found[1] if (found := _SET_BUILDER.fullmatch(text)) else _MEMBERSHIP.sub("", text)
    if _REALS.fullmatch(text):
        return Shape("interval", ("-\\infty", "\\infty"), "()")
    if left_out := _ALL_BUT.fullmatch(text):
        return Shape("intersection", tuple(f"x\\ne {part}" for part in split(left_out[1], ",")))
    if (found := _BASE.fullmatch(text)) and (base := meaning_of(found[2]) or found[2]).isdecimal():
        return Shape("base", (found[1].upper().lstrip("0") or "0", base))
    members = split(text, r"\\cup(?![a-z])")
    if len(members) > 1:
        return Shape("union", tuple(members))
    if outer := _bracketed(text) or _inequality(text) or _excluding(text) or _conditions(text) or _list(text):
        return outer
    if _RATIO.fullmatch(text):
        return Shape("ratio", tuple(part.strip() for part in re.split(":|to", text)))
    sides = split(text, "=")
    if len(sides) == 2 and all(sides):
        return Shape("equation", tuple(sides))
    return Shape("chain", tuple(sides)) if len(sides) > 2 else Shape("value", (text,))


def is_symbol(text: str) -> bool:
    """Whether a side of an equation is only a name, `x`, `f(x)`, `a_1`, `\\theta`, or a tuple of names, `(x,y)`."""
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        return all(_SYMBOL.fullmatch(part) for part in split(text[1:-1], ","))
    return text not in CONSTANTS and bool(_SYMBOL.fullmatch(text))


def split(text: str, separator: str) -> list[str]:
    """The parts between matches of a pattern outside of all brackets."""
    parts, depth, start = [], 0, 0
    for found in re.finditer(rf"([(\[{{])|([)\]}}])|{separator}", text):
        if found[1] or found[2]:
            depth += 1 if found[1] else -1
        elif depth == 0:
            parts.append(text[start : found.start()].strip())
            start = found.end()
    return [*parts, text[start:].strip()]


def region(found: Shape) -> Region | None:
    """The set of real numbers that a shape stands for; None if it is not one, or an end is not a plain number."""
    if found.kind in ("union", "intersection"):
        parts = [part for text in found.parts if (part := region(shape(text))) is not None]
        if len(parts) < len(found.parts):
            return None
        return union(chain.from_iterable(parts)) if found.kind == "union" else reduce(intersection, parts)
    if found.kind == "list" and found.braced:
        points = [rational(part.replace(" ", "")) for part in found.parts]
        return None if None in points else union(((point, 0), (point, 0)) for point in points if point is not None)
    if found.kind not in ("interval", "tuple") or len(found.parts) != 2:
        return None
    low = _edge(found.parts[0], ("-\\infty",), -inf, 0 if found.brackets[0] == "[" else 1)
    high = _edge(found.parts[1], ("\\infty", "+\\infty"), inf, 0 if found.brackets[1] == "]" else -1)
    return union([(low, high)]) if low and high else None


def union(parts: Iterable[Interval]) -> Region:
    """The numbers in any of the parts."""
    joined: list[Interval] = []
    for low, high in sorted(part for part in parts if part[0] <= part[1]):
        if joined and (low[0], low[1] - 1) <= joined[-1][1]:  # no number lies between them
            low, high = joined[-1][0], max(joined.pop()[1], high)
        joined.append((low, high))
    return tuple(joined)


def intersection(one: Region, other: Region) -> Region:
    """The numbers in both."""
    return union((max(left[0], right[0]), min(left[1], right[1])) for left in one for right in other)


def _edge(end: str, infinite: Sequence[str], infinity: float, side: int) -> Edge | None:
    end = end.replace(" ", "")
    value = rational(end)
    return (infinity, 0) if end in infinite else None if value is None else (value, side)


def _bracketed(text: str) -> Shape | None:
    """An interval or a tuple."""
    if len(text) < 5 or text[0] not in "([" or text[-1] not in ")]" or not _encloses(text):
        return None
    ends, brackets = split(text[1:-1], ","), text[0] + text[-1]
    if len(ends) < 2 or not all(ends):
        return None
    interval = len(ends) == 2 and (brackets != "()" or any("\\infty" in end for end in ends))
    return Shape("interval" if interval else "tuple", tuple(ends), brackets)


def _encloses(text: str) -> bool:
    """Whether the first bracket closes at the very end, with either kind of bracket as in `(1,2]`."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0:
            return position == len(text) - 1
    return False


def _inequality(text: str) -> Shape | None:
    """`1 \\le x < 2` and `x > 3` as intervals."""
    parts = [part.strip() for part in _RELATION.split(text)]
    terms, signs = parts[::2], parts[1::2]
    if len({sign in _LESS for sign in signs}) != 1 or len(signs) > 2:
        return None
    middle = 0 if len(signs) == 1 and is_symbol(terms[0]) else 1
    if not is_symbol(terms[middle]):
        return None
    before = (terms[middle - 1], signs[middle - 1] in _CLOSED) if middle else None
    after = (terms[middle + 1], signs[middle] in _CLOSED) if middle < len(signs) else None
    low, high = (before, after) if signs[0] in _LESS else (after, before)
    low, high = low or ("-\\infty", False), high or ("\\infty", False)
    return Shape("interval", (low[0], high[0]), "(["[low[1]] + ")]"[high[1]])


def _excluding(text: str) -> Shape | None:
    """`x \\ne a`, `|x| < a` and `|x| > a` as an interval or a union."""
    if found := _UNEQUAL.fullmatch(text):
        return Shape("union", (f"(-\\infty,{found[1]})", f"({found[1]},\\infty)"))
    if not (found := _ABSOLUTE.fullmatch(text)):
        return None
    end = found[2].strip()
    opening, closing = "[]" if found[1] in _CLOSED else "()"
    if found[1] in _LESS:
        return Shape("interval", (f"-{end}", end), opening + closing)
    return Shape("union", (f"(-\\infty,-{end}{closing}", f"{opening}{end},\\infty)"))


def _conditions(text: str) -> Shape | None:
    """`x < -1 or x > 1` as a union, `x > 1 and x < 3` as an intersection."""
    for kind, word in _JOINED:
        parts = split(text, word)
        names = set(map(_condition_name, parts))
        if len(parts) > 1 and len(names) == 1 and "" not in names:
            return Shape(kind, tuple(parts))
    return None


def _condition_name(text: str) -> str:
    """The only name in a condition; empty if there are several, or if the text is not a condition."""
    names = set(re.findall(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", text))
    return names.pop() if len(names) == 1 and (_inequality(text) or _excluding(text)) else ""


def _list(text: str) -> Shape | None:
    braced = text.startswith("\\{") and text.endswith("\\}")
    parts = [part for part in split(text[2:-2].strip() if braced else text, _COMMA) if part]
    sides = [_name_and_value(value) for part in parts for value in _signs(part)]
    if len(sides) < 2 and not (braced and sides):
        return None
    names = tuple(name for name, _ in sides if name)
    distinct = names if len(set(names)) == len(sides) > 1 else ()
    return Shape("list", tuple(value for _, value in sides), braced=braced, names=distinct)


def _signs(text: str) -> list[str]:
    """`\\pm 2` and `1 \\pm \\sqrt{2}` as two values."""
    if text.count("\\pm") != 1:
        return [text]
    before, after = map(str.strip, text.split("\\pm"))
    return [f"{before}+{after}".lstrip("+"), f"{before}-{after}"]


def _name_and_value(text: str) -> tuple[str, str]:
    """Name and value of `x=1`; an empty name for anything else."""
    sides = split(text, "=")
    return (sides[0].lstrip("\\"), sides[1]) if len(sides) == 2 and is_symbol(sides[0]) else ("", text)
