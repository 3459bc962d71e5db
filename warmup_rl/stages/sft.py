"""Stage `sft`: supervised training on traces, the loss on completion and end token only, with TRL's SFTTrainer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from warmup_rl import contract
from warmup_rl.domain import Domain
from warmup_rl.errors import RunError, UserError
from warmup_rl.evaluation import EvaluationSettings
from warmup_rl.format import ResponseFormat
from warmup_rl.stage import Context, Facts, Stage
from warmup_rl.stages.distill import read_traces
from warmup_rl.stages.training import options
from warmup_rl.stages.training.lora import adapter_config
from warmup_rl.types import Trace

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import SFTTrainer

IGNORED = -100
Example = dict[str, list[int]]


class Sft(Stage):
    """Trains the model on the traces of the stages before it."""

    type: ClassVar[str] = "sft"
    needs: ClassVar[frozenset[Any]] = frozenset({"model", "traces"})
    gives: ClassVar[frozenset[Any]] = frozenset({"model"})
    every_rank: ClassVar[bool] = True
    TRAINER: ClassVar[str] = "sft"
    OWNED: ClassVar[dict[str, str]] = {
        **options.OWNED,
        "max_length": "max_tokens",
        "truncation_mode": "nothing is cut: traces over `max_tokens` are left out whole and counted",
        "completion_only_loss": "the loss is always on the completion alone",
        "assistant_only_loss": "the loss is always on the completion alone",
        "dataset_text_field": "the data are the traces of the stages before",
        "dataset_kwargs": "the data are the traces of the stages before",
        "eos_token": "the chat contract decides",
        "pad_token": "the chat contract decides",
        "chat_template_path": "the chat contract decides",
    }

    batch_size: int = Field(default=8, gt=0)
    """Traces a step, over all processes."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the traces."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Longest example, prompt and completion together; the model's context where not given."""
    may_leave_out: float = Field(default=0.1, ge=0, le=1)
    """Largest share of traces that may be left out for being too long."""
    lora: dict[str, Any] | None = None
    """Options of peft's LoraConfig, merged when the stage ends; all weights are trained where not given."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any option of TRL's SFTConfig. `per_device_train_batch_size` is the largest micro batch."""

    def check(self, *, world_size: int) -> list[str]:
        return options.wrong_batch(self.batch_size, world_size)

    def facts(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> Facts:
        return Facts({"batch_size": self.batch_size, "epochs": self.epochs})

    def prepare(self, context: Context) -> None:
        from warmup_rl.stages.training.cleanup import clean_up

        self._options(context, max_length=None)
        adapter_config(self.lora)
        clean_up()

    def run(self, context: Context) -> dict[str, Any]:
        from warmup_rl.stages.training.cleanup import training

        assert context.inputs.model is not None and context.inputs.traces is not None
        contract.check(context.inputs.model, context.response_format, context.inputs.model_revision)
        tokenizer = contract.load_tokenizer(context.inputs.model, context.inputs.model_revision)
        traces = read_traces(context.inputs.traces)
        examples = [encode(tokenizer, trace, context.response_format) for trace in traces]
        limit = self.max_tokens or _context_length(context)
        fitting = self._fitting(examples, limit, context)
        with training(context):
            return {"left_out": len(examples) - len(fitting), **self._train(context, tokenizer, fitting, limit)}

    def _train(
        self, context: Context, tokenizer: PreTrainedTokenizerBase, examples: list[Example], limit: int | None
    ) -> dict[str, Any]:
        from datasets import Dataset
        from transformers import PrinterCallback
        from trl import SFTTrainer

        from warmup_rl.stages.training.progress import Progress, describe_loss
        from warmup_rl.stages.training.saving import parameter_count, require_finished, save

        trainer = SFTTrainer(
            model=str(context.inputs.model),
            args=self._options(context, max_length=limit if self.args.get("packing") else None),
            train_dataset=Dataset.from_list(examples),
            processing_class=tokenizer,
            peft_config=adapter_config(self.lora),
            callbacks=[Progress(context, describe_loss)],
        )
        trainer.remove_callback(PrinterCallback)
        require_supervised_end(trainer, tokenizer)
        planned = math.ceil(self.epochs * math.ceil(len(trainer.train_dataset) / self.batch_size))
        trainer.train()
        require_finished(trainer, planned)
        parameters = parameter_count(trainer.model)
        save(trainer, context, tokenizer)
        tokens = sum(len(example["input_ids"]) for example in examples)
        trained = sum(label != IGNORED for example in examples for label in example["labels"])
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        return {
            "examples": len(examples),
            "epochs": self.epochs,
            "steps": trainer.state.global_step,
            "tokens": round(tokens * self.epochs),
            "trained_tokens": round(trained * self.epochs),
            "parameters": parameters,
            "flops": round(6 * parameters * tokens * self.epochs),
            "first_loss": losses[0],
            "last_loss": losses[-1],
        }

    def _options(self, context: Context, *, max_length: int | None) -> Any:
        from trl import SFTConfig

        batch = options.split_batch(
            self.batch_size, context.world, largest=self.args.get("per_device_train_batch_size"),
            says=f"{context.stage_id}.batch_size",
        )
        owned = {"num_train_epochs": self.epochs, "max_length": max_length}
        return options.trainer_options(SFTConfig, self.args, context, batch, **owned)

    def _fitting(self, examples: list[Example], limit: int | None, context: Context) -> list[Example]:
        fitting = [example for example in examples if limit is None or len(example["input_ids"]) <= limit]
        left_out = len(examples) - len(fitting)
        if not fitting or left_out > self.may_leave_out * len(examples):
            longest = max((len(example["input_ids"]) for example in examples), default=0)
            raise UserError(
                f"{context.stage_id}.max_tokens: {left_out} of {len(examples)} traces are longer than {limit} tokens "
                f"(the longest has {longest}), {len(fitting)} remain. Raise `max_tokens` up to the model's context, "
                "drop long traces in a clean stage (`length`), or raise `may_leave_out`."
            )
        if left_out:
            context.say(f"{left_out} of {len(examples)} traces are longer than {limit} tokens and left out")
        return fitting


def encode(tokenizer: PreTrainedTokenizerBase, trace: Trace, response_format: ResponseFormat) -> Example:
    """A trace as token ids and labels: prompt as in RLVR and evaluation, then the completion and the end token.

    Prompt and completion are tokenized apart, since a model that generates never sees tokens merged over their border.
    """
    prompt_ids = tokenizer(contract.render_prompt(tokenizer, trace.messages, response_format)).input_ids
    completion = response_format.render(thinking=trace.thinking, answer=trace.answer)
    completion_ids = [*tokenizer(completion, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    return {"input_ids": prompt_ids + completion_ids, "labels": [IGNORED] * len(prompt_ids) + completion_ids}


def require_supervised_end(trainer: SFTTrainer, tokenizer: PreTrainedTokenizerBase, rows: int = 8) -> None:
    """Raises `RunError` unless every stretch of labels in a collated batch ends with the end token."""
    dataset = trainer.train_dataset
    batch = trainer.data_collator([dataset[index] for index in range(min(rows, len(dataset)))])
    stretches = [ids for labels in batch["labels"].tolist() for ids in _stretches(labels)]
    wrong = [ids for ids in stretches if ids[-1] != tokenizer.eos_token_id]
    if wrong or not stretches:
        shown = repr(tokenizer.decode(wrong[0][-20:])) if wrong else "nothing at all"
        raise RunError(
            f"sft: the end token {tokenizer.eos_token!r} is not trained, so the model would never stop: the loss is on "
            f"{shown}. With packing, use args.packing_strategy: bfd."
        )


def _stretches(labels: Sequence[int]) -> list[list[int]]:
    return [list(ids) for trained, ids in groupby(labels, key=lambda label: label != IGNORED) if trained]


def _context_length(context: Context) -> int | None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(context.inputs.model), revision=context.inputs.model_revision or "main")
    return getattr(config.get_text_config(), "max_position_embeddings", None)
