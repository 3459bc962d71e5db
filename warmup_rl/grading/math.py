"""Grades a mathematical answer against a reference: by shape and spelling where that decides, else by math-verify."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain

from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Grade
from warmup_rl.grading.intervals import Bound, Interval, Region, intersection, union
from warmup_rl.grading.latex import Clean, clean
from warmup_rl.grading.numbers import rational, rounds_to
from warmup_rl.grading.shapes import CONSTANTS, Shape, is_symbol, shape, split
from warmup_rl.grading.workers import SECONDS, Answered, TimedOut, verify

MAX_LENGTH, MAX_DIGITS = 300, 40
"""Answers that are longer, or hold a longer number, are not parsed."""

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
_ARROW = re.compile(r"\\(?:to|implies|iff|(?:[Ll]ong)?(?:[Ll]eft)?[Rr]ightarrow)(?![A-Za-z])")
_TIME = re.compile(r"\d{1,2}:\d{2}")
_RELATION = re.compile(
    r"(?:\\(?:ne|le|ge|lt|gt|ll|gg|not|neg|in|notin|subset|subseteq|supset|setminus|propto|perp|times|cdot|div|sim)(?![A-Za-z])"
    r"|[<>!/])"
)
"""What no value begins with."""
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_KNOWN = frozenset(
    "frac sqrt pi infty times cdot div pm mp cup cap le ge ne lt gt in sin cos tan cot sec csc arcsin arccos "
    "arctan sinh cosh tanh log ln lg exp binom text alpha beta gamma delta epsilon varepsilon zeta eta theta iota "
    "kappa lambda mu nu xi rho sigma tau phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi "
    "Omega begin end emptyset mathbb mathcal angle triangle circ lfloor rfloor lceil rceil gcd lcm max min mod "
    "pmod bmod cdots ldots dots sum prod int lim lor vee land wedge setminus backslash overline ell det deg to "
    "implies iff rightarrow Rightarrow widehat hline array cases boxed left right approx".split()
)
_MARKED = re.compile(r"\d\s*_|\^\s*\{?\s*T\s*\}?(?![A-Za-z])|^\s*(?:\{\}\s*)?\^|\\(?:sum|prod)(?!\s*[_\\])")
"""Subscripts of numbers, and other marks that are dropped where mathematics is parsed."""
_NAME = re.compile(r"(?<!\\)\b[A-Za-z]|(?<=[\d})])[A-Za-z]")
_SPACE = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_ZEROS = re.compile(r"0\.0{6,}")
_TERM = re.compile(r"[+-]?\d+(?:\.\d+)?\s*\*?\s*[A-Za-z]")
"""A number times a name, which math-verify takes for a number with a unit."""


@dataclass(frozen=True, slots=True)
class _Late(Exception):
    """A comparison ran out of time."""


class _Unparsed(Exception):
    """A side that should hold mathematics, the reference's or the answer's, does not."""


def same_answer(*, gold: str, answer: str) -> Grade:
    """Whether `answer` means the same as `gold`.

    Where the answer holds a `\\boxed{}`, its last balanced box is the answer, else all of it is; nothing else counts.
    A unit may be left out, and must be the same where both give one; percent signs likewise. Order and brackets of
    tuples and intervals count, those of sets do not; unions of intervals are compared as sets of numbers. A calculation
    that is right counts for its result.

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
    except _Unparsed:
        if fault := unusable(gold):
            raise Unscorable(f"the reference answer {gold!r}: {fault}") from None
        note = "it cannot be parsed as mathematics"
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
    except _Unparsed:
        return "it cannot be parsed as mathematics"
    except Unscorable as error:
        return str(error)


def _all_parse(found: Shape) -> bool:
    if found.kind in ("base", "ratio"):
        return True
    if found.kind in ("value", "equation"):
        text = "=".join(found.parts)
        return rational(text) is not None or bool(_LETTER.fullmatch(text)) or _verified(text, text)
    return all(_all_parse(shape(part)) for part in found.parts)


