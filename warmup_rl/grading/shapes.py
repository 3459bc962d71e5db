"""The outer shape of a mathematical answer: interval, tuple, list, equation, inequality, ratio, or a single value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from warmup_rl.grading.spoken import meaning

Kind = Literal["value", "list", "tuple", "interval", "union", "meet", "equation", "chain", "ratio", "base"]
_OPEN, _CLOSE = "([{", ")]}"
CONSTANTS = ("e", "i", "\\pi")
"""Names that stand for one number."""
_SYMBOL = re.compile(
    r"(?:m?\s*\\(?:angle|triangle|overline|widehat)\s*)?\{?\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\([a-z\d]\))?'?\}?"
)
_BASE = re.compile(r"([0-9A-Za-z]+)_\{?\s*(?:\\text\s*)?\{?\s*(\d{1,3}|[a-z]{3,7})\}?\s*\}?")
_CHAIN = re.compile(r"(\\le(?![a-z])|\\ge(?![a-z])|<|>|\\lt(?![a-z])|\\gt(?![a-z]))")
_LESS = {"\\le": (True, True), "<": (True, False), "\\lt": (True, False), "\\ge": (False, True), ">": (False, False),
         "\\gt": (False, False)}  # fmt: skip

_REALS = re.compile(r"\\(?:mathbb|mathbf|text|Bbb)?\s*\{?R\}?")
_ALL_BUT = re.compile(r"\\mathbb\s*\{?R\}?\s*\\?(?:setminus|backslash|smallsetminus|-)\s*\\\{([^{}]+)\\\}")
_SET_BUILDER = re.compile(r"\\\{\s*([A-Za-z])\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\||:)\s*(.+?)\s*\\\}")
_ABSOLUTE = re.compile(r"\|\s*[A-Za-z]\s*\|\s*(\\le|\\ge|<|>)\s*([^-+<>=\s][^-+<>=]*)")
_JOINED: tuple[tuple[Kind, str], ...] = (
    ("union", r"\bor\b|\\lor(?![a-z])|\\vee(?![a-z])"),
    ("meet", r"\band\b|\\land(?![a-z])|\\wedge(?![a-z])"),
)
_UNEQUAL = re.compile(r"[A-Za-z]\s*\\ne(?![a-z])\s*([^,<>=]+)")


@dataclass(frozen=True, slots=True)
class Shape:
    """An answer taken apart one level deep.

    Attributes:
        parts: of a list, tuple, union or meet (conditions joined by `and`) its members; of an interval its ends; of an
            equation its sides, of a chain (`x=y=2`) too; of a ratio its terms; of a number in another base digits and
            base; of a value the value.
        brackets: of an interval, such as `[)`.
        braced: a list that stands in braces.
        names: of a list such as `x=1, y=2` the names, one a member and no two the same.
    """

    kind: Kind
    parts: tuple[str, ...]
    brackets: str = ""
    braced: bool = False
    names: tuple[str, ...] = ()


def shape(text: str) -> Shape:
    """The shape of a cleaned answer; what is none of the others is a value."""
    text = _without_membership(text.strip())
    if _REALS.fullmatch(text):
        return Shape("interval", ("-\\infty", "\\infty"), "()")
    if left_out := _ALL_BUT.fullmatch(text):
        return Shape("meet", tuple(f"x\\ne {part}" for part in split(left_out[1], ",")))
    if (found := _BASE.fullmatch(text)) and (base := meaning(found[2]) or found[2]).isdecimal():
        return Shape("base", (found[1].upper().lstrip("0") or "0", base))
    members = split(text, r"\\cup(?![a-z])")
    if len(members) > 1:
        return Shape("union", tuple(members))
    if outer := _interval(text) or _inequality(text) or _absolute(text) or _conditions(text) or _listed(text):
        return outer
    if re.fullmatch(r"-?\d+(?:\s*(?::|\bto\b)\s*-?\d+)+", text):
        return Shape("ratio", tuple(part.strip() for part in re.split(":|to", text)))
    sides = split(text, "=")
    if len(sides) == 2 and all(sides):
        return Shape("equation", tuple(sides))
    if len(sides) > 2:
        return Shape("chain", tuple(sides))
    return Shape("value", (text,))


def is_symbol(text: str) -> bool:
    """Whether a side of an equation is a name alone, `x`, `f(x)`, `a_1`, `\\theta`, or a tuple of such, `(x,y)`."""
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        return all(_SYMBOL.fullmatch(part) for part in split(text[1:-1], ","))
    return text not in CONSTANTS and bool(_SYMBOL.fullmatch(text))


def split(text: str, separator: str) -> list[str]:
    """The parts between separators (a pattern) that stand in no bracket; a single part where there are none."""
    parts, depth, start, position = [], 0, 0, 0
    pattern = re.compile(separator)
    while position < len(text):
        character = text[position]
        if character == "\\" and text[position + 1 : position + 2] in ("{", "}"):
            depth += 1 if text[position + 1] == "{" else -1
            position += 2
            continue
        if character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif depth == 0 and (match := pattern.match(text, position)) and match.end() > position:
            parts.append(text[start:position].strip())
            start = position = match.end()
            continue
        position += 1
    return [*parts, text[start:].strip()]


def _without_membership(text: str) -> str:
    """`x \\in [1,2]` as `[1,2]`, and `\\{x : x > 1\\}` as `x > 1`."""
    if found := _SET_BUILDER.fullmatch(text):
        return found[2].strip()
    found = re.match(r"[A-Za-z]\s*\\in(?![a-z])\s*", text)
    return text[found.end() :] if found else text


def _interval(text: str) -> Shape | None:
    if len(text) < 5 or text[0] not in "([" or text[-1] not in ")]" or not _encloses(text):
        return None
    ends = split(text[1:-1], ",")
    mixed = text[0] + text[-1] in ("[)", "(]")
    infinite = any("\\infty" in end for end in ends)
    if len(ends) == 2 and all(ends) and (mixed or infinite or text[0] == "["):
        return Shape("interval", tuple(ends), text[0] + text[-1])
    if len(ends) > 1 and all(ends):
        return Shape("tuple", tuple(ends), text[0] + text[-1])
    return None


def _encloses(text: str) -> bool:
    """Whether the first bracket closes at the very end; `(1,2]` counts, whatever the two look like."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0:
            return position == len(text) - 1
    return False


