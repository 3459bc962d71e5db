"""The structure of a mathematical answer: interval, tuple, list, equation, inequality, ratio, or a single value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from itertools import accumulate, chain
from math import inf
from typing import Literal

from warmup_rl.grading.math_tokens import CLOSING, FUNCTIONS, OPENING, Token, Tokens, encloses, plain, spelled
from warmup_rl.grading.math_tree import Tree, Unparsed, names, parse
from warmup_rl.grading.math_value import real, rounds_to_places
from warmup_rl.grading.math_words import NUMBERS

Kind = Literal[
    "value", "list", "tuple", "interval", "union", "intersection", "difference", "equation", "relation", "ratio", "base"
]
Edge = tuple[Fraction | float, int]
"""A place on the number line: a number, and -1 for just below it, 0 for the number itself, 1 for just above it."""
Interval = tuple[Edge, Edge]
"""The first and the last place that belong to it."""
Region = tuple[Interval, ...]
"""Intervals in ascending order that do not touch each other, so that equal sets of numbers are equal tuples."""

_LESS, _GREATER, _CLOSED = ("<", "\\le"), (">", "\\ge"), ("\\le", "\\ge")
_SIGNS = ("=", "\\ne", "\\approx", *_LESS, *_GREATER)
_OR, _AND = ("or", "\\lor"), ("and", "\\land")
_SYMBOL = re.compile(
    r"(?:m ?)?(?:\\(?:angle|triangle|overline|widehat|vec) ?)?(?:\\?[A-Za-z]+|\{[A-Z ]+\})"
    r"(?:_(?:\{[\w ,]+\}| ?\w))?'*(?:(?:\^(?:\{-1\}|\{\(\d+\)\}))?\([\w,./|-]+\))?"
    r"|\([a-z](?:\\circ ?[a-z])+\)\([\w,./-]+\)"
)
_INFINITY: Tree = ("c", "infinity")
_SYSTEMS = ("cases", "aligned", "align", "align*", "gathered", "split")


@dataclass(frozen=True, slots=True)
class Shape:
    """An answer split into its outermost parts.

    Attributes:
        text: canonical spelling; all there is to compare of a value without `tree`, which is not understood.
        parts: the members of a list or tuple; the ends of an interval; what a union, intersection or difference is
            made of; the sides of an equation; the terms of a ratio; the decimal beside an exact value.
        tree: of a value; of a relation between expressions (`x+y<3`), the difference that is below zero; None for one
            without a left side (`>3`), whose sign is in `brackets`.
        brackets: of an interval or a tuple, such as `[)`; `{}` for a set; the base of a number in another base.
            For an equation `label` if its first side only says what the value is of (see `label`).
        names: the names of a list such as `x=1, y=2` if each member has one of its own; the name in a condition; the
            name that is the first side of an equation.
    """

    kind: Kind
    text: str
    parts: tuple[Shape, ...] = ()
    tree: Tree | None = None
    brackets: str = ""
    names: tuple[str, ...] = ()


def shape(tokens: Tokens) -> Shape:
    """The shape of an answer; what is not understood is a value without a tree."""
    while len(tokens) > 1 and tokens[0].text == "{" and encloses(tokens):
        tokens = tokens[1:-1]
    text = spelled(plain(tokens))
    readers: tuple[Callable[[Tokens], Shape | None], ...] = (
        _system, _set_builder, _sets, _bracketed, _conditions, _list, _relation, _ratio, _base,
    )  # fmt: skip
    for read in readers:
        if found := read(tokens):
            return replace(found, text=text)
    if [token.text for token in tokens] == ["\\R"]:
        return replace(_everything(), text=text)
    try:
        return Shape("value", text, tree=parse(tokens))
    except (Unparsed, ValueError):
        return Shape("value", text)


def split(tokens: Tokens, *separators: str) -> list[Tokens]:
    """The parts between separators outside of all brackets."""
    parts, depth, start = [], 0, 0
    for place, token in enumerate(tokens):
        if token.text in OPENING:
            depth += 1
        elif token.text in CLOSING:
            depth -= 1
        elif depth == 0 and token.text in separators:
            parts.append(tokens[start:place])
            start = place + 1
    return [*parts, tokens[start:]]


def symbol(tokens: Tokens) -> str:
    """The name that a side of an equation is, such as `x`, `f(x)`, `a_1`, `\\theta`, `Area` or `(x,y)`; else empty."""
    text = spelled(tokens)
    if len(tokens) > 2 and tokens[0].text == "(" and encloses(tokens):
        return text if all(map(symbol, split(tokens[1:-1], ","))) else ""
    known = all(token.kind != "command" or token.text in ("\\overline", "\\widehat", "\\vec") for token in tokens)
    return text if known and text not in ("e", "i", "\\pi") and _SYMBOL.fullmatch(text) else ""


def label(tokens: Tokens) -> bool:
    """Whether a side of an equation only says what the other side is the value of: it has names and no numbers, but
    for those in subscripts, arguments and powers of functions, as in `|AB|`, `a:b`, `m+n`, `P(2)`, `\\sin^2 x`."""
    inner = 0
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else None
        power = place > 1 and tokens[place - 1].text == "^" and tokens[place - 2].text[1:] in FUNCTIONS
        index = power or before is not None and before.text == "_"
        called = token.text == "(" and before is not None and before.kind in ("name", "word")
        if inner or index and token.text == "{" or called:
            inner += (token.text in OPENING) - (token.text in CLOSING)
        elif token.kind == "number" and not index:
            return False
    return any(
        token.kind == "name" and token.text not in ("e", "i", "\\pi") or token.kind == "word" for token in tokens
    )


def region(found: Shape) -> Region | None:
    """The set of real numbers that a shape stands for; None if it is not one, or an end is no real number."""
    if found.kind in ("union", "intersection", "difference"):
        parts = [part for one in found.parts if (part := region(one)) is not None]
        if len(parts) < len(found.parts):
            return None
        if found.kind == "difference":
            return reduce(lambda left, right: intersection(left, _complement(right)), parts)
        return union(chain.from_iterable(parts)) if found.kind == "union" else reduce(intersection, parts)
    if found.kind == "list" and found.brackets:
        points = [_end(part, 0) for part in found.parts]
        return None if None in points else union((point, point) for point in points if point is not None)
    if found.kind not in ("interval", "tuple") or len(found.parts) != 2:
        return None
    low = _end(found.parts[0], 0 if found.brackets[0] == "[" else 1)
    high = _end(found.parts[1], 0 if found.brackets[1] == "]" else -1)
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


def _complement(found: Region) -> Region:
    """The numbers that are not in a region."""
    starts = [(-inf, 0), *((high[0], high[1] + 1) for _, high in found)]
    ends = [*((low[0], low[1] - 1) for low, _ in found), (inf, 0)]
    return union(zip(starts, ends, strict=True))


def _end(found: Shape, side: int) -> Edge | None:
    """An end of an interval, on its own number or beside it."""
    if found.tree and found.tree in (_INFINITY, ("-", _INFINITY)):
        return (-inf if found.tree[0] == "-" else inf, 0)
    number = real(found.tree) if found.tree else None
    return None if number is None else (number, side)


def _everything(name: str = "") -> Shape:
    """All numbers, as a condition on a name."""
    low, high = Shape("value", "-\\infty", tree=("-", _INFINITY)), Shape("value", "\\infty", tree=_INFINITY)
    return Shape("interval", "", (low, high), brackets="()", names=(name,) if name else ())


def _system(tokens: Tokens) -> Shape | None:
    """`\\begin{cases} x=5 \\\\ y=6 \\end{cases}` as a list."""
    texts = [token.text for token in tokens]
    if texts[:2] != ["\\begin", "{"] or "}" not in texts or not encloses(tokens[: -3 if texts[-1] == "}" else None]):
        return None
    if "".join(texts[2 : texts.index("}")]) not in _SYSTEMS:
        return None
    inner = [token for token in tokens[texts.index("}") + 1 : -4] if token.text != "&"]
    rows = [row for row in split(inner, "\\\\", ",") if row]
    comma = Token("mark", ",")
    return shape([token for row in rows for token in (*row, comma)][:-1])


def _set_builder(tokens: Tokens) -> Shape | None:
    """`\\{x \\mid x>1\\}` and `x \\in S` as the set."""
    texts = [token.text for token in tokens]
    if len(tokens) > 3 and tokens[0].kind == "name" and texts[1] == "\\in":
        return shape(tokens[2:])
    if len(tokens) < 6 or texts[0] != "\\{" or tokens[1].kind != "name" or not encloses(tokens):
        return None
    bar = 4 if texts[2:4] == ["\\in", "\\R"] else 2
    return shape(tokens[bar + 1 : -1]) if texts[bar] in ("|", ":") else None


def _sets(tokens: Tokens) -> Shape | None:
    """Unions, intersections and differences of sets."""
    texts = [token.text for token in tokens]
    if texts[:1] == ["\\R"] and texts[1:2] == ["-"]:
        tokens = [tokens[0], Token("mark", "\\setminus"), *tokens[2:]]
    kinds: tuple[tuple[Kind, str], ...] = (("union", "\\cup"), ("intersection", "\\cap"), ("difference", "\\setminus"))
    for kind, sign in kinds:
        parts = split(tokens, sign)
        if len(parts) > 1 and all(parts):
            return Shape(kind, "", tuple(map(shape, parts)))
    return None


def _bracketed(tokens: Tokens) -> Shape | None:
    """An interval or a tuple."""
    if len(tokens) < 5 or tokens[0].text not in ("(", "[") or tokens[-1].text not in (")", "]"):
        return None
    inner = tokens[1:-1]
    ends = split(inner, ";") if len(split(inner, ";")) > 1 else split(inner, ",")
    if not encloses(tokens) or len(ends) < 2 or not all(ends):
        return None
    brackets = tokens[0].text + tokens[-1].text
    interval = len(ends) == 2 and (brackets != "()" or any(token.text == "\\infty" for token in inner))
    return Shape("interval" if interval else "tuple", "", tuple(map(shape, ends)), brackets=brackets)


def _conditions(tokens: Tokens) -> Shape | None:
    """`x < -1 or x > 1` as a union, `x > 1 and x < 3` and `0<x<9, x \\ne 5` as an intersection."""
    kinds: tuple[tuple[Kind, tuple[str, ...]], ...] = (("union", _OR), ("intersection", (*_AND, ",")))
    for kind, words in kinds:
        pieces = [part for part in split(tokens, *words) if part]
        if len(pieces) < 2 or not all(any(token.text in _SIGNS for token in part) for part in pieces):
            continue
        parts = list(map(shape, pieces))
        single = all(part.kind in ("interval", "union") and len(part.names) == 1 for part in parts)
        bounds = sum(part.kind == "interval" for part in parts)
        if single and len({part.names for part in parts}) == 1 and (bounds < 2 or len(split(tokens, ",")) == 1):
            return Shape(kind, "", tuple(parts), names=parts[0].names)
    return None


def _list(tokens: Tokens) -> Shape | None:
    braced = len(tokens) > 1 and tokens[0].text == "\\{" and encloses(tokens)
    if [token.text for token in tokens] == ["\\emptyset"]:
        return Shape("list", "", brackets="{}")
    inner = tokens[1:-1] if braced else tokens
    separators = (";",) if len(split(inner, ";")) > 1 else (",", *_OR, *_AND)
    parts = [value for part in split(inner, *separators) if part for value in _signs(part)]
    if len(parts) < 2 and not braced:
        return None
    members = list(map(shape, parts))
    found = tuple(member.names[0] for member in members if member.kind == "equation" and member.names)
    distinct = len(set(found)) == len(members) > 1
    return Shape("list", "", tuple(members), brackets="{}" if braced else "", names=found if distinct else ())


def _signs(tokens: Tokens) -> list[Tokens]:
    """`\\pm 2` and `1 \\pm \\sqrt{2}` as two values."""
    if sum(token.text == "\\pm" for token in tokens) != 1:
        return [tokens]
    plus, minus = {"\\pm": "+", "\\mp": "-"}, {"\\pm": "-", "\\mp": "+"}
    return [[token._replace(text=sign.get(token.text, token.text)) for token in tokens] for sign in (plus, minus)]


def _relation(tokens: Tokens) -> Shape | None:
    """Equations, and inequalities as intervals where they bound a name."""
    sides = split(tokens, *_SIGNS)
    if len(sides) == 2 and not sides[0] and sides[1]:
        return Shape("relation", "", (shape(sides[1]),), brackets=tokens[0].text)
    if len(sides) < 2 or not all(sides):
        return None
    ends = accumulate(len(side) + 1 for side in sides[:-1])
    signs = [tokens[end - 1].text for end in ends]
    if signs[-1] == "\\approx":
        return _approximate(tokens, sides, signs)
    if set(signs) == {"="}:
        return _equation(sides)
    if signs == ["\\ne"] and symbol(sides[0]):
        point = Shape("list", "", (shape(sides[1]),), brackets="{}")
        everything = _everything(spelled(sides[0]))
        return Shape("union", "", (Shape("difference", "", (everything, point)),), names=everything.names)
    if set(signs) <= set(_LESS) or set(signs) <= set(_GREATER):
        if signs[0] in _GREATER:
            sides, signs = sides[::-1], signs[::-1]
        closed = [sign in _CLOSED for sign in signs]
        return _bounds(sides, closed) or _between_expressions(sides, closed)
    return None


def _equation(sides: list[Tokens]) -> Shape:
    if len(sides) == 2 and not symbol(sides[0]) and symbol(sides[1]):
        sides = sides[::-1]
    parts, name = tuple(map(shape, sides)), symbol(sides[0])
    last = parts[-1].tree
    is_label = label(sides[0]) and not (last and names(last))
    return Shape("equation", "", parts, brackets="label" if is_label else "", names=(name,) if name else ())


def _approximate(tokens: Tokens, sides: list[Tokens], signs: list[str]) -> Shape | None:
    """`x \\approx 3` as an equation; of `\\frac13 \\approx 0.33` the exact value and, as its part, the decimal, if that
    is its rounded value."""
    if symbol(sides[-2]):
        return _equation(sides)
    exact, decimal = shape(sides[-2]), shape(sides[-1])
    if exact.tree and decimal.tree and rounds_to_places(decimal.tree, exact.tree) and "\\approx" not in signs[:-1]:
        found = shape(tokens[: len(tokens) - len(sides[-1]) - 1])
        return replace(found, parts=(decimal,)) if found.kind == "value" else found
    return None


def _bounds(sides: list[Tokens], closed: list[bool]) -> Shape | None:
    """Sides in ascending order as an interval of the name that one of them is; `-x` and `|x|` also count as names."""
    if len(sides) > 3:
        return None
    middle = 1 if len(sides) == 3 or not _bounded(sides[0]) else 0
    kind, name = _bounded(sides[middle]) or ("", "")
    if not name:
        return None
    everything = _everything(name)
    low = shape(sides[middle - 1]) if middle else everything.parts[0]
    high = shape(sides[middle + 1]) if middle + 1 < len(sides) else everything.parts[1]
    opening = "[" if middle and closed[middle - 1] else "("
    closing = "]" if middle < len(closed) and closed[middle] else ")"
    if kind == "-":
        turned = {"[": "]", "(": ")", "]": "[", ")": "("}
        low, high, opening, closing = _negative(high), _negative(low), turned[closing], turned[opening]
    found = Shape("interval", "", (low, high), brackets=opening + closing, names=(name,))
    if kind != "|":
        return found
    if len(sides) == 2 and middle == 0:
        return replace(found, parts=(_negative(high), high), brackets=("[" if closing == "]" else "(") + closing)
    mirrored = replace(found, parts=(_negative(high), _negative(low)),
                       brackets=("[" if closing == "]" else "(") + ("]" if opening == "[" else ")"))  # fmt: skip
    return Shape("union", "", (found, mirrored), names=(name,))


def _bounded(tokens: Tokens) -> tuple[str, str] | None:
    """How a name is bounded, and the name: `` for `x`, `-` for `-x`, `|` for `|x|`."""
    if name := symbol(tokens):
        return "", name
    if tokens[0].text == "-" and (name := symbol(tokens[1:])):
        return "-", name
    if len(tokens) == 3 and tokens[0].text == tokens[2].text == "|" and (name := symbol(tokens[1:2])):
        return "|", name
    return None


def _negative(found: Shape) -> Shape:
    tree = found.tree and (found.tree[1] if found.tree[0] == "-" else ("-", found.tree))
    return replace(found, tree=tree, text=f"-{found.text}")


def _between_expressions(sides: list[Tokens], closed: list[bool]) -> Shape | None:
    """`x+y<3` as the difference of its sides."""
    values = [shape(side).tree for side in sides]
    if len(values) != 2 or values[0] is None or values[1] is None or not names(values[0]) | names(values[1]):
        return None
    return Shape("relation", "", tree=("+", values[0], ("-", values[1])), brackets="=" if closed[0] else "")


def _ratio(tokens: Tokens) -> Shape | None:
    """`3:4` and `3 to 4`."""
    terms = split(tokens, ":", "to")
    return Shape("ratio", "", tuple(map(shape, terms))) if len(terms) > 1 and all(terms) else None


def _base(tokens: Tokens) -> Shape | None:
    """`1011_2`, `(52)_8`, `52_{\\text{eight}}` and `52 \\text{ base } 8`."""
    texts = [token.text for token in tokens if token.text not in ("(", ")", "{", "}")]
    marks = [place for place, text in enumerate(texts) if text in ("_", "base")]
    if len(marks) not in (1, 2) or marks[-1] - marks[0] > 1:
        return None
    digits, base = "".join(texts[: marks[0]]), "".join(texts[marks[-1] + 1 :])
    base, sign = str(NUMBERS.get(base, base)), "-" * digits.startswith("-")
    digits = digits.removeprefix("-")
    if not re.search(r"\d", digits) or not digits.isalnum() or not base.isdecimal() or not 2 <= int(base[:4]) <= 36:
        return None
    return Shape("base", "", brackets=f"{sign}{digits.upper().lstrip('0') or '0'}_{int(base)}")
