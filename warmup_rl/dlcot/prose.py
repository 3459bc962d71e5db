"""Reads a chain of thought: in prose by its passages and the domain's grader, in the terse phrasing exactly."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import starmap

from warmup_rl.base.types import Problem, Trace
from warmup_rl.dlcot.labels import label_text
from warmup_rl.dlcot.passages import Outline, outline, read_passages
from warmup_rl.dlcot.repeats import doubt_before, repetitions
from warmup_rl.dlcot.structure import Ambiguous, Approach, Label, Span, Structure
from warmup_rl.dlcot.terse import is_terse, read_terse
from warmup_rl.dlcot.text import Contents, read_text
from warmup_rl.interfaces.domain import Domain

_MOST_APPROACHES = 500
_ENDING = 1_500
"""Last characters of an approach in which its answer is looked for."""
_METHOD = 60


class Rules:
    """Implements `structure.Backend` without a model."""

    def read(self, trace: Trace, problem: Problem, domain: Domain) -> Structure:
        """The structure of a trace. Raises `Ambiguous` if it is unclear."""
        if is_terse(trace.thinking):
            return read_terse(trace.thinking, problem, domain)
        return read_prose(trace.thinking, problem, domain)


def read_prose(text: str, problem: Problem, domain: Domain) -> Structure:
    """The structure of a text in English.

    An approach is a run of passages that begins with an alternative, a hypothesis or a case. It has the cluster of an
    earlier one only if all of it repeats what was derived before. Labels are those of the grader for what is announced
    as an answer; they are not sure, so that nothing is cut for its label alone.

    Raises:
        Ambiguous: it is not in English, has no paragraphs, or too many approaches.
    """
    passages = read_passages(text)
    if sum(passage.move in ("alternative", "case", "suppose") for passage in passages) > _MOST_APPROACHES:
        raise Ambiguous(f"more than {_MOST_APPROACHES} approaches")
    found = repetitions(text, problem.question, passages)
    outlined = outline(text, problem.question, passages, found)

    @cache
    def label(first: int, end: int) -> Label:
        span = outlined.span(first, end)
        return label_text(text[max(span.start, span.end - _ENDING) : span.end], problem, domain)

    explored, repaired = _completed(outlined, label)
    stretches = outlined.approaches(explored)
    said = Contents(read_text(text), list(starmap(outlined.span, stretches)))
    whole = {first: end for first, end in found if (first, end) in stretches}
    clusters: list[int] = []
    approaches = []
    for index, (first, end) in enumerate(stretches):
        like = _earlier(said, index) if first in whole and index else None
        clusters.append(max(clusters, default=-1) + 1 if like is None else clusters[like])
        last = index + 1 == len(stretches)
        unfinished = last and label(first, end) == "incomplete" and outlined.verified < len(passages)
        reached = label(outlined.verified, len(passages)) if unfinished else label(first, end)
        span, steps = said.spans[index], outlined.steps(first, end)
        approaches.append(
            Approach(span, steps, reached, _method(text, span), clusters[-1], repaired=repaired * last)
        )  # fmt: skip
    repeats = []
    for run in found:
        span = outlined.span(*run)
        start = doubt_before(text, span.start) if passages[run[0]].move == "verify" else span.start
        if run[0] not in whole:
            repeats.append(Span(start, span.end))
        elif start < span.start:
            repeats.append(Span(start, span.start))
    checks = outlined.steps(explored, outlined.verified)
    return Structure(outlined.parts(explored), tuple(approaches), checks, tuple(repeats), sure=False)


def _completed(outlined: Outline, label: Callable[[int, int], Label]) -> tuple[int, int]:
    """Completeness repair (arXiv 2503.16385, step 2.3): the end of the exploration, and the passages of the
    verification that moved into the last approach because the answer is announced only there."""
    first, explored, verified = outlined.openings[-1], outlined.explored, outlined.verified
    if explored == verified or label(first, explored) != "incomplete":
        return explored, 0
    ends = range(explored + 1, verified + 1)
    end = next((end for end in ends if label(end - 1, end) != "incomplete"), explored)
    return end, end - explored


def _earlier(said: Contents, repeated: int) -> int:
    """The earlier approach that has most of the values and words of a repeated one."""
    pairs, words = said.pairs[repeated], said.words[repeated]
    alike = [len(pairs & said.pairs[index]) + len(words & said.words[index]) for index in range(repeated)]
    return alike.index(max(alike))


def _method(text: str, span: Span) -> str:
    """The first words of an approach."""
    end = read_text(text).first_end(span.start, min(span.end, span.start + 300))
    words = " ".join(text[span.start : end].split())
    return words if len(words) <= _METHOD else f"{words[: _METHOD - 3].rsplit(' ', 1)[0]} …"
