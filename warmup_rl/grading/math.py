"""Grades a mathematical answer against a reference: both are read into the same form, and values are compared.

Where the reference is an expression that is not read here (an integral, a limit, a determinant), math-verify compares.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Grade
from warmup_rl.grading.final_answer import MARK, boxed, boxes, stated
from warmup_rl.grading.math_copies import copied
from warmup_rl.grading.math_matrices import folded
from warmup_rl.grading.math_remarks import without_remark
from warmup_rl.grading.math_structure import Shape, region, shape
from warmup_rl.grading.math_tree import Tree, children, names
from warmup_rl.grading.math_value import equal, proportional, rounds_to, value
from warmup_rl.grading.math_words import NUMBERS, Answer, another_unit, read_answer, split_answer, with_letters_as_unit
from warmup_rl.grading.math_worker import SECONDS, verify

MAX_LENGTH = 300
"""Characters of an answer; longer ones are wrong without being parsed."""

_TIME = re.compile(r"\d{1,2}:\d{2}")
_ORDERED = ("tuple", "interval")
_SETS = ("union", "intersection", "difference")
_COORDINATES = {"x", "y", "z"}
_NO_VALUE = {"or", "and", "nor", "not", "no", "maybe"}
_OPERATORS = ("*", "/", "+", "-", "=", "^", ",", "\\cup", "\\cap", "(")
_UNPARSED = "it cannot be parsed as mathematics"


class _Unreadable(Exception):
    """A part of the reference is not understood, so that only the same spelling is the same."""


class _TimedOut(Exception):
    """math-verify ran out of time."""


def same_answer(*, gold: str, answer: str, question: str = "") -> Grade:
    """Grades whether `answer` means the same as `gold`.

    The answer is its last balanced `\\boxed{}`, or the whole text without a box. A unit or percent sign may be omitted,
    but must agree if both have one. Order and brackets of tuples and intervals matter, those of sets do not; sets of
    numbers are compared as such. A correct calculation (`48+24=72`) counts as its result.

    Args:
        question: an expression that stands in it and is not worked out counts only where the reference has the same
            form; and a base that it asks for need not be repeated.

    Raises:
        Unscorable: the reference answer itself cannot be parsed, or the workers of math-verify cannot run.
    """
    extracted = _whole_answer(answer)
    if extracted is None:
        return Grade("none", None, "an empty or unbalanced box, or no answer")
    if len(extracted) > MAX_LENGTH:
        return Grade("wrong", extracted[:MAX_LENGTH], f"longer than {MAX_LENGTH} characters")
    if "?" in extracted and "?" not in gold:
        return Grade("wrong", extracted, "a question")
    reference, given = read_answer(_whole_answer(gold) or gold), read_answer(extracted)
    if not given.tokens:
        return Grade("wrong", extracted, "no mathematics")
    try:
        difference = _difference(reference, given, question)
    except _TimedOut as error:
        return Grade("timeout", given.text, str(error))
    except _Unreadable:
        if fault := unusable(gold):
            raise Unscorable(f"the reference answer {gold!r}: {fault}") from None
        difference = _UNPARSED
    return Grade("correct" if difference is None else "wrong", given.text or extracted, difference or "")


def final_answer(text: str) -> str | None:
    """The content of the last balanced `\\boxed{}`; without a box what stands behind the last `#### 18` (the mark of
    GSM8K), else the text itself. None if that is empty."""
    return boxed(text) if _has_box(text) else MARK.split(text.strip())[-1].strip() or None


def said_in_words(text: str, gold: str) -> str | None:
    """What a text without a box states, where that and the reference are words and it has no more of them."""
    said = "" if _has_box(text) else stated(text)
    words, expected = read_answer(said).words, read_answer(final_answer(gold) or gold).words
    return said if words and expected and len(words.split()) <= len(expected.split()) else None


def _whole_answer(text: str) -> str | None:
    """As `final_answer`, with the boxes that belong to the last one."""
    return boxes(text) if _has_box(text) else final_answer(text)


def _has_box(text: str) -> bool:
    return "\\boxed{" in text or "\\fbox{" in text


def unusable(gold: str) -> str:
    """Why nothing can be compared with this reference answer; empty if it is fine."""
    reference = read_answer(final_answer(gold) or gold)
    if not reference.tokens:
        return "it is empty"
    if reference.words:
        return ""
    texts = [token.text for token in reference.tokens]
    if texts.count("{") != texts.count("}"):
        return "its braces do not match"
    return "" if _readable(shape(_choice(reference)[1].tokens)) else _UNPARSED


def _readable(found: Shape, *, alone: bool = False) -> bool:
    """Whether all values of a shape are understood, here `alone` or by math-verify."""
    if found.kind != "value":
        return all(_readable(part, alone=alone) for part in found.parts)
    return found.tree is not None or not alone and verify(found.text, found.text) != "bad_gold"


def _difference(reference: Answer, given: Answer, question: str) -> str | None:
    """How two answers differ, possibly empty; None if they mean the same, and the one is not copied."""
    if not reference.tokens:
        raise _Unreadable
    if given.unit and not reference.unit and another_unit(given.unit, question):
        return "the question asks for another unit"
    if reference.text == given.text and (reference.unit == given.unit or not (reference.unit and given.unit)):
        return None
    reference, given = without_remark(reference, given.unit), without_remark(given, reference.unit)
    (letter, expected), (other, found) = _choice(reference), _choice(given)
    letters = letter or other and _letter(reference), other or letter and _letter(given)
    if all(letters):
        return None if letters[0].upper() == letters[1].upper() else "another choice"
    reference, given = expected, found
    if reference.words or given.words:
        return None if _plain_words(reference) == _plain_words(given) else "another answer"
    reference, given = with_letters_as_unit(reference, given.unit), with_letters_as_unit(given, reference.unit)
    units = {reference.unit, given.unit} - {""}
    if len(units) > 1:
        return f"the unit is {given.unit}, not {reference.unit}"
    one, two = shape(reference.tokens), shape(given.tokens)
    difference = _shapes_differ(one, two, reference, given, question)
    return (
        "copied from the question, not worked out" if difference is None and copied(two, one, question) else difference
    )


def _shapes_differ(one: Shape, two: Shape, reference: Answer, given: Answer, question: str) -> str | None:
    """How two answers in these shapes and units differ."""
    if reference.unit == given.unit and given.unit.startswith("mod ") and _congruent(one, two, given.unit):
        return None
    if one.kind == "base" and two.text == one.brackets.partition("_")[0]:
        asked = re.findall(r"\bbase[- ]\$?(\w+)", question)
        if any(str(NUMBERS.get(base, base)) == one.brackets.partition("_")[2] for base in asked):
            return None
    difference = _compared(one, two)
    if difference is not None and {reference.unit, given.unit} == {"%", ""}:
        percent, plain = (one, two) if reference.unit else (two, one)
        hundredth = percent.tree and plain.tree and equal(percent.tree, ("*", ("n", 100), plain.tree))
        return None if hundredth else difference
    return difference


def _congruent(one: Shape, two: Shape, modulus: str) -> bool:
    """Whether two numbers, or values of the same name, are in one class of residues."""
    if one.names != two.names:
        return False
    trees = [found.parts[-1].tree if found.kind == "equation" else found.tree for found in (one, two)]
    numbers = [number for tree in trees if tree and isinstance(number := value(tree), Fraction)]
    return len(numbers) == len(trees) and (numbers[0] - numbers[1]) % int(modulus.removeprefix("mod ")) == 0


def _choice(answer: Answer) -> tuple[str, Answer]:
    """The letter in front of an answer such as `(B) 5`, and the answer without it; empty if there is none."""
    texts = [token.text for token in answer.tokens]
    start = int(texts[:1] == ["("])
    letter, mark, following = (*texts[start : start + 3], "", "", "")[:3]
    rest = answer.tokens[start + 2 :]
    closed = mark == ")" or mark == "." and start == 0 and following and rest[0].spaced
    if letter not in [*string.ascii_uppercase[:10]] or not closed or {*texts[start + 2 :]} & _NO_VALUE:
        return "", answer
    if start == 0 and following in _OPERATORS:
        return "", answer
    inner = split_answer(rest)
    if not inner.tokens or inner.words or _letter(inner) or not _readable(shape(inner.tokens), alone=True):
        return "", answer
    return letter, replace(inner, unit=inner.unit or answer.unit)


def _letter(answer: Answer) -> str:
    text = answer.words or answer.text.strip("()")
    return text if len(text) == 1 and text.isalpha() else ""


def _plain_words(answer: Answer) -> str:
    return _letter(answer).lower() or answer.words or answer.text.lower()


def _compared(reference: Shape, given: Shape) -> str | None:
    """How two shapes differ, possibly empty; None if they mean the same."""
    given = _result(given)
    match reference.kind, given.kind:
        case "base", "base":
            return None if reference.brackets == given.brackets else "another number or base"
        case ("base", _) | (_, "base"):
            return "the base is missing" if reference.kind == "base" else "a base, but the reference has none"
        case "equation", "equation":
            return _equations(reference, given)
        case _, "equation":
            named = len(given.parts) == 2 and (given.names or given.brackets)
            return _compared(reference, given.parts[1]) if named else "an equation instead of a value"
        case "equation", _:
            return _compared(reference.parts[-1], given) if _named(reference) else "the equation is missing"
        case "relation", "relation":
            same = reference.brackets == given.brackets and (
                proportional(reference.tree, given.tree, positive=True)
                if reference.tree and given.tree
                else bool(reference.parts) and _same_members(reference.parts, given.parts, repeats=True)
            )
            return None if same else "another relation"
        case "ratio", "ratio":
            return None if _same_ratio(reference, given) else "another ratio or time"
        case ("ratio", "value") | ("value", "ratio"):
            ratio, bare = (reference, given) if reference.kind == "ratio" else (given, reference)
            terms = [part.tree for part in ratio.parts]
            fraction = len(terms) == 2 and all(terms) and re.search(r"frac|/|\d\.\d", bare.text)
            return None if fraction and bare.tree and equal(("/", *terms), bare.tree) else "not a ratio"
        case "value", "value":
            return None if _same_value(reference, given) else ""
    return _collections(reference, given)


def _result(found: Shape) -> Shape:
    """The result of a correct calculation, `48+24=72` or `x=2+3=5`, with its name if it has one; else the shape."""
    if found.kind != "equation":
        return found
    named = bool(found.names or found.brackets)
    sides = found.parts[1:] if named else found.parts
    trees = [side.tree for side in sides]
    if len(sides) < 2 or not all(tree and not names(tree) for tree in trees):
        return found
    last = trees[-1]
    if not all(tree and last and equal(last, tree) for tree in trees[:-1]):
        return found
    return replace(found, parts=(found.parts[0], sides[-1])) if named else sides[-1]


def _named(reference: Shape) -> bool:
    """Whether the last side of a reference equation is its value, and the rest says of what."""
    *firsts, _ = reference.parts
    if len(firsts) > 1 or reference.names:
        return all(first.tree and first.tree[0] == "v" for first in firsts) or len(firsts) == 1
    variables = names(firsts[0].tree) if firsts[0].tree else set()
    return bool(reference.brackets) and not (len(variables) > 1 and variables <= _COORDINATES)


def _equations(reference: Shape, given: Shape) -> str | None:
    if reference.names and reference.names == given.names and len(reference.parts) == len(given.parts) == 2:
        return _compared(reference.parts[1], given.parts[1])
    if len(reference.parts) != 2 or len(given.parts) != 2:
        return None if _same_members(reference.parts, given.parts, repeats=True) else "another equation"
    trees = [side.tree for side in (*reference.parts, *given.parts)]
    if reference.names and not given.names and trees[1] and not names(trees[1]):
        return f"not solved for {reference.names[0]}"
    one, other = ("+", trees[0], ("-", trees[1])), ("+", trees[2], ("-", trees[3]))
    return None if all(trees) and proportional(one, other) else "another equation"


def _same_value(reference: Shape, given: Shape) -> bool:
    if reference.text == given.text or any(_same_value(decimal, given) for decimal in reference.parts):
        return True
    if reference.tree is None:
        result = verify(reference.text, given.text)
        if result == "timeout":
            raise _TimedOut(f"the comparison takes more than {SECONDS:g} s")
        if result == "bad_gold":
            raise _Unreadable
        return result == "same"
    if given.tree is None:
        return False
    one, other = reference.tree, given.tree
    return equal(one, other) or rounds_to(one, other) or rounds_to(other, one)


def _same_ratio(reference: Shape, given: Shape) -> bool:
    """Whether two ratios are proportional, as 3:4 and 6:8, or two times equal."""
    if _TIME.fullmatch(reference.text) or len(reference.parts) != len(given.parts):
        return reference.text == given.text
    left, right = [part.tree for part in reference.parts], [part.tree for part in given.parts]
    if not all(left) or not all(right) or any(tree and value(tree) == 0 for tree in (*left, *right)):
        return False
    return all(equal(("/", a, left[0]), ("/", b, right[0])) for a, b in zip(left, right, strict=True))


def _collections(reference: Shape, given: Shape) -> str | None:
    kinds = {reference.kind, given.kind}
    if kinds & {*_SETS}:
        one, other = region(reference), region(given)
        if one is not None and other is not None:
            return None if one == other else ""
    if reference.names and given.names and kinds <= {"list"} and sorted(reference.names) != sorted(given.names):
        return "other names"
    if kinds == {"tuple", "list"} or kinds == {"list"} and reference.names and given.names:
        reference, given = _sorted_by_name(reference), _sorted_by_name(given)
    if reference.kind in _ORDERED and given.kind in _ORDERED:
        if len(reference.parts) != len(given.parts):
            return "another number of parts"
        if len(reference.parts) == 2 and reference.brackets != given.brackets:
            return "other brackets"
        return None if all(one is None for one in map(_compared, reference.parts, given.parts)) else ""
    if reference.kind == given.kind:
        values = all(part.kind == "value" for part in reference.parts)
        repeats = reference.kind == "list" and values and not (reference.brackets or given.brackets)
        return None if _same_members(reference.parts, given.parts, repeats=repeats) else ""
    if "list" in kinds and kinds <= {"list", "value", "interval", "tuple", "equation"}:
        members, single = (reference, given) if reference.kind == "list" else (given, reference)
        if members.brackets and len({part.text for part in members.parts}) == 1:
            return _compared(members.parts[0], single)
        return "another number of answers"
    if kinds == {"tuple", "value"}:
        vector, matrix = (reference, given) if reference.kind == "tuple" else (given, reference)
        return None if vector.brackets == "()" and _same_vector(matrix.tree, vector) else "another kind of answer"
    return "another kind of answer"


def _same_vector(matrix: Tree | None, vector: Shape) -> bool:
    """Whether a matrix of one row or column has the members of a tuple."""
    matrix = matrix and folded(matrix)
    if matrix is None or matrix[0] != "matrix":
        return False
    rows = [children(row) for row in children(matrix)]
    members = rows[0] if len(rows) == 1 else [row[0] for row in rows if len(row) == 1]
    trees = [part.tree for part in vector.parts]
    return len(members) == len(trees) and all(
        b is not None and equal(a, b) for a, b in zip(members, trees, strict=True)
    )


def _sorted_by_name(found: Shape) -> Shape:
    """`y=2, x=1` as the tuple `(1,2)`, in the order of the names; other shapes unchanged."""
    if not found.names:
        return found
    values = dict(sorted(zip(found.names, (part.parts[-1] for part in found.parts), strict=True))).values()
    return Shape("tuple", found.text, tuple(values), brackets="()")


def _same_members(reference: Sequence[Shape], given: Sequence[Shape], *, repeats: bool) -> bool:
    """Whether two lists have the same members, in any order; as sets where `repeats` do not matter."""
    left, right = list(reference), list(given)
    if not repeats:
        left, right = (list({member.text: member for member in members}.values()) for members in (left, right))
    if len(left) != len(right):
        return False
    for member in left:
        same = next((place for place, other in enumerate(right) if _compared(member, other) is None), None)
        if same is None:
            return False
        right.pop(same)
    return True
