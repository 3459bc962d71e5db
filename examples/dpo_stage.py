"""A trainer stage of your own: DPO (arXiv 2305.18290) on verified pairs, a right and a wrong trace of one problem.

In a recipe, after a stage that hands on wrong traces too:

    - {type: distill, domain: kk, problems: 200, teacher: ..., sampling: {samples: 4}, keep_wrong: true}
    - {type: examples/dpo_stage.py:Dpo, id: dpo, epochs: 1, args: {beta: 0.1, learning_rate: 1.0e-6}}
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import UserError
from warmup_rl.data.traces import read_traces
from warmup_rl.interfaces.chat import render_prompt
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.training.base import OWNED, TrainerStage


class Dpo(TrainerStage):
    """Prefers the traces of a problem that the domain's grader found correct to those that it found wrong."""

    type: ClassVar[str] = "dpo"
    role: ClassVar[str] = "warmup"
    inputs: ClassVar[frozenset[str]] = frozenset({"model", "traces"})
    trainer_config: ClassVar[str] = "trl:DPOConfig"
    owned_options: ClassVar[dict[str, str]] = {**OWNED, "max_length": "drop long traces in a clean stage (`length`)"}

    batch_size: int = Field(default=8, gt=0)
    """Pairs a step, over all processes."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the pairs."""

    def config(self, context: Context, **owned: Any) -> Any:
        return super().config(context, num_train_epochs=self.epochs, max_length=None, **owned)

    def train(self, context: Context, tokenizer: Any, contract: Any) -> dict[str, Any]:
        from datasets import Dataset
        from trl import DPOTrainer

        pairs = list(self.pairs(context, tokenizer))
        if not pairs:
            raise UserError(f"{context.stage_id}: no problem has a right and a wrong trace. Set distill.keep_wrong.")
        trainer = DPOTrainer(
            model=str(context.inputs.model),
            args=self.config(context),
            train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer,
            peft_config=self.adapter(),
        )
        return {"pairs": len(pairs), **self.fit(trainer, context, tokenizer)}

    def pairs(self, context: Context, tokenizer: Any) -> Iterator[dict[str, str]]:
        """Prompts with a chosen and a rejected completion, laid out as RLVR and evaluation do it."""
        layout, traces = context.response_format, defaultdict(list)
        for trace in read_traces(context.inputs["traces"]):
            traces[trace.problem_id].append(trace)
        for group in traces.values():
            texts: dict[bool, list[str]] = {True: [], False: []}
            for trace in group:
                text = layout.render(thinking=trace.thinking, answer=trace.answer)
                texts[trace.score.verdict == "correct"].append(text)
            prompt = render_prompt(tokenizer, group[0].messages, layout)
            for chosen, rejected in product(texts[True], texts[False]):
                yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}
