"""The cleaner `dlcot`: segments a chain of thought and cuts its redundant parts, or leaves it unchanged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import Field, model_validator

from warmup_rl.base.errors import Unscorable
from warmup_rl.base.types import Trace
from warmup_rl.cleaners.repetition import ends_in_loop
from warmup_rl.dlcot.audit import Outcome, audit_row
from warmup_rl.dlcot.cut import (
    Refused,
    coherent,
    cut_out,
    require_answer,
    require_derivation,
    require_length,
    require_repeats,
    require_stated,
)
from warmup_rl.dlcot.judge import Judge, Reader
from warmup_rl.dlcot.structure import Ambiguous, Backend, Cut, Span, Structure
from warmup_rl.dlcot.terse import is_terse
from warmup_rl.dlcot.variants import Errors, Redundancy, Verification, simplify
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped

LOOP_ROUNDS = 4
"""Repetitions of the same words at the end of a thinking that are reported as a loop."""
_TEMPLATE_MARK = re.compile(r"<[|｜][^\s<>|｜]{1,40}[|｜]>|</?\|?(?:im_start|im_end|s|eot_id)\|?>|\[/?INST\]")
"""A mark of a chat template, whole or broken."""


class DLCoT(Cleaner):
    """Prunes long chains of thought (arXiv 2503.16385): repeated approaches, needless re-checks, optionally dead ends.

    The result is a subsequence of the source. In prose a cut is left alone where the text around it would not be
    coherent, and a trace where the last answer of what remains is less right or no longer derived. A changed trace has
    `dlcot` in its `meta`: cuts by reason, and the tokens of its thinking before and after.
    """

    type: ClassVar[str] = "dlcot"

    redundancy: Redundancy = "delete_multi_all"
    """Which repeats of an approach are cut: `none`; `delete_multi_1`, `delete_multi_2` (the last, the last two);
    `delete_multi_all` (all; one approach per method is kept); `delete_multi_incorrect_incomplete` (all but correct
    ones); `keep_first` (approaches after the first correct one); `earliest_correct` (everything between the first
    correct approach and the conclusion, arXiv 2605.13165). All but `none` also cut re-checks that only repeat the
    previous result."""
    verification: Verification = "keep"
    """`drop` cuts the verification and all re-checks (arXiv 2505.14582)."""
    unsolvable: bool = False
    """Cut approaches that reach no answer and settle nothing; only in terse chains and with a judge."""
    errors: Errors = "none"
    """Wrong turns: `none` keeps them, as the paper advises; `delete_solution` cuts wrong approaches after the first
    correct one; `delete_all` also cuts wrong steps before it. Only in terse chains and with a judge."""
    min_ratio: float = Field(default=0.05, ge=0, le=1)
    """If less than this share of the thinking would be left, the trace is left unchanged."""
    max_ratio: float = Field(default=1.0, gt=0, le=1)
    """If more than this share would be left, the trace is left unchanged; 1 accepts every cut."""
    judge: Judge | None = None
    """A model that segments traces instead of the rules: a mapping with `engine` and the judge's keys."""

    @model_validator(mode="after")
    def _some_length_fits(self) -> DLCoT:
        if self.min_ratio >= self.max_ratio:
            raise ValueError(f"max_ratio: must be greater than min_ratio ({self.min_ratio}), got {self.max_ratio}")
        return self

    def ready(self) -> None:
        if self.judge:
            self.judge.engine.ready()

    def per_rank(self) -> bool:
        return self.judge is None

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        if self.judge:
            return _Judging(self, context, self.judge.start(context))
        from warmup_rl.dlcot.prose import Rules  # hundreds of patterns, which no check of a recipe needs

        return _Cleaning(self, context, Rules())


@dataclass(frozen=True)
class _Cleaning:
    config: DLCoT
    context: CleanContext
    backend: Backend

    def __call__(self, trace: Trace) -> Trace:
        problem, domain = self.context.problems[trace.problem_id], self.context.domains[trace.domain]
        outcome: Outcome = "unchanged"
        why, thinking = "", trace.thinking
        structure: Structure | None = None
        cuts: tuple[Cut, ...] = ()
        left: list[tuple[Span, str]] = []
        try:
            structure = self.backend.read(trace, problem, domain)
            cuts = simplify(
                structure, redundancy=self.config.redundancy, unsolvable=self.config.unsolvable,
                errors=self.config.errors, verification=self.config.verification,
            )  # fmt: skip
            if not is_terse(trace.thinking):
                repeats = self.config.redundancy != "keep_first"
                cuts, left = coherent(trace.thinking, cuts, problem.question, repeats=repeats)
            if cuts:
                thinking = self._without(trace, cuts)
                outcome = "cut"
        except Ambiguous as doubt:
            outcome, why = "doubt", str(doubt)
        except Refused as refused:
            outcome, why = "refused", str(refused)
        except Unscorable:
            outcome, why = "refused", "the grader broke"
        before = self.context.count_tokens(trace.thinking)
        after = self.context.count_tokens(thinking) if outcome == "cut" else before
        row = audit_row(
            trace, problem, outcome=outcome, why=why, structure=structure, cuts=cuts, left=left,
            notes=noticed(trace.thinking), cleaned=thinking, tokens=(before, after),
        )  # fmt: skip
        self.context.audit(row)
        if outcome != "cut":
            return trace
        counts = {"cuts": dict(Counter(cut.reason for cut in cuts)), "tokens_before": before, "tokens_after": after}
        return replace(trace, thinking=thinking, meta={**trace.meta, "dlcot": counts})

    def _without(self, trace: Trace, cuts: tuple[Cut, ...]) -> str:
        thinking = cut_out(trace.thinking, cuts)
        require_length(trace.thinking, thinking, least=self.config.min_ratio, most=self.config.max_ratio)
        problem, domain = self.context.problems[trace.problem_id], self.context.domains[trace.domain]
        if not is_terse(trace.thinking):
            if self.config.redundancy != "keep_first" and all(cut.reason == "redundant" for cut in cuts):
                require_repeats(trace.thinking, thinking, problem.question)
            require_derivation(trace.thinking, thinking, problem, domain)
            if checks := [cut.span.start for cut in cuts if cut.reason in ("verification", "after the answer")]:
                require_stated(trace.thinking[: checks[0]], trace, problem, domain)
        require_answer(trace, thinking, problem, domain, self.context.response_format)
        return thinking


@dataclass(frozen=True)
class _Judging(_Cleaning):
    """The started cleaner with a judge, which reads many traces at once."""

    backend: Reader

    def ahead(self, traces: Sequence[Trace]) -> None:
        self.backend.ahead(traces)


def noticed(thinking: str) -> list[str]:
    """What a reader should know of a thinking: a loop at its end, marks of a chat template."""
    found = ["ends in a loop"] if ends_in_loop(thinking, LOOP_ROUNDS) else []
    marks = ("<" in thinking or "[" in thinking) and _TEMPLATE_MARK.search(thinking)
    return [*found, f"holds {marks[0]}"] if marks else found