def _difference(reference: Clean, given: Clean) -> str:
    """What sets two answers apart; empty where they mean the same."""
    if given.choice and reference.choice and given.choice != reference.choice:
        return "another choice"
    if given.body == reference.body and (given.unit == reference.unit or not (given.unit and reference.unit)):
        return ""
    if given.choice and (letter := reference.choice or _letter(reference)):
        return "" if letter.upper() == given.choice else "another choice"
    if reference.words or given.words:
        return "" if _plain_words(reference) == _plain_words(given) else "another answer"
    units = {reference.unit, given.unit} - {""}
    if len(units) > 1:
        return f"the unit is {given.unit}, not {reference.unit}"
    expected = shape(reference.body)
    nameless = expected.kind == "equation" and not _named(expected)[0]
    said = given.body if nameless else _settled(given.body, of_any=expected.kind != "equation")
    note = _apart(expected, shape(said))
    if note and units == {"%"} and reference.unit != given.unit:
        whole, part = (reference, given) if reference.unit else (given, reference)
        percent, plain = rational(whole.body), rational(part.body)
        return "" if percent is not None and plain is not None and percent == 100 * plain else note
    return note


def _letter(answer: Clean) -> str:
    found = _LETTER.fullmatch(answer.words or answer.body)
    return found[1] if found else ""


def _plain_words(answer: Clean) -> str:
    return _letter(answer).lower() or answer.words or answer.body.lower()


def _settled(text: str, *, of_any: bool) -> str:
    """The end of a calculation that is right, `48+24=72` or `x=2+3=5`, under its name if it has one; else the text.

    Args:
        of_any: an expression in names alone, as in `m+n=11`, is a name too, and left out.
    """
    sides = split(text, "=")
    if of_any and len(sides) > 1 and _NAME.search(sides[0]) and not re.search(r"\d", sides[0]):
        if not is_symbol(sides[0]) and sides[0] not in CONSTANTS and not any(map(_NAME.search, sides[1:])):
            sides = sides[1:]
            if len(sides) == 1:
                return sides[0]
    name = sides.pop(0) if len(sides) > 2 and is_symbol(sides[0]) else ""
    if len(sides) < 2 or not all(side and not _NAME.search(side) for side in sides):
        return text
    if not all(_equal(sides[-1], side) for side in sides[:-1]):
        return text
    return f"{name}={sides[-1]}" if name else sides[-1]


def _apart(reference: Shape, given: Shape) -> str:
    """What sets two shapes apart; empty where they mean the same."""
    kinds = (reference.kind, given.kind)
    if kinds == ("base", "base"):
        return "" if reference.parts == given.parts else "another number or base"
    if reference.kind == "base":
        return "the base is missing"
    if given.kind == "base":
        return "a base where none is given"
    if kinds == ("equation", "equation"):
        return _equations_apart(reference, given)
    if kinds == ("chain", "chain"):
        return "" if _same_members(reference.parts, given.parts) else "another equation"
    if given.kind == "chain":
        return "an equation where a value is asked for"
    if reference.kind == "chain":
        *names, value = reference.parts
        return _apart(shape(value), given) if all(map(is_symbol, names)) else "the equation is missing"
    if given.kind == "equation":
        name, value = _named(given)
        return _apart(reference, shape(value)) if name else "an equation where a value is asked for"
    if reference.kind == "equation":
        name, value = _named(reference)
        return _apart(shape(value), given) if name else "the equation is missing"
    if kinds == ("ratio", "ratio"):
        same = (
            reference.parts == given.parts
            or not _TIME.fullmatch(":".join(reference.parts))
            and _in_proportion(reference.parts, given.parts)
        )
        return "" if same else "another ratio or time"
    if set(kinds) == {"ratio", "value"}:
        ratio, plain = (reference, given) if reference.kind == "ratio" else (given, reference)
        fraction = len(ratio.parts) == 2 and re.search(r"frac|/|\d\.\d", plain.parts[0])
        return "" if fraction and _equal("/".join(ratio.parts), plain.parts[0]) else "no ratio"
    if kinds == ("value", "value"):
        return "" if _equal(reference.parts[0], given.parts[0]) else " "
    return _collections_apart(reference, given)


