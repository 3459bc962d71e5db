"""Stage `guided_rlvr`: RLVR with a supervised loss on a few demonstrations whose weight decays (arXiv 2605.15012)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pydantic

from warmup_rl.base.errors import UserError
from warmup_rl.data.traces import read_traces
from warmup_rl.interfaces.stage import Context
from warmup_rl.stages.rlvr import Rlvr
from warmup_rl.stages.sft import Example, encode
from warmup_rl.stages.training import IGNORED

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from warmup_rl.stages.training.grpo import PlannedGRPOTrainer as _Trainer
else:
    _Trainer = object


class GuidedRlvr(Rlvr):
    """`rlvr` that also learns from demonstrations: the traces of the stages before it, at most `demonstrations`."""

    type: ClassVar[str] = "guided_rlvr"
    inputs: ClassVar[frozenset[str]] = frozenset({"model", "traces"})

    demonstrations: int = pydantic.Field(default=128, gt=0)
    """Traces that are drawn at random and used again and again."""
    demonstrations_per_pass: int = pydantic.Field(default=8, gt=0)
    """Traces beside the rollouts of each forward pass."""
    weight: float = pydantic.Field(default=0.5, gt=0)
    """Weight of the supervised loss at the first step."""
    until: float = pydantic.Field(default=0.5, gt=0, le=1)
    """Share of the steps after which the weight, which falls linearly, is zero."""

    @property
    def _variants(self) -> tuple[str, ...]:
        return (*super()._variants, "warmup_rl_extras.guided:Guided")

    def _trainer(self, context: Context, tokenizer: PreTrainedTokenizerBase, config: Any, *rest: Any) -> Any:
        trainer = super()._trainer(context, tokenizer, config, *rest)
        traces = list(read_traces(context.inputs["traces"]))
        if not traces:
            raise UserError(f"{context.stage_id}: there are no traces to learn from.")
        drawn = random.Random(f"demonstrations/{context.seed}").sample(traces, min(self.demonstrations, len(traces)))
        examples = [encode(tokenizer, trace, context.response_format) for trace in drawn]
        last = self.until * config.max_steps
        trainer.guide = Guide(examples, self.demonstrations_per_pass, self.weight, last, tokenizer.pad_token_id)
        return trainer


@dataclass(frozen=True)
class Guide:
    """Demonstrations as token ids, and the weight of their loss by optimizer step: `weight` at 0, zero at `last`."""

    examples: Sequence[Example]
    size: int
    weight: float
    last: float
    pad_id: int

    def weight_at(self, step: int) -> float:
        """The weight at an optimizer step."""
        return self.weight * max(0.0, 1 - step / self.last)

    def batch(self, draw: random.Random) -> Mapping[str, torch.Tensor]:
        """Random demonstrations as `input_ids`, `attention_mask` and `labels`, padded on the right."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        drawn = draw.sample(self.examples, min(self.size, len(self.examples)))
        ids = [torch.tensor(one["input_ids"]) for one in drawn]
        labels = [torch.tensor(one["labels"]) for one in drawn]
        return {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self.pad_id),
            "attention_mask": pad_sequence([torch.ones_like(one) for one in ids], batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        }


class Guided(_Trainer):
    """Adds the mean loss a token of demonstrations to that of the rollouts; `guide` is set by the stage."""

    guide: Guide

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        weight = self.guide.weight_at(self.state.global_step)
        if not weight:
            return loss
        part, rank = self._step % self.current_gradient_accumulation_steps, self.accelerator.process_index
        draw = random.Random(f"guide/{self.args.seed}/{self.state.global_step}/{part}/{rank}")
        batch = {name: value.to(loss.device) for name, value in self.guide.batch(draw).items()}
        supervised = model(**batch, use_cache=False).loss
        self._metrics["train"]["demonstrations/loss"].append(supervised.item())
        self._metrics["train"]["demonstrations/weight"].append(weight)
        return loss + weight * supervised / self.current_gradient_accumulation_steps
