"""Controls for ablations: they remove the reasoning from traces, to show what it contributes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import ClassVar, Literal

from warmup_rl.base.types import Trace
from warmup_rl.dlcot.text import sentences
from warmup_rl.interfaces.cleaner import CleanContext, Dropped, EachAlone


class AnswersOnly(EachAlone):
    """A control, not a cleaner: empties the thinking and keeps the answer.

    This resembles the non-reasoning teacher of arXiv 2505.13718, whose student fell to 11% on MATH.
    """

    type: ClassVar[str] = "answers_only"

    def clean(self, context: CleanContext, trace: Trace) -> Trace | Dropped:
        return replace(trace, thinking="", meta={**trace.meta, "control": "answers only"})


class Shuffled(EachAlone):
    """A control, not a cleaner: shuffles the words of the thinking, so that it is no longer an argument.

    The order depends on the run's seed, the problem and the sample.
    """

    type: ClassVar[str] = "shuffled"

    unit: Literal["words", "sentences"] = "words"
    """What is shuffled: words or whole sentences."""

    def clean(self, context: CleanContext, trace: Trace) -> Trace | Dropped:
        pieces = trace.thinking.split()
        if self.unit == "sentences":
            pieces = [trace.thinking[span.start : span.end].strip() for span in sentences(trace.thinking)]
        random.Random(f"shuffled/{context.seed}/{trace.problem_id}/{trace.sample}").shuffle(pieces)
        meta = {**trace.meta, "control": f"{self.unit} shuffled"}
        return replace(trace, thinking=" ".join(pieces), meta=meta)