def _inequality(text: str) -> Shape | None:
    """`1 \\le x < 2` and `x > 3` as intervals."""
    parts = [part.strip() for part in _CHAIN.split(text)]
    if len(parts) == 3:
        left, sign, right = parts
        if is_symbol(right) and not is_symbol(left):
            less, closed = _LESS[sign]
            left, right, less = right, left, not less
        elif is_symbol(left):
            less, closed = _LESS[sign]
        else:
            return None
        if less:
            return Shape("interval", ("-\\infty", right), "(" + ("]" if closed else ")"))
        return Shape("interval", (right, "\\infty"), ("[" if closed else "(") + ")")
    if len(parts) == 5 and is_symbol(parts[2]):
        (less, first), (also, second) = _LESS[parts[1]], _LESS[parts[3]]
        if less != also:
            return None
        low, high, low_closed, high_closed = parts[0], parts[4], first, second
        if not less:
            low, high, low_closed, high_closed = high, low, second, first
        return Shape("interval", (low, high), ("[" if low_closed else "(") + ("]" if high_closed else ")"))
    return None


def _absolute(text: str) -> Shape | None:
    """`|x| < a`, `|x| > a` and `x \\ne a`."""
    if found := _UNEQUAL.fullmatch(text):
        return Shape("union", (f"(-\\infty,{found[1]})", f"({found[1]},\\infty)"))
    if not (found := _ABSOLUTE.fullmatch(text)):
        return None
    less, closed = _LESS[found[1]]
    far = found[2].strip()
    if less:
        return Shape("interval", (f"-{far}", far), "[]" if closed else "()")
    opening, closing = ("[", "]") if closed else ("(", ")")
    return Shape("union", (f"(-\\infty,-{far}{closing}", f"{opening}{far},\\infty)"))


def _conditions(text: str) -> Shape | None:
    """`x < -1 or x > 1` as a union, `x > 1 and x < 3` as a meet."""
    for kind, word in _JOINED:
        parts = split(text, word)
        if len(parts) > 1 and all(map(_condition, parts)) and len(set(map(_condition, parts))) == 1:
            return Shape(kind, tuple(parts))
    return None


def _condition(text: str) -> str:
    """The name that a condition is about; empty for what is none."""
    if not (_inequality(text) or _absolute(text)):
        return ""
    names = set(re.findall(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", text))
    return names.pop() if len(names) == 1 else ""


def _listed(text: str) -> Shape | None:
    braced = text.startswith("\\{") and text.endswith("\\}") and len(split(text, r"\Z(?!\Z)")) == 1
    inner = text[2:-2].strip() if braced else text
    parts = [part for part in split(inner, r",\s*(?:and|or)\b|,|;|\b(?:and|or)\b|\\(?:text|lor|vee)(?![a-z])") if part]
    parts = [value for part in parts for value in _signs(part)]
    if len(parts) < 2 and not (braced and parts):
        return None
    sides = [_named(part) for part in parts]
    names = tuple(name for name, _ in sides if name)
    distinct = names if len(set(names)) == len(parts) > 1 else ()
    return Shape("list", tuple(value for _, value in sides), braced=braced, names=distinct)


def _signs(text: str) -> list[str]:
    """`\\pm 2` and `1 \\pm \\sqrt{2}` as two values."""
    if text.count("\\pm") != 1:
        return [text]
    before, after = text.split("\\pm")
    return [f"{before.strip()}+{after.strip()}".lstrip("+"), f"{before.strip()}-{after.strip()}"]


def _named(text: str) -> tuple[str, str]:
    """Name and value of `x=1`; no name for what is not of this kind."""
    sides = split(text, "=")
    return (sides[0].lstrip("\\"), sides[1]) if len(sides) == 2 and is_symbol(sides[0]) else ("", text)
