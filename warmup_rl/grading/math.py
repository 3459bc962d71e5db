"""Grades a mathematical answer against a reference: by shape and spelling where that decides, else by math-verify."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from warmup_rl.errors import Unscorable
from warmup_rl.grading.latex import Clean, clean
from warmup_rl.grading.shapes import Shape, is_symbol, shape
from warmup_rl.grading.workers import SECONDS, Answered, TimedOut, verify
from warmup_rl.types import Grade

MAX_LENGTH, MAX_DIGITS = 300, 40
"""Answers that are longer, or hold a longer number, are not parsed."""

_INTEGER = re.compile(r"[+-]?\d{1,40}")
_DECIMAL = re.compile(r"([+-]?)(\d{0,40})\.(\d{0,40})")
_FRACTION = re.compile(
    r"([+-]?)\s*(\d{1,20})??\s*(?:\\frac\s*\{\s*([+-]?\d{1,20})\s*\}\s*\{\s*(\d{1,20})\s*\}|(?<!\d)(\d{1,20})\s*/\s*(\d{1,20}))"
)
_TOO_HEAVY = re.compile(
    r"\d{41,}"  # long numbers
    r"|\^\s*(?:\{[^{}]{0,40}|\([^()]{0,40}|\w{1,40}\s*)\^"  # towers of powers
    r"|\^\s*\{?\s*\(?[+-]?\d{4,}"  # large exponents
    r"|\d{4,}\s*\)?\s*!|!\s*\)*\s*!|\^[^!]{0,40}\)\s*!"  # large or repeated factorials
    r"|\\(?:sum|prod|int|binom|tbinom|dbinom)\b.*\d{4,}"
)
_LETTER = re.compile(r"\(?\s*([A-Za-z])\s*\)?")
_WORD = re.compile(
    r"(?<![\\A-Za-z])(?!(?:sin|cos|tan|cot|sec|csc|log|exp|sqrt|inf|infinity|max|min|mod|gcd|lcm|det|and|frac|times)\b)"
    r"[A-Za-z]{3,}(?![A-Za-z])"
)
_SPACE = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_TERM = re.compile(r"[+-]?\d+(?:\.\d+)?\s*\*?\s*[A-Za-z]")
"""A number times a name, which math-verify takes for a number with a unit."""
_SAME_DECIMALS = 6
"""A decimal of at least so many places stands for the fraction that rounds to it (as in math-verify)."""


@dataclass(frozen=True, slots=True)
class _Late(Exception):
    """A comparison ran out of time."""


def same_answer(*, gold: str, answer: str) -> Grade:
    """Whether `answer` means the same as `gold`.

    Where the answer holds a `\\boxed{}`, its last balanced box is the answer, else all of it is; nothing else counts.
    A unit may be left out, and must be the same where both give one; percent signs likewise. Order and brackets of
    tuples and intervals count, those of sets do not.

    Raises:
        Unscorable: the reference answer itself cannot be parsed, or the workers cannot run.
    """
    extracted = final_answer(answer)
    if extracted is None:
        return Grade("none", None, "an empty or unbalanced box, or no answer")
    if len(extracted) > MAX_LENGTH:
        return Grade("wrong", extracted[:MAX_LENGTH], f"longer than {MAX_LENGTH} characters")
    reference, given = clean(final_answer(gold) or gold), clean(extracted)
    shown = given.body or extracted
    if not given.body:
        return Grade("wrong", shown, "no mathematics")
    if refusal := _refusal(given.body, reference.body):
        return Grade("wrong", shown, refusal)
    try:
        note = _difference(reference, given)
    except _Late:
        return Grade("timeout", shown, f"not compared within {SECONDS:g} s")
    return Grade("wrong" if note else "correct", shown, note.strip())


def final_answer(text: str, *, boxed_only: bool = False) -> str | None:
    """The content of the last balanced `\\boxed{}`, or the text itself without a box; None where that is empty.

    Args:
        boxed_only: a text without a box has no answer.
    """
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None if boxed_only else text.strip() or None
    depth, opening = 0, text.index("{", start)
    for position in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[opening + 1 : position].strip() or None
    return None


def unusable(gold: str) -> str:
    """Why nothing can be compared with this reference answer; empty where it is fine."""
    reference = clean(final_answer(gold) or gold)
    if not reference.body:
        return "it is empty"
    if reference.words:
        return ""
    if reference.body.count("{") != reference.body.count("}"):
        return "its braces do not match"
    try:
        return "" if _all_parse(shape(reference.body)) else "it cannot be parsed as mathematics"
    except _Late:
        return f"it is not parsed within {SECONDS:g} s"
    except Unscorable as error:
        return str(error)


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


def _all_parse(found: Shape) -> bool:
    if found.kind in ("base", "ratio"):
        return True
    if found.kind in ("value", "equation"):
        text = "=".join(found.parts)
        return rational(text) is not None or bool(_LETTER.fullmatch(text)) or _verified(text, text)
    return all(_all_parse(shape(part)) for part in found.parts)


def _difference(reference: Clean, given: Clean) -> str:
    """What sets two answers apart; empty where they mean the same."""
    if given.body == reference.body and (given.unit == reference.unit or not (given.unit and reference.unit)):
        return ""
    if reference.words or given.words:
        return "" if _plain_words(reference) == _plain_words(given) else "another answer"
    units = {reference.unit, given.unit} - {""}
    if len(units) > 1:
        return f"the unit is {given.unit}, not {reference.unit}"
    note = _apart(shape(reference.body), shape(given.body))
    if note and units == {"%"} and reference.unit != given.unit:
        whole, part = (reference, given) if reference.unit else (given, reference)
        percent, plain = rational(whole.body), rational(part.body)
        return "" if percent is not None and plain is not None and percent == 100 * plain else note
    return note


def _plain_words(answer: Clean) -> str:
    letter = _LETTER.fullmatch(answer.words or answer.body)
    return letter[1].lower() if letter else answer.words or answer.body.lower()


def _apart(reference: Shape, given: Shape) -> str:
    """What sets two shapes apart; empty where they mean the same."""
    kinds = (reference.kind, given.kind)
    if kinds == ("base", "base"):
        return "" if reference.parts == given.parts else "another number or base"
    if reference.kind == "base":
        return "the base is missing"
    if given.kind == "base":
        return _apart(reference, Shape("value", (given.parts[0],)))
    if kinds == ("equation", "equation"):
        return _equations_apart(reference, given)
    if given.kind == "equation":
        name, value = _named(given)
        return _apart(reference, shape(value)) if name else "an equation where a value is asked for"
    if reference.kind == "equation":
        name, value = _named(reference)
        return _apart(shape(value), given) if name else "the equation is missing"
    if kinds == ("ratio", "ratio"):
        return "" if reference.parts == given.parts else "another ratio or time"
    if kinds == ("ratio", "value") and len(reference.parts) == 2:
        fraction = "frac" in given.parts[0] or "/" in given.parts[0]
        return "" if fraction and _equal("/".join(reference.parts), given.parts[0]) else "no ratio"
    if kinds == ("value", "value"):
        return "" if _equal(reference.parts[0], given.parts[0]) else " "
    return _collections_apart(reference, given)


def _equations_apart(reference: Shape, given: Shape) -> str:
    (name, value), (other, said) = _named(reference), _named(given)
    if name and other and name == other:
        return _apart(shape(value), shape(said))
    same = _verified("=".join(reference.parts), "=".join(given.parts))
    return "" if same else "another equation"


def _named(equation: Shape) -> tuple[str, str]:
    """Name and value of `x=5` and `5=x`; no name where neither side is one."""
    left, right = equation.parts
    return (left, right) if is_symbol(left) else (right, left) if is_symbol(right) else ("", "")


def _collections_apart(reference: Shape, given: Shape) -> str:
    ordered = ("tuple", "interval")
    if reference.kind in ordered and given.kind in ordered:
        if len(reference.parts) != len(given.parts):
            return "another number of parts"
        if len(reference.parts) == 2 and reference.brackets != given.brackets:
            return "other brackets"
        pairs = zip(reference.parts, given.parts, strict=True)
        return "" if all(not _apart(shape(one), shape(other)) for one, other in pairs) else " "
    if reference.kind == given.kind and reference.kind in ("list", "union"):
        return "" if _same_members(reference.parts, given.parts) else " "
    if {reference.kind, given.kind} == {"list", "value"}:
        listed, value = (reference, given) if reference.kind == "list" else (given, reference)
        if len(set(listed.parts)) == 1 and listed.braced:
            return _apart(Shape("value", listed.parts[:1]), value)
        return "another number of answers"
    if reference.kind == "value" and given.kind in (*ordered, "union") or given.kind == "value":
        same = _verified(_text(reference), _text(given)) if reference.kind == "value" else False
        return "" if same else "another kind of answer"
    return "another kind of answer"


def _text(found: Shape) -> str:
    if found.kind == "union":
        return " \\cup ".join(found.parts)
    return f"{found.brackets[:1]}{', '.join(found.parts)}{found.brackets[1:]}" if found.brackets else found.parts[0]


def _same_members(reference: Sequence[str], given: Sequence[str]) -> bool:
    """Whether each member has its like, the order aside, repeats aside."""
    left, right = list(dict.fromkeys(reference)), list(dict.fromkeys(given))
    if len(left) != len(right):
        return False
    for member in left:
        like = next((other for other in right if not _apart(shape(member), shape(other))), None)
        if like is None:
            return False
        right.remove(like)
    return True


def _equal(reference: str, given: str) -> bool:
    if _SPACE.sub("", reference) == _SPACE.sub("", given):
        return True
    one, other = rational(reference), rational(given)
    if one is not None and other is not None:
        return one == other or _rounds_to(reference, other) or _rounds_to(given, one)
    letters = _LETTER.fullmatch(reference), _LETTER.fullmatch(given)
    if all(letters):
        return letters[0][1] == letters[1][1]  # type: ignore[index]
    if (one is None) != (other is None) and _TERM.fullmatch(given if other is None else reference):
        return False
    return _verified(reference, given)


def _rounds_to(decimal: str, value: Fraction) -> bool:
    found = _DECIMAL.fullmatch(decimal.strip())
    if not found or len(found[3]) < _SAME_DECIMALS:
        return False
    return abs(Fraction(decimal.strip()) - value) * 2 * 10 ** len(found[3]) <= 1


def _refusal(given: str, reference: str) -> str:
    """Why an answer is wrong without being compared; empty where it deserves comparison."""
    if _TOO_HEAVY.search(given) and not _TOO_HEAVY.search(reference):
        return "too large to be computed"
    if len(_WORD.findall(given)) > 1 and len(_WORD.findall(reference)) < 2:
        return "a sentence, not one answer"
    if given.count("{") > 60 or given.count("(") > 60:
        return "nested too deeply"
    return ""


def _closed(text: str) -> str:
    """With braces around a name at the end, which math-verify takes for a unit else."""
    return text if re.search(r"\\[A-Za-z]+$", text) else re.sub(r"([A-DF-HJ-Za-df-hj-z])$", r"{\1}", text)


def _verified(reference: str, given: str) -> bool:
    """Whether math-verify takes two expressions for equal. Raises `Unscorable` where the reference is none."""
    result = verify(_closed(reference), _closed(given))
    if isinstance(result, TimedOut):
        raise _Late
    assert isinstance(result, Answered)
    if result.bad_gold:
        raise Unscorable(f"the reference answer {reference!r} cannot be parsed as mathematics")
    return result.same
