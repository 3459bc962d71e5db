"""Grades a mathematical answer against a reference: by normal form and structure if possible, else by math-verify."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Grade
from warmup_rl.grading.final_answer import boxed
from warmup_rl.grading.math_normalize import NormalForm, normalize, rational, rounds_to
from warmup_rl.grading.math_structure import CONSTANTS, Shape, is_symbol, region, shape, split
from warmup_rl.grading.math_worker import SECONDS, verify

MAX_LENGTH = 300
"""Characters of an answer; longer ones are wrong without being parsed."""

_LETTER = re.compile(r"\(?\s*([A-Za-z])\s*\)?")
_WORD = re.compile(
    r"(?<![\\A-Za-z])(?!(?:sin|cos|tan|cot|sec|csc|log|exp|sqrt|inf|infinity|max|min|mod|gcd|lcm|det|and|frac|times)\b)"
    r"[A-Za-z]{3,}(?![A-Za-z])"
)
_TIME = re.compile(r"\d{1,2}:\d{2}")
_OPERATOR = re.compile(
    r"(?:\\(?:ne|le|ge|lt|gt|ll|gg|not|neg|in|notin|subset|subseteq|supset|setminus|propto|perp|times|cdot|div|sim)(?![A-Za-z])"
    r"|[<>!/])"
)
"""What a value cannot start with."""
_REFUSED = {
    "too large to be computed": re.compile(
        r"\d{41,}"  # long numbers
        r"|\^\s*(?:\{[^{}]{0,40}|\([^()]{0,40}|\w{1,40}\s*)\^"  # towers of powers
        r"|\^\s*\{?\s*\(?[+-]?\d{4,}"  # large exponents
        r"|\d{4,}\s*\)?\s*!|!\s*\)*\s*!|\^[^!]{0,40}\)\s*!"  # large or repeated factorials
        r"|\\(?:sum|prod|int|binom|tbinom|dbinom)\b.*\d{4,}"
    ),
    "words around mathematics": re.compile(r"(?<!\\)\$|\\[\[(]"),
    "an inference, not one answer": re.compile(
        r"\\(?:to|implies|iff|(?:[Ll]ong)?(?:[Ll]eft)?[Rr]ightarrow)(?![A-Za-z])"
    ),
    "a number with a subscript or another mark that math-verify ignores": re.compile(
        r"\d\s*_|\^\s*\{?\s*T\s*\}?(?![A-Za-z])|^\s*(?:\{\}\s*)?\^|\\(?:sum|prod)(?!\s*[_\\])"
    ),
}
"""What makes an answer wrong without a comparison unless the reference has it too."""
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_KNOWN = frozenset(
    "frac sqrt pi infty times cdot div pm mp cup cap le ge ne lt gt in sin cos tan cot sec csc arcsin arccos "
    "arctan sinh cosh tanh log ln lg exp binom text alpha beta gamma delta epsilon varepsilon zeta eta theta iota "
    "kappa lambda mu nu xi rho sigma tau phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi "
    "Omega begin end emptyset mathbb mathcal angle triangle circ lfloor rfloor lceil rceil gcd lcm max min mod "
    "pmod bmod cdots ldots dots sum prod int lim lor vee land wedge setminus backslash overline ell det deg to "
    "implies iff rightarrow Rightarrow widehat hline array cases boxed left right approx".split()
)
_NAME = re.compile(r"(?<!\\)\b[A-Za-z]|(?<=[\d})])[A-Za-z]")
_SPACE = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_ZEROS = re.compile(r"0\.0{6,}")
_TERM = re.compile(r"[+-]?\d+(?:\.\d+)?\s*\*?\s*[A-Za-z]")
"""A number times a name, which math-verify takes for a number with a unit."""

_UNPARSED = "it cannot be parsed as mathematics"


class _TimedOut(Exception):
    """A comparison ran out of time."""


class _Unparsed(Exception):
    """math-verify cannot parse one of the sides."""


def same_answer(*, gold: str, answer: str) -> Grade:
    """Grades whether `answer` means the same as `gold`.

    The answer is its last balanced `\\boxed{}`, or the whole text without a box. A unit or percent sign may be omitted,
    but must agree if both have one. Order and brackets of tuples and intervals matter, those of sets do not; unions of
    intervals are compared as sets of numbers. A correct calculation (`48+24=72`) counts as its result.

    Raises:
        Unscorable: the reference answer itself cannot be parsed, or the workers cannot run.
    """
    extracted = final_answer(answer)
    if extracted is None:
        return Grade("none", None, "an empty or unbalanced box, or no answer")
    if "?" in extracted and "?" not in gold:
        return Grade("wrong", extracted[:MAX_LENGTH], "a question")
    if len(extracted) > MAX_LENGTH:
        return Grade("wrong", extracted[:MAX_LENGTH], f"longer than {MAX_LENGTH} characters")
    reference, given = normalize(final_answer(gold) or gold), normalize(extracted)
    if not given.body:
        return Grade("wrong", extracted, "no mathematics")
    if refusal := _refusal(given.body, reference.body):
        return Grade("wrong", given.body, refusal)
    try:
        difference = _difference(reference, given)
    except _TimedOut as error:
        return Grade("timeout", given.body, str(error))
    except _Unparsed:
        if fault := unusable(gold):
            raise Unscorable(f"the reference answer {gold!r}: {fault}") from None
        difference = _UNPARSED
    return Grade("correct" if difference is None else "wrong", given.body, difference or "")


def final_answer(text: str, *, boxed_only: bool = False) -> str | None:
    """The content of the last balanced `\\boxed{}`, or the text itself if it has no box; None if that is empty.

    Args:
        boxed_only: return None for a text without a box.
    """
    if boxed_only or "\\boxed{" in text or "\\fbox{" in text:
        return boxed(text)
    return text.strip() or None


def unusable(gold: str) -> str:
    """Why nothing can be compared with this reference answer; empty if it is fine."""
    reference = normalize(final_answer(gold) or gold)
    if not reference.body:
        return "it is empty"
    if reference.words:
        return ""
    if reference.body.count("{") != reference.body.count("}"):
        return "its braces do not match"
    try:
        return "" if _parses(shape(reference.body)) else _UNPARSED
    except (_TimedOut, _Unparsed, Unscorable) as error:
        return str(error)


def _parses(found: Shape) -> bool:
    if found.kind in ("base", "ratio"):
        return True
    if found.kind in ("value", "equation"):
        text = "=".join(found.parts)
        return rational(text) is not None or bool(_LETTER.fullmatch(text)) or _verified(text, text)
    return all(_parses(shape(part)) for part in found.parts)


def _refusal(given: str, reference: str) -> str:
    """Why an answer is wrong without a comparison; empty if it has to be compared."""
    if len(_WORD.findall(given)) > 1 and len(_WORD.findall(reference)) < 2:
        return "a sentence, not one answer"
    for reason, pattern in _REFUSED.items():
        if pattern.search(given) and not pattern.search(reference):
            return reason
    if bool(_OPERATOR.match(given)) != bool(_OPERATOR.match(reference)):
        return "a relation without its left side" if _OPERATOR.match(given) else "the relation is missing"
    known = {*_KNOWN, *_COMMAND.findall(reference)}
    if unknown := next((name for name in _COMMAND.findall(given) if name not in known), ""):
        return f"\\{unknown} is not supported"
    if given.count("{") > 60 or given.count("(") > 60:
        return "nested too deeply"
    if given.count("{") != given.count("}") and reference.count("{") == reference.count("}"):
        return "its braces do not match"
    return ""


def _difference(reference: NormalForm, given: NormalForm) -> str | None:
    """How two answers differ, possibly empty; None if they mean the same."""
    if given.choice and reference.choice and given.choice != reference.choice:
        return "another choice"
    if given.body == reference.body and (given.unit == reference.unit or not (given.unit and reference.unit)):
        return None
    if given.choice and (letter := reference.choice or _letter(reference)):
        return None if letter.upper() == given.choice else "another choice"
    if reference.words or given.words:
        return None if _plain_words(reference) == _plain_words(given) else "another answer"
    units = {reference.unit, given.unit} - {""}
    if len(units) > 1:
        return f"the unit is {given.unit}, not {reference.unit}"
    expected, body = shape(reference.body), given.body
    if expected.kind != "equation" or _name_and_value(expected)[0]:
        body = _result(body, any_name=expected.kind != "equation")
    difference = _shape_difference(expected, shape(body))
    if difference is not None and units == {"%"} and reference.unit != given.unit:
        percent, plain = map(rational, (reference.body, given.body) if reference.unit else (given.body, reference.body))
        return None if percent is not None and plain is not None and percent == 100 * plain else difference
    return difference


def _letter(answer: NormalForm) -> str:
    found = _LETTER.fullmatch(answer.words or answer.body)
    return found[1] if found else ""


def _plain_words(answer: NormalForm) -> str:
    return _letter(answer).lower() or answer.words or answer.body.lower()


def _result(text: str, *, any_name: bool) -> str:
    """The result of a correct calculation, `48+24=72` or `x=2+3=5`, with its name if it has one; else the text.

    Args:
        any_name: an expression in names, as in `m+n=11`, is a name too, and is dropped.
    """
    sides = split(text, "=")
    if any_name and len(sides) > 1 and _NAME.search(sides[0]) and not re.search(r"\d", sides[0]):
        if not is_symbol(sides[0]) and sides[0] not in CONSTANTS and not any(map(_NAME.search, sides[1:])):
            sides = sides[1:]
            if len(sides) == 1:
                return sides[0]
    name = f"{sides.pop(0)}=" if len(sides) > 2 and is_symbol(sides[0]) else ""
    if len(sides) < 2 or not all(side and not _NAME.search(side) for side in sides):
        return text
    return f"{name}{sides[-1]}" if all(_equal(sides[-1], side) for side in sides[:-1]) else text


def _same(reference: str, given: str) -> bool:
    return _shape_difference(shape(reference), shape(given)) is None


def _shape_difference(reference: Shape, given: Shape) -> str | None:
    """How two shapes differ, possibly empty; None if they mean the same."""
    match reference.kind, given.kind:
        case "base", "base":
            return None if reference.parts == given.parts else "another number or base"
        case "base", _:
            return "the base is missing"
        case _, "base":
            return "a base, but the reference has none"
        case "equation", "equation":
            (name, value), (other, other_value) = _name_and_value(reference), _name_and_value(given)
            if name and name == other:
                return _shape_difference(shape(value), shape(other_value))
            return None if _verified("=".join(reference.parts), "=".join(given.parts)) else "another equation"
        case "chain", "chain":
            return None if _same_members(reference.parts, given.parts) else "another equation"
        case _, "chain":
            return "an equation instead of a value"
        case "chain", _:
            *names, value = reference.parts
            return _shape_difference(shape(value), given) if all(map(is_symbol, names)) else "the equation is missing"
        case _, "equation":
            name, value = _name_and_value(given)
            return _shape_difference(reference, shape(value)) if name else "an equation instead of a value"
        case "equation", _:
            name, value = _name_and_value(reference)
            return _shape_difference(shape(value), given) if name else "the equation is missing"
        case "ratio", "ratio":
            return None if _same_ratio(reference.parts, given.parts) else "another ratio or time"
        case ("ratio", "value") | ("value", "ratio"):
            ratio, plain = (reference, given) if reference.kind == "ratio" else (given, reference)
            fraction = len(ratio.parts) == 2 and re.search(r"frac|/|\d\.\d", plain.parts[0])
            return None if fraction and _equal("/".join(ratio.parts), plain.parts[0]) else "not a ratio"
        case "value", "value":
            return None if _equal(reference.parts[0], given.parts[0]) else ""
    return _collection_difference(reference, given)


def _same_ratio(reference: Sequence[str], given: Sequence[str]) -> bool:
    """Whether two ratios are proportional, as 3:4 and 6:8, or two times equal."""
    if reference == given or _TIME.fullmatch(":".join(reference)):
        return reference == given
    left, right = list(map(int, reference)), list(map(int, given))
    return len(left) == len(right) and all(a * right[0] == b * left[0] for a, b in zip(left, right, strict=True))


def _name_and_value(equation: Shape) -> tuple[str, str]:
    """Name and value of `x=5` and `5=x`; an empty name if neither side is a name."""
    left, right = equation.parts
    return (left, right) if is_symbol(left) else (right, left) if is_symbol(right) else ("", "")


def _collection_difference(reference: Shape, given: Shape) -> str | None:
    ordered, kinds = ("tuple", "interval"), {reference.kind, given.kind}
    if kinds & {"union", "intersection"}:
        one, other = region(reference), region(given)
        if one is not None and other is not None:
            return None if one == other else ""
    if reference.names and given.names and sorted(reference.names) != sorted(given.names):
        return "other names"
    if reference.names and given.names or kinds == {"tuple", "list"}:
        reference, given = _sorted_by_name(reference), _sorted_by_name(given)
    if reference.kind in ordered and given.kind in ordered:
        if len(reference.parts) != len(given.parts):
            return "another number of parts"
        if len(reference.parts) == 2 and reference.brackets != given.brackets:
            return "other brackets"
        return None if all(map(_same, reference.parts, given.parts)) else ""
    if reference.kind == given.kind and reference.kind in ("list", "union"):
        return None if _same_members(reference.parts, given.parts) else ""
    if kinds == {"list", "value"}:
        members, value = (reference, given) if reference.kind == "list" else (given, reference)
        if members.braced and len(set(members.parts)) == 1:
            return _shape_difference(Shape("value", members.parts[:1]), value)
        return "another number of answers"
    same = (
        reference.kind == "value" and given.kind in (*ordered, "union") and _verified(reference.parts[0], _text(given))
    )
    return None if same else "another kind of answer"


def _sorted_by_name(found: Shape) -> Shape:
    """`y=2, x=1` as the tuple `(1,2)`, in the order of the names; other shapes unchanged."""
    if not found.names:
        return found
    values = (value for _, value in sorted(zip(found.names, found.parts, strict=True)))
    return Shape("tuple", tuple(values), "()")


def _text(found: Shape) -> str:
    if found.kind == "union":
        return " \\cup ".join(found.parts)
    return f"{found.brackets[0]}{', '.join(found.parts)}{found.brackets[1]}"


def _same_members(reference: Sequence[str], given: Sequence[str]) -> bool:
    """Whether two sets have the same members, in any order."""
    left, right = list(dict.fromkeys(reference)), list(dict.fromkeys(given))
    if len(left) != len(right):
        return False
    for member in left:
        equal = next((other for other in right if _same(member, other)), None)
        if equal is None:
            return False
        right.remove(equal)
    return True


def _equal(reference: str, given: str) -> bool:
    if _SPACE.sub("", reference) == _SPACE.sub("", given):
        return True
    one, other = rational(reference), rational(given)
    if one is not None and other is not None:
        return one == other or rounds_to(reference, other) or rounds_to(given, one)
    if (one is None) != (other is None) and _ZEROS.fullmatch(given if one is None else reference):
        return False
    letters = _LETTER.fullmatch(reference), _LETTER.fullmatch(given)
    if letters[0] and letters[1]:
        return letters[0][1] == letters[1][1]
    if (one is None) != (other is None) and _TERM.fullmatch(given if other is None else reference):
        return False
    return _verified(reference, given)


def _closed(text: str) -> str:
    """With braces around a name at the end, which math-verify would take for a unit otherwise."""
    return text if re.search(r"\\[A-Za-z]+$", text) else re.sub(r"([A-DF-HJ-Za-df-hj-z])$", r"{\1}", text)


def _verified(reference: str, given: str) -> bool:
    """Whether math-verify finds two expressions equal. Raises `_Unparsed` if it cannot parse the first."""
    result = verify(_closed(reference), _closed(given))
    if result == "timeout":
        raise _TimedOut(f"the comparison takes more than {SECONDS:g} s")
    if result == "bad_gold":
        raise _Unparsed(_UNPARSED)
    return result == "same"
