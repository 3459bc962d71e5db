"""Labels a stretch of thinking by the answer at its end, as the domain's own grader sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Problem
from warmup_rl.dlcot.structure import Ambiguous, Label
from warmup_rl.dlcot.text import prose_sentences, values_in
from warmup_rl.grading.final_answer import last_box
from warmup_rl.grading.reported import is_reported, without_quotations
from warmup_rl.interfaces.domain import Domain

_ANNOUNCED = re.compile(
    r"\b(?:answer|solution|choice|option)(?: to [^.\n]{1,40}?)?(?:\s*[:=]\s*|,? (?:is|must be|should be|would be"
    r"|comes out to be|has to be)(?: indeed| still| therefore| option)*:?\s+)",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(r"\b(?:if|whether)\b[^,.;:]*$", re.IGNORECASE)
_PLAIN = re.compile(
    r"(?:^|[,;] (?=so\b|therefore\b|thus\b|hence\b))[\W_]*(?:(?:so|therefore|thus|hence|the|my|final)\b[,\s]*)*"
    r"(?:(?:answer|solution|choice|option)\b(?:\s+is\b)?[\s:=*]*(?=\S)|(?=\\boxed))",
    re.IGNORECASE,
)
"""What stands before an answer that is announced without ifs and buts."""
_MATH = r"(?:[\d.,/+\-*^=()\[\]{}$%<>|_\s\\°:]|\\[a-zA-Z]+|(?<![A-Za-z])[a-zA-Z](?![A-Za-z'’])|\band\b|\bor\b)"
_FIRST_VALUE, _LAST_VALUE = re.compile(rf"{_MATH}*"), re.compile(rf"(?<![A-Za-z]){_MATH}+$")
_CLOSING = re.compile(r"(?:\s|[.!*_`✓]|\b(?:again|too|as well|indeed|either)\b)+$")
_LOOKED_AT, _LONGEST, _BEFORE, _UNIT = 10, 200, 80, 2
"""Last sentences in which an answer is looked for, their last characters, those before an answer that are read, and
words that may follow a plain one."""


def label_text(text: str, problem: Problem, domain: Domain) -> Label:
    """`correct` if the right answer is announced, boxed, or the result at the end of one of the last sentences; else
    `incorrect` if the last answer that one of them announces plainly is wrong, and the right value stands neither
    behind it nor in another of them; else `incomplete`.

    A reference answer of several lines (roles, a program) is looked for as the domain finds it in a whole text.

    Raises:
        Ambiguous: the grader broke.
    """
    if "\n" in problem.gold.strip():
        label = label_of([domain.final_answer(text, problem) or ""], problem, domain)
        return "correct" if label == "correct" else "incomplete"
    last = [*_last_sentences(text)]
    for said in last:
        if label_of([*announced_in(said), *results_in(said, own=True)], problem, domain) == "correct":
            return "correct"
    for number, said in enumerate(last):
        if plain := _plainly_announced(said):
            others = "\n".join([*last[:number], plain, *last[number + 1 :]])
            return "incomplete" if _stands(problem.gold, others) else label_of([plain], problem, domain)
    return "incomplete"


def label_last(text: str, problem: Problem, domain: Domain) -> Label:
    """The label of the last answer that one of the last sentences announces; without one that of the text."""
    for said in _last_sentences(text) if "\n" not in problem.gold.strip() else ():
        if found := announced_in(said):
            return label_of(found[:1], problem, domain)
    return label_text(text, problem, domain)


def _last_sentences(text: str) -> Iterator[str]:
    """The last sentences, the last one first, without answers that they quote."""
    text = without_quotations(text.strip(), _ANNOUNCED.search)
    return (text[span.start : span.end] for span in reversed(prose_sentences(text)[-_LOOKED_AT:]))


def label_of(answers: Sequence[str], problem: Problem, domain: Domain) -> Label:
    """`correct` if one of the answers is right, `incomplete` if the grader can read none of them.

    Raises:
        Ambiguous: the grader broke.
    """
    label: Label = "incomplete"
    for answer in filter(None, answers):
        try:
            verdict = domain.grade(answer, problem).verdict
        except Unscorable:
            raise Ambiguous("the grader broke on an approach") from None
        if verdict == "correct":
            return "correct"
        label = "incorrect" if verdict == "wrong" else label
    return label


def announced_in(sentence: str) -> list[str]:
    """The answers that a sentence announces as such, the last one first; none that it reports of others."""
    box = last_box(sentence)
    announced = (match for match in _ANNOUNCED.finditer(sentence) if _is_own(_near(sentence, match.start())))
    found = [sentence[match.end() :] for match in announced]
    values = (_trimmed((_FIRST_VALUE.match(rest) or [""])[0]) or _trimmed(rest) for rest in reversed(found))
    return [*([f"\\boxed{{{box[1]}}}"] if box and _is_own(_near(sentence, box[0])) else []), *values]


def results_in(sentence: str, *, own: bool = False) -> Iterator[str]:
    """What may be the result of a sentence: the mathematics at its end, and what follows the last sign of equality.
    `own`: none that it reports of others, as in `The key says 5`."""
    ending = _CLOSING.sub("", sentence[-_LONGEST:])
    found = _LAST_VALUE.search(ending)
    if found and (value := _trimmed(found[0])) and not (own and is_reported(_near(ending, found.start()))):
        yield value
        if len(parts := re.split(r"=|≈|\\approx", value)) > 1:
            yield _trimmed(parts[-1])


def _plainly_announced(sentence: str) -> str:
    """The answer of a sentence, or of its last conclusion, that says nothing else; empty if there is none."""
    begun = [*_PLAIN.finditer(sentence)][-1:]
    if not begun or sentence.rstrip().endswith("?") or not _is_own(_near(sentence, begun[0].start())):
        return ""
    rest = sentence[begun[0].end() :]
    if box := last_box(rest):
        return f"\\boxed{{{box[1]}}}"
    value = (_FIRST_VALUE.match(rest) or [""])[0]
    behind = len(re.findall(r"[^\W\d_]+", rest[len(value) :]))
    return _trimmed(value) if behind <= _UNIT and (not behind or re.search(r"\d", value)) else ""


def _stands(gold: str, text: str) -> bool:
    """Whether the values of a reference answer, or its words if it has none, stand in a text."""
    values = set(values_in(gold))
    return values <= set(values_in(text)) if values else gold.strip().lower() in text.lower()


def _is_own(before: str) -> bool:
    return not is_reported(before) and not _SUPPOSED.search(before)


def _near(sentence: str, place: int) -> str:
    return sentence[max(0, place - _BEFORE) : place]


def _trimmed(answer: str) -> str:
    """An answer without the punctuation and the halves of pairs of signs around it."""
    answer = re.sub(r"^(?:and|or)\b|\b(?:and|or)$", "", answer.strip().strip("*_` :,.")).strip()
    for opening, closing in (("\\(", "\\)"), ("\\[", "\\]"), ("(", ")")):
        if answer.count(opening) != answer.count(closing):
            answer = answer.removeprefix(opening).removesuffix(closing).strip()
    return answer if answer.count("$") % 2 == 0 else answer.replace("$", "")
