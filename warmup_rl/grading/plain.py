"""Graders for simple kinds of answers: numbers, exact text, sets, JSON and patterns."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from fractions import Fraction
from typing import Any

import regex

from warmup_rl.base.types import Grade
from warmup_rl.grading.math import final_answer
from warmup_rl.grading.math_normalize import normalize, rational

PATTERN_SECONDS = 1.0
"""Time limit for matching a pattern."""
_FENCED = re.compile(r"^```[a-z]*[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_ENDS = " \t\n.,;:!\"'`*"


def same_number(
    *, gold: str, answer: str, tolerance: float = 0.0, relative: float = 0.0, units: Collection[str] = ()
) -> Grade:
    """Grades whether two numbers differ by at most `tolerance`, or by the fraction `relative` of the reference.

    An answer is one number, boxed or alone, with or without one of the units. If the reference has no unit, the answer
    may have any of `units`, but no other.

    Args:
        units: spellings of the unit of the data, such as `km` and `kilometers`.
    """
    extracted = final_answer(answer)
    given = normalize(_without(units, extracted)) if extracted else None
    value = rational(given.body) if given else None
    reference = normalize(_without(units, final_answer(gold) or gold))
    expected = rational(reference.body)
    if given is None or value is None:
        return Grade("none", extracted, "not one number")
    if expected is None:
        return Grade("wrong", given.body, f"the reference {gold!r} is not a number")
    if given.unit not in (reference.unit, ""):
        return Grade("wrong", given.body, f"the unit is {given.unit}")
    gap = abs(value - expected)
    near = gap <= Fraction(tolerance) or gap <= Fraction(relative) * abs(expected)
    return Grade("correct" if near else "wrong", given.body)


def same_text(*, gold: str, answer: str, ignore_case: bool = True) -> Grade:
    """Grades whether two texts are the same, except for white space and final punctuation."""
    given, reference = _plain(answer, ignore_case), _plain(gold, ignore_case)
    if not given:
        return Grade("none", None, "empty answer")
    return Grade("correct" if given == reference else "wrong", given[:300])


def same_set(*, gold: str, answer: str, ignore_case: bool = True) -> Grade:
    """Grades whether two lists, separated by commas, semicolons or lines, have the same members in any order."""
    given, reference = _members(answer, ignore_case), _members(gold, ignore_case)
    if not given:
        return Grade("none", None, "empty answer")
    return Grade("correct" if given == reference else "wrong", ", ".join(sorted(given))[:300])


def same_json(*, gold: str, answer: str) -> Grade:
    """Grades whether two JSON values are equal, fenced or bare, with keys in any order. `1` is not `true`."""
    fenced = _FENCED.findall(answer)
    try:
        given = json.loads(fenced[-1] if fenced else answer)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        return Grade("none", None, f"not JSON ({type(error).__name__})")
    return Grade("correct" if _typed(given) == _typed(json.loads(gold)) else "wrong", json.dumps(given)[:300])


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


def _without(units: Collection[str], text: str) -> str:
    """The text without one of these units at its end."""
    for unit in sorted(units, key=len, reverse=True):
        pattern = rf"(.*[\d.)}}])\s*(?:\\text\{{)?\s*{re.escape(unit)}\s*\}}?[\s.]*"
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return found[1]
    return text


def _plain(text: str, ignore_case: bool) -> str:
    text = " ".join(text.split()).strip(_ENDS)
    return text.casefold() if ignore_case else text


def _members(text: str, ignore_case: bool) -> frozenset[str]:
    inner = text.strip().strip("[](){}")
    parts = (_plain(part, ignore_case) for part in re.split(r"[,;\n]", inner))
    return frozenset(part for part in parts if part)


def _typed(value: Any) -> Any:
    """A value that compares unequal if a number and a truth value are exchanged."""
    if isinstance(value, dict):
        return {key: _typed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_typed(part) for part in value]
    return (type(value) is bool, value)
