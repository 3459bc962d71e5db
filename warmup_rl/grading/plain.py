"""Graders for simple kinds of answers: numbers, exact text, sets, JSON and patterns."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from itertools import takewhile
from typing import Any

import regex

from warmup_rl.base.types import Grade
from warmup_rl.grading.final_answer import boxed, last_block
from warmup_rl.grading.math import MAX_LENGTH, final_answer
from warmup_rl.grading.math_copies import COPIED, copied
from warmup_rl.grading.math_remarks import without_remark
from warmup_rl.grading.math_structure import shape
from warmup_rl.grading.math_value import rational
from warmup_rl.grading.math_words import read_answer, without_unit

MAX_TEXT = 20_000
"""Characters of a text or a list; longer answers are wrong."""
PATTERN_SECONDS = 0.5
"""Time limit for matching a pattern."""
_PAIRS = ("**", "__", "`", '"', "'", "*", "$")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}")
_BULLET = re.compile(r"(?:[-*\u2022]|\d{1,3}[.)])\s+(?=\S)")
_NAME = re.compile(r"^\s*\$?\s*\\?[A-Za-z]\w{0,20}\s*(?:=|\\approx)\s*")
"""A name before a number, as in `x = 42`."""
_BRACKETS = {"[": "]", "{": "}", "(": ")"}


def same_number(
    *,
    gold: str,
    answer: str,
    tolerance: float = 0.0,
    relative: float = 0.0,
    units: Collection[str] = (),
    question: str = "",
) -> Grade:
    """Grades whether two numbers differ by at most `tolerance`, or by the fraction `relative` of the reference.

    An answer is one number, boxed or alone, with or without one of the units. If the reference has no unit, the answer
    may have any of `units`, but no other.

    Args:
        units: spellings of the unit of the data, such as `km` and `kilometers`.
        question: a fraction that stands in it, such as `24/2`, counts only where the reference has the same form.
    """
    extracted = _NAME.sub("", final_answer(answer) or "") or None
    if extracted is None or len(extracted) > MAX_LENGTH:
        return Grade("none", None, "not one number")
    given, reference = (
        without_remark(read_answer(without_unit(text, units))) for text in (extracted, final_answer(gold) or gold)
    )
    value, expected = rational(given.text), rational(reference.text)
    if value is None:
        return Grade("none", extracted, "not one number")
    if expected is None:
        return Grade("wrong", given.text, f"the reference {gold!r} is not a number")
    if given.unit not in (reference.unit, ""):
        return Grade("wrong", given.text, f"the unit is {given.unit}")
    gap = abs(value - expected)
    near = gap <= Fraction(tolerance) or gap <= Fraction(relative) * abs(expected)
    if near and copied(shape(given.tokens), shape(reference.tokens), question):
        return Grade("wrong", given.text, COPIED)
    return Grade("correct" if near else "wrong", given.text)


def same_text(*, gold: str, answer: str, ignore_case: bool = True) -> Grade:
    """Grades whether two texts are the same, except for white space, a final full stop, and what dresses an answer: a
    box, a code fence, a bullet, quotes or emphasis around it."""
    if not answer.strip():
        return Grade("none", None, "empty answer")
    if len(answer) > MAX_TEXT + len(gold):
        return Grade("wrong", answer[:300], f"longer than {MAX_TEXT} characters")
    given, reference = _plain(answer, ignore_case), _plain(gold, ignore_case)
    same = given == reference or _plain(undressed(answer), ignore_case) in (
        reference,
        _plain(undressed(gold), ignore_case),
    )
    return Grade("correct" if same else "wrong", given[:300])


def same_set(*, gold: str, answer: str, ignore_case: bool = True) -> Grade:
    """Grades whether two lists, separated by commas, semicolons, lines or a last `and`, have the same members in any
    order. Brackets around the whole answer may be added or left out, unless the reference has others."""
    if len(answer) > MAX_TEXT + len(gold):
        return Grade("wrong", answer[:300], f"longer than {MAX_TEXT} characters")
    bare = undressed(answer)
    if not bare:
        return Grade("none", None, "empty answer")
    outer, inner = _outer_bracket(gold.strip()), _outer_bracket(bare)
    readings = [
        tuple(_members(text, ignore_case, conjunction=conjunction) for text in (gold, bare))
        for conjunction in (False, True)
    ]
    same = any(reference and reference == given for reference, given in readings)
    json_list = outer == "[" and ('"' in gold or "'" in gold)
    fits = outer == inner or inner in ("", "[", "{") and (not outer or json_list)
    given = readings[1][1]
    if not given:
        return Grade("none", None, "empty answer")
    return Grade("correct" if same and fits else "wrong", ", ".join(sorted(given))[:300])


def same_json(*, gold: str, answer: str) -> Grade:
    """Grades whether two JSON values are equal, fenced, boxed or bare, with keys in any order. `1` is not `true`."""
    text = last_block(answer) or boxed(answer) or answer.strip("` \n")
    try:
        given = read_json(text)
        same = given == read_json(gold)
    except (RecursionError, ValueError, ArithmeticError) as error:
        return Grade("none", None, f"not JSON ({type(error).__name__})")
    return Grade("correct" if same else "wrong", text.strip()[:300])


def read_json(text: str) -> Any:
    """A JSON value with exact numbers, which compares unequal where a number and a truth value are exchanged.

    Raises:
        ValueError: no JSON, or a name twice in an object. RecursionError: nested too deeply. ArithmeticError: a number
            beyond all bounds.
    """
    value = json.loads(
        text, parse_float=Decimal, parse_constant=lambda name: ("constant", name), object_pairs_hook=_object
    )
    return _typed(value)


def matches(*, pattern: str, answer: str) -> Grade:
    """Grades whether the whole answer, without surrounding white space, matches a pattern."""
    text = answer.strip()
    if not text:
        return Grade("none", None, "empty answer")
    try:
        found = regex.fullmatch(pattern, text, timeout=PATTERN_SECONDS)
    except TimeoutError:
        return Grade("timeout", text[:300], f"not matched within {PATTERN_SECONDS:g} s")
    return Grade("correct" if found else "wrong", text[:300])


def undressed(text: str) -> str:
    """A text without a box, code fence, bullet, quotes or emphasis around it."""
    text = (last_block(text) or boxed(text) or text).strip()
    previous = ""
    while text != previous:
        previous, text = text, text if text.endswith("..") else text.removesuffix(".")
        if whole := _TEXT.fullmatch(text):
            text = whole[1].strip()
        for mark in _PAIRS:
            inner = text[len(mark) : -len(mark)]
            if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark) and mark[0] not in inner:
                text = inner.strip()
        if "\n" not in text and (bullet := _BULLET.match(text)):
            text = text[bullet.end() :]
    return text


def final_items(text: str) -> str:
    """The items of the list that ends a text; empty if none does."""
    items = list(takewhile(_BULLET.match, map(str.strip, reversed(text.strip().splitlines()))))
    return "\n".join(reversed(items)) if len(items) > 1 else ""


def _plain(text: str, ignore_case: bool) -> str:
    text = " ".join(text.split()).removesuffix(".").strip()
    return text.casefold() if ignore_case else text


def _outer_bracket(text: str) -> str:
    """The bracket that encloses a whole text; empty if none does."""
    text = text.replace("\\{", "{").replace("\\}", "}").removesuffix(".")
    depth = 0
    for place, character in enumerate(text):
        depth += (character in _BRACKETS) - (character in _BRACKETS.values())
        if depth == 0:
            closed = place == len(text) - 1 and len(text) > 1
            return text[0] if closed and _BRACKETS.get(text[0]) == text[-1] else ""
    return ""


def _members(text: str, ignore_case: bool, *, conjunction: bool) -> frozenset[str]:
    """The members of a list.

    Args:
        conjunction: whether `and` and `&` before the last one separate, too.
    """
    text = text.strip()
    if _outer_bracket(text):
        text = text.removesuffix(".").replace("\\{", "{").replace("\\}", "}")[1:-1]
    parts, start, depth = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in _BRACKETS) - (character in _BRACKETS.values())
        if character == "\n" or character in ",;" and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    if conjunction:
        last = parts.pop() if parts[-1].strip() or len(parts) < 2 else ""
        parts += re.split(r"(?:^|\s)(?:and|&)\s", last)
    return frozenset(found for part in parts if (found := _plain(undressed(part), ignore_case)))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name twice")
    return found


def _typed(value: Any) -> Any:
    """A value that compares unequal if a number and a truth value are exchanged."""
    if isinstance(value, dict):
        return {key: _typed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_typed(part) for part in value]
    return (type(value) is bool, value)
