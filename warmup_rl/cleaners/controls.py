"""Controls for ablations: they take the reasoning out of traces, so that one can see what it was good for."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Literal

from warmup_rl.base.types import Trace
from warmup_rl.dlcot.judge_reply import sentences
from warmup_rl.interfaces.cleaner import CleanContext, Cleaner, Dropped


class AnswersOnly(Cleaner):
    """A control, no cleaning: the thinking is left empty, only the answer is shown.

    It is what the non-reasoning teacher of arXiv 2505.13718 comes down to, whose student fell to 11% on MATH.
    """

    type: ClassVar[str] = "answers_only"

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        def clean(trace: Trace) -> Trace | Dropped:
            return replace(trace, thinking="", meta={**trace.meta, "control": "answers only"})

        return clean


class Shuffled(Cleaner):
    """A control, no cleaning: the thinking keeps its words and loses their order, so it leads nowhere any more.

    Each trace is shuffled by the run's seed, its problem and sample.
    """

    type: ClassVar[str] = "shuffled"

    unit: Literal["words", "sentences"] = "words"
    """What changes places: single words, or whole sentences."""

    def start(self, context: CleanContext) -> Callable[[Trace], Trace | Dropped]:
        def clean(trace: Trace) -> Trace | Dropped:
            pieces = trace.thinking.split()
            if self.unit == "sentences":
                pieces = [trace.thinking[span.start : span.end].strip() for span in sentences(trace.thinking)]
            random.Random(f"shuffled/{context.seed}/{trace.problem_id}/{trace.sample}").shuffle(pieces)
            meta = {**trace.meta, "control": f"{self.unit} shuffled"}
            return replace(trace, thinking=" ".join(pieces), meta=meta)

        return clean
