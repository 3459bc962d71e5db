"""Applies cuts by character offsets, so that the result is a subsequence of the source; refuses in doubt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warmup_rl.base.types import Problem, Trace
from warmup_rl.dlcot.structure import Cut
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ResponseFormat

_MENTION = re.compile(
    r"\b(?:both|all three|(?:the|my|these) (?:two|three)) (?:of (?:these|them|my) )?"
    r"(?:ways|methods|approaches|checks)\b",
    re.IGNORECASE,
)


class Refused(Exception):
    """The cuts cannot be applied and the original stays; the message is a short, countable reason."""


def cut_out(text: str, cuts: Sequence[Cut]) -> str:
    """The text without the spans of the cuts; white space changes at the seams only.

    Raises:
        Refused: spans overlap or lie outside the text, or nothing is left.
    """
    spans = [cut.span for cut in cuts]
    edges = [0, *(edge for span in spans for edge in (span.start, span.end)), len(text)]
    if edges != sorted(edges):
        raise Refused("cuts overlap")
    kept = list(zip(edges[::2], edges[1::2], strict=True))
    pieces = [text[start:end] for start, end in kept if start < end or start in (0, len(text))]
    left = pieces[0]
    for piece in pieces[1:]:
        left = _joined(left, piece)
    if not left.strip():
        raise Refused("nothing would be left")
    return left


def require_answer(
    trace: Trace, thinking: str, problem: Problem, domain: Domain, response_format: ResponseFormat
) -> None:
    """Grades the answer in the rendered trace with the new thinking.

    Raises:
        Refused: the verdict differs from the trace's own, or a well-formed trace is no longer well formed.
    """
    shown = response_format.split(response_format.render(thinking=thinking, answer=trace.answer))
    verdict = domain.grade(shown.answer, problem).verdict if shown.answer else "none"
    if verdict != trace.score.verdict:
        raise Refused(f"the answer would be graded {verdict}")
    if trace.score.well_formed and not shown.well_formed:
        raise Refused("the format would be broken")


def require_no_mention(text: str, cuts: Sequence[Cut]) -> None:
    """Raises `Refused` if the text after a removed approach refers to it, as in `Both ways give the same`."""
    ends = [
        cut.span.end
        for cut in cuts
        if cut.reason in ("unsolvable", "wrong approach") or cut.like not in (None, cut.approach)
    ]
    hinted = ends and any(hint in text for hint in ("ways", "methods", "approaches", "checks"))
    if hinted and _MENTION.search(text, min(ends)):
        raise Refused("the rest speaks of what would go")


def require_length(before: str, after: str, *, least: float, most: float) -> None:
    """Raises `Refused` unless the length in characters is between these shares of the original."""
    share = len(after) / len(before)
    if share < least:
        raise Refused(f"less than {least:g} of the thinking would be left")
    if share > most:
        raise Refused(f"more than {most:g} of the thinking would be left")


def is_subsequence(text: str, source: str) -> bool:
    """Whether all characters of `text` occur in `source` in this order."""
    position = 0
    for character in text:
        position = source.find(character, position) + 1
        if not position:
            return False
    return True


def _joined(left: str, right: str) -> str:
    """Joins two pieces by one of the two runs of white space at the seam: the one with more line breaks."""
    head, tail = left.rstrip(), right.lstrip()
    if not head or not tail:
        return head or tail
    runs = left[len(head) :], right[: len(right) - len(tail)]
    return head + max(runs, key=lambda run: (run.count("\n"), len(run))) + tail