def _in_proportion(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether ratios such as 3:4 and 6:8 are the same."""
    left, right = list(map(int, one)), list(map(int, other))
    return len(left) == len(right) and all(a * right[0] == b * left[0] for a, b in zip(left, right, strict=True))


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
    if {reference.kind, given.kind} & {"union", "meet"}:
        one, other = _region(reference), _region(given)
        if one is not None and other is not None:
            return "" if one == other else " "
    if reference.names and given.names:
        if sorted(reference.names) != sorted(given.names):
            return "other names"
        reference, given = _in_order(reference), _in_order(given)
    if {reference.kind, given.kind} == {"tuple", "list"}:
        reference, given = _in_order(reference), _in_order(given)
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


def _in_order(found: Shape) -> Shape:
    """`y=2, x=1` as the tuple `(1,2)`, in the order of the names; all else as it is."""
    if not found.names:
        return found
    values = (value for _, value in sorted(zip(found.names, found.parts, strict=True)))
    return Shape("tuple", tuple(values), "()")


def _region(found: Shape) -> Region | None:
    """The set of numbers; None where an end is no plain number, or where it is none."""
    if found.kind in ("union", "meet"):
        parts = [_region(shape(part)) for part in found.parts]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return union(chain.from_iterable(known)) if found.kind == "union" else reduce(intersection, known)
    if found.kind == "list" and found.braced:
        points = [point for part in found.parts if (point := _bound(part, (), closed=True))]
        return union(Interval(point, point) for point in points) if len(points) == len(found.parts) else None
    if found.kind not in ("interval", "tuple") or len(found.parts) != 2:
        return None
    low = _bound(found.parts[0], ("-\\infty",), closed=found.brackets[0] == "[")
    high = _bound(found.parts[1], ("\\infty", "+\\infty"), closed=found.brackets[1] == "]")
    return union([Interval(low, high)]) if low and high else None


def _bound(end: str, infinite: Sequence[str], *, closed: bool) -> Bound | None:
    end = end.replace(" ", "")
    if end in infinite:
        return Bound(None)
    value = rational(end)
    return None if value is None else Bound(value, closed)


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
        return one == other or rounds_to(reference, other) or rounds_to(given, one)
    if (one is None) != (other is None) and _ZEROS.fullmatch(given if one is None else reference):
        return False
    letters = _LETTER.fullmatch(reference), _LETTER.fullmatch(given)
    if all(letters):
        return letters[0][1] == letters[1][1]  # type: ignore[index]
    if (one is None) != (other is None) and _TERM.fullmatch(given if other is None else reference):
        return False
    return _verified(reference, given)


def _refusal(given: str, reference: str) -> str:
    """Why an answer is wrong without being compared; empty where it deserves comparison."""
    if _TOO_HEAVY.search(given) and not _TOO_HEAVY.search(reference):
        return "too large to be computed"
    if len(_WORD.findall(given)) > 1 and len(_WORD.findall(reference)) < 2:
        return "a sentence, not one answer"
    if re.search(r"(?<!\\)\$|\\[\[(]", given) and "$" not in reference:
        return "words around mathematics"
    if _ARROW.search(given) and not _ARROW.search(reference):
        return "an inference, not one answer"
    if bool(_RELATION.match(given)) != bool(_RELATION.match(reference)):
        return "a relation without its left side" if _RELATION.match(given) else "the relation is missing"
    known = {*_KNOWN, *_COMMAND.findall(reference)}
    if unknown := next((name for name in _COMMAND.findall(given) if name not in known), ""):
        return f"\\{unknown} is not read"
    if _MARKED.search(given) and not _MARKED.search(reference):
        return "a number with a mark"
    if given.count("{") > 60 or given.count("(") > 60:
        return "nested too deeply"
    if given.count("{") != given.count("}") and reference.count("{") == reference.count("}"):
        return "its braces do not match"
    return ""


def _closed(text: str) -> str:
    """With braces around a name at the end, which math-verify takes for a unit else."""
    return text if re.search(r"\\[A-Za-z]+$", text) else re.sub(r"([A-DF-HJ-Za-df-hj-z])$", r"{\1}", text)


def _verified(reference: str, given: str) -> bool:
    """Whether math-verify takes two expressions for equal. Raises `_Unparsed` where the first is none."""
    result = verify(_closed(reference), _closed(given))
    if isinstance(result, TimedOut):
        raise _Late
    assert isinstance(result, Answered)
    if result.bad_gold:
        raise _Unparsed
    return result.same
