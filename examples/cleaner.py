"""A cleaning step of your own: of the traces of a problem, only those hardly longer than the first one are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from warmup_rl.base.types import Trace
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped


class PreferShort(Cleaner):
    """Drops a trace that is much longer than the first one kept for its problem."""

    type: ClassVar[str] = "prefer_short"

    factor: float = Field(default=1.5, gt=1)
    """A trace may have this many times the tokens of the first one."""

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        first: dict[str, int] = dict(context.remembered)  # what a killed run had kept before

        def clean(trace: Trace) -> Trace | Dropped:
            tokens = context.count_tokens(trace.thinking)
            if trace.problem_id not in first:
                first[trace.problem_id] = tokens
                context.remember([trace.problem_id, tokens])
            elif tokens > self.factor * first[trace.problem_id]:
                return Dropped(f"more than {self.factor:g} times as long as the first")
            return trace

        return clean
