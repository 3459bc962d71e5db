"""The basic cleaners: correct traces only, no duplicates, length within bounds."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from pydantic import Field, model_validator

from warmup_rl.base.types import Trace
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped, EachAlone


class Correct(EachAlone):
    """Keeps traces with a correct answer."""

    type: ClassVar[str] = "correct"

    well_formed: bool = False
    """Also drop traces that do not follow the response format exactly."""

    def clean(self, context: CleanContext, trace: Trace) -> Trace | Dropped:
        if trace.score.verdict != "correct":
            return Dropped("no answer" if trace.score.verdict == "none" else f"answer {trace.score.verdict}")
        if self.well_formed and not trace.score.well_formed:
            return Dropped("not well formed")
        return trace


class Duplicates(Cleaner):
    """Drops traces that repeat an earlier one of the same problem, ignoring white space."""

    type: ClassVar[str] = "duplicates"

    per_problem: int | None = Field(default=None, gt=0)
    """Traces kept per problem; default: no limit."""

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        seen: set[bytes] = set()
        kept: Counter[str] = Counter()

        def keep(key: bytes, problem_id: str) -> None:
            seen.add(key)
            if self.per_problem is not None:
                kept[problem_id] += 1

        def clean(trace: Trace) -> Trace | Dropped:
            key = _key(trace)
            if key in seen:
                return Dropped("duplicate")
            if self.per_problem is not None and kept[trace.problem_id] >= self.per_problem:
                return Dropped(f"more than {self.per_problem} a problem")
            keep(key, trace.problem_id)
            context.remember([key.hex(), trace.problem_id])
            return trace

        for key, problem_id in context.remembered:
            keep(bytes.fromhex(key), problem_id)
        return clean


class Length(EachAlone):
    """Drops traces that are too short or too long: thinking and answer, in the student's tokens."""

    type: ClassVar[str] = "length"

    min_tokens: int = Field(default=0, ge=0)
    """Fewest tokens of a kept trace."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Most tokens of a kept trace; default: no limit."""

    @model_validator(mode="after")
    def _some_length_fits(self) -> Length:
        if self.max_tokens is not None and self.max_tokens < self.min_tokens:
            raise ValueError(f"max_tokens: {self.max_tokens} is below min_tokens {self.min_tokens}; nothing is kept")
        return self

    def clean(self, context: CleanContext, trace: Trace) -> Trace | Dropped:
        tokens = context.count_tokens(trace.thinking) + context.count_tokens(trace.answer)
        if tokens < self.min_tokens:
            return Dropped(f"shorter than {self.min_tokens} tokens")
        if self.max_tokens is not None and tokens > self.max_tokens:
            return Dropped(f"longer than {self.max_tokens} tokens")
        return trace


def _key(trace: Trace) -> bytes:
    """A digest of the words of a trace, small enough to keep for 100,000 long traces."""
    words = (trace.problem_id, " ".join(trace.thinking.split()), " ".join(trace.answer.split()))
    return hashlib.blake2b(json.dumps(words).encode(), digest_size=16).digest()
