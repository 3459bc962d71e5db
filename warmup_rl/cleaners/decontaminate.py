"""Drops traces of problems that the recipe evaluates on, also if renamed, and traces that contain their words."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from warmup_rl.base.types import Problem, Trace
from warmup_rl.domains.overlap import WORDS, Evaluated
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped


class Decontaminate(Cleaner):
    """Compares question and thinking of each trace with every problem that the recipe evaluates on.

    A trace is dropped if its problem is evaluated on (by id, by its words, or by the domain's canonical key: for
    Knights & Knaves the statements, regardless of names and order), or if it contains a share of an evaluation
    problem's runs of `words` words, without boilerplate. Boilerplate is a run that occurs in one of a hundred problems
    (evaluated ones and those of the traces together), such as the introduction of a puzzle. Case and punctuation are
    ignored, arithmetic signs are not. Problems with canonical keys of the same family are compared by these alone,
    since they all consist of the same few phrases.
    """

    type: ClassVar[str] = "decontaminate"
    reads_evaluation: ClassVar[bool] = True

    words: int = Field(default=WORDS, ge=3)
    """Length of the runs of words. Questions that are shorter or mostly boilerplate are compared as a whole."""
    share: float = Field(default=0.3, gt=0, le=1)
    """Share of an evaluation problem's runs at which a trace is dropped. 0.3 finds the same exercise with other
    numbers, 0.5 with one number changed; near 0 one common run is enough."""

    def per_rank(self) -> bool:
        return True

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        def canonical(problem: Problem) -> str | None:
            domain = context.domains.get(problem.domain)
            return domain.canonical(problem) if domain else None

        evaluated = Evaluated(context.held_out(), canonical, self.words)
        evaluated.find_boilerplate(context.problems.values())

        def clean(trace: Trace) -> Trace | Dropped:
            problem = context.problems[trace.problem_id]
            found = evaluated.same(problem) or evaluated.like(problem, trace.thinking, self.share)
            if found is None:
                return trace
            context.audit({
                "cleaner": self.type, "outcome": "dropped", "why": found.why, "problem_id": problem.id,
                "sample": trace.sample, "evaluated": found.problem_id, "domain": found.domain,
            })  # fmt: skip
            return Dropped(f"{found.why} ({found.domain})")

        return clean
