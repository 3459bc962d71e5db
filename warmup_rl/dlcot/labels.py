"""Labels an approach by its answer, as the domain's own grader sees it, and finds false sums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Problem
from warmup_rl.dlcot.structure import Ambiguous, Label, Span
from warmup_rl.grading.math import final_answer
from warmup_rl.interfaces.domain import Domain

_VALUE = r"(?P<value>(?:[^.\n;,!?]|[.,](?=\d)){1,80})"
_FIRM = re.compile(
    r"\b(?:(?:the |my |our )?(?:final |correct |right )?(?:answer|solution|choice|option)(?: to [^.\n]{1,40}?)?"
    r"(?:\s*[:=]\s*|(?: is| must be| should be| would be| comes out to be| has to be)(?: indeed| still| therefore)?"
    rf"(?: option)?:?\s+)){_VALUE}",
    re.IGNORECASE,
)
"""An answer announced as one; a box counts as well."""
_LOOSE = re.compile(
    r"(?:=|≈|\b(?:is|are|get|gets|gives|got|yields|makes|equals|leaves|so|thus|hence|it['’]s|that['’]s"
    r"|left with|total of))\s*"
    r"(?P<value>\$?-?(?:\\d?frac\{[^{}]*\}\{[^{}]*\}|\\sqrt\{?\w+\}?|\d[\d,]*(?:\.\d+)?(?:/\d+)?|[A-J](?![\w'’]))[^\s.,;!?=]{0,20})"
    r"|\b(?:[Ss]o|[Oo]ption|[Cc]hoice)\s+(?P<letter>[A-HJ])(?=\s*(?:again|too|[.,;!)]|$))"
)
"""A value that is a result."""
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_THEREFORE = re.compile(r"\b(?:so|therefore|thus|hence|finally|in total|altogether)\b[^.\n]*$", re.IGNORECASE)
_EQUATION = re.compile(r"(?=[^.,;:\n=]*[A-Za-z])(?=[^.,;:\n=]*[-+*^)])(?:(?!\bso\b)[^.,;:\n=])+=\s*$", re.IGNORECASE)
"""The left side of an equation with an unknown in a term, such as `(x - 6)(x + 2) =`: the right side is no answer."""
_LOOKED_AT, _REMEMBERED = 2, 6
_NUMBER = r"-?\d{1,12}(?:\.\d{1,6})?"
_SUM = re.compile(
    rf"(?<![\w.,^_\\)}}\]])(?P<a>{_NUMBER})\s*(?P<op>[-+*×·−]|\\times|\\cdot)\s*(?P<b>{_NUMBER})\s*=\s*(?P<c>{_NUMBER})"
    r"(?![\d.,]*\d)(?!\s*[-+*×·/÷^!%(=_\\−]|\w|\s*\{)"
)
_BEFORE = frozenset("+-*×·/÷^\\−")


def label_of(answers: Sequence[str], problem: Problem, domain: Domain) -> Label:
    """`correct` if one of the answers is right, `incomplete` if the grader can read none of them.

    Raises:
        Ambiguous: the grader broke.
    """
    verdicts = [_verdict(answer, problem, domain) for answer in answers if answer]
    if "correct" in verdicts:
        return "correct"
    return "incorrect" if "wrong" in verdicts else "incomplete"


def label_text(text: str, problem: Problem, domain: Domain) -> Label:
    """The label of an approach's text.

    Its last announced answer (a box, `the answer is ...`) decides, unless a result after it is correct. Without one,
    the last results are graded, and those a little earlier that follow a `so`, since a check may come after the
    answer. They count as wrong only after a `so`, since an intermediate value is not an answer. If the reference
    answer has several lines (a program), an answer is a fenced block of code.

    Raises:
        Ambiguous: the grader broke.
    """
    if "\n" in problem.gold.strip():
        return label_of(_FENCED.findall(text)[-1:], problem, domain)
    found = firm_answer(text)
    if found and (label := label_of([found[1]], problem, domain)) != "incomplete":
        later = [value for _, value in loose_answers(text[found[0] :])[-_LOOKED_AT:]]
        return "correct" if label_of(later, problem, domain) == "correct" else label
    values = loose_answers(text)
    label = label_of([value for _, value in values[-_LOOKED_AT:]], problem, domain)
    if label == "correct" or not values:
        return label
    concluded = [value for place, value in values[-_REMEMBERED:] if _is_concluded(text, place)]
    if label_of(concluded, problem, domain) == "correct":
        return "correct"
    return label if label == "incorrect" and _is_concluded(text, values[-1][0]) else "incomplete"


def _is_concluded(text: str, place: int) -> bool:
    """Whether a value follows a `so` and is not the right side of an equation."""
    before = text[:place][-200:]
    return bool(_THEREFORE.search(before)) and not _EQUATION.search(before)


def firm_answer(text: str) -> tuple[int, str] | None:
    """The last announced answer and its end; None if there is none."""
    said = None
    for match in _FIRM.finditer(text):
        said = match
    box = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    inside = final_answer(text[box:]) if box >= 0 else None
    if inside and not (said and said.start() > box):
        return box + len(inside), f"\\boxed{{{inside}}}"
    return (said.end(), _trimmed(said["value"])) if said else None


def loose_answers(text: str) -> list[tuple[int, str]]:
    """The values that are results, each with its position."""
    found = []
    for match in _LOOSE.finditer(text):
        group = match.lastgroup or "value"
        found.append((match.start(group), _trimmed(match[group])))
    return found


def false_sums(text: str, start: int, end: int) -> Iterator[Span]:
    """The spans of false sums, differences and products of two numbers; longer terms and quotients are not checked."""
    for match in _SUM.finditer(text, start, end):
        before = text[max(start, match.start() - 8) : match.start()].rstrip()
        if before[-1:] in _BEFORE:
            continue
        a, b, c = (Decimal(match[name]) for name in ("a", "b", "c"))
        sign = match["op"]
        value = a + b if sign == "+" else a - b if sign in "-−" else a * b
        if value != c and "mod" not in text[match.end() : match.end() + 12]:
            yield Span(match.start(), match.end())


def _trimmed(answer: str) -> str:
    answer = answer.strip().strip("*_` ").rstrip(":")
    return answer if answer.count("$") % 2 == 0 else answer.replace("$", "")


def _verdict(answer: str, problem: Problem, domain: Domain) -> str:
    try:
        grade = domain.grade(answer, problem)
    except Unscorable:
        raise Ambiguous("the grader broke on an approach") from None
    return grade.verdict
