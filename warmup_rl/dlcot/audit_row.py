"""The row that the cleaner `dlcot` leaves in the audit for every trace: what was found, what was cut, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypedDict

from warmup_rl.base.types import Problem, Trace
from warmup_rl.dlcot.structure import Approach, Cut, Label, Part, Reason, Span, Structure

Outcome = Literal["cut", "unchanged", "doubt", "refused"]
"""`cut`: `cuts` were made; `unchanged`: there was nothing to cut; `doubt`: the trace could not be taken apart, `parts`
and `approaches` are empty; `refused`: `cuts` were found, but a guard refused the result, so the original stays."""

Offsets = list[int]
"""`[start, end]`: characters of `thinking`, end exclusive."""


class PartRow(TypedDict):
    """One of the five parts of a chain of thought; those that are there partition `thinking`."""

    name: Part
    start: int
    end: int


class ApproachRow(TypedDict):
    """One approach; all of them partition the exploration. Keys as in `structure.Approach`."""

    start: int
    end: int
    label: Label
    method: str
    cluster: int
    steps: list[Offsets]
    errors: list[Offsets]
    repaired: int
    settles: bool


class CutRow(TypedDict):
    """A span that was cut (outcome `cut`), or that would have been (outcome `refused`)."""

    start: int
    end: int
    reason: Reason
    approach: int | None
    like: int | None


class AuditRow(TypedDict):
    """What was done to one trace.

    Attributes:
        cleaner: always `dlcot`; tells the row apart from those of other cleaners.
        gold: the reference answer.
        why: a short, countable reason for `doubt` and `refused`, else empty.
        reasons: cuts by reason; empty unless the outcome is `cut`.
        tokens_before, tokens_after: of the thinking, under the student's tokenizer; equal unless the outcome is `cut`.
        verification: steps of the verification, after completeness repair.
        thinking, answer: of the original trace; all offsets are into this `thinking`.
        cleaned: the thinking after the cuts; equal to `thinking` unless the outcome is `cut`.
    """

    cleaner: Literal["dlcot"]
    problem_id: str
    sample: int
    domain: str
    question: str
    gold: str
    outcome: Outcome
    why: str
    reasons: dict[str, int]
    tokens_before: int
    tokens_after: int
    parts: list[PartRow]
    approaches: list[ApproachRow]
    verification: list[Offsets]
    cuts: list[CutRow]
    thinking: str
    answer: str
    cleaned: str


def audit_row(
    trace: Trace,
    problem: Problem,
    *,
    outcome: Outcome,
    why: str = "",
    structure: Structure | None = None,
    cuts: Sequence[Cut] = (),
    cleaned: str,
    tokens: tuple[int, int],
) -> AuditRow:
    """The row of one trace, JSON-ready.

    Args:
        structure: None where the trace could not be taken apart.
        tokens: of the thinking, before and after.
    """
    return {
        "cleaner": "dlcot",
        "problem_id": trace.problem_id,
        "sample": trace.sample,
        "domain": trace.domain,
        "question": problem.question,
        "gold": problem.gold,
        "outcome": outcome,
        "why": why,
        "reasons": dict(Counter(cut.reason for cut in cuts)) if outcome == "cut" else {},
        "tokens_before": tokens[0],
        "tokens_after": tokens[1],
        "parts": [{"name": name, "start": s.start, "end": s.end} for name, s in structure.parts] if structure else [],
        "approaches": [_approach(approach) for approach in structure.approaches] if structure else [],
        "verification": _offsets(structure.verification) if structure else [],
        "cuts": [_cut(cut) for cut in cuts],
        "thinking": trace.thinking,
        "answer": trace.answer,
        "cleaned": cleaned,
    }


def _approach(approach: Approach) -> ApproachRow:
    return {
        "start": approach.span.start,
        "end": approach.span.end,
        "label": approach.label,
        "method": approach.method,
        "cluster": approach.cluster,
        "steps": _offsets(approach.steps),
        "errors": _offsets(approach.errors),
        "repaired": approach.repaired,
        "settles": approach.settles,
    }


def _cut(cut: Cut) -> CutRow:
    return {
        "start": cut.span.start,
        "end": cut.span.end,
        "reason": cut.reason,
        "approach": cut.approach,
        "like": cut.like,
    }


def _offsets(spans: Sequence[Span]) -> list[Offsets]:
    return [[span.start, span.end] for span in spans]
