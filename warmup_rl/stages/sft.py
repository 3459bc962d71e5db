"""Stage `sft`: supervised training on traces, with loss on completion and end token only, with TRL's SFTTrainer."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from warmup_rl.base.config import Config
from warmup_rl.base.errors import RunError, UserError
from warmup_rl.base.types import Trace
from warmup_rl.data.traces import read_traces
from warmup_rl.dlcot.segments import SEGMENT_KINDS, SegmentKind, segments
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import THINK_CLOSE, ResponseFormat
from warmup_rl.interfaces.plugins import import_class
from warmup_rl.interfaces.stage import Context, DataRequest, StagePreview
from warmup_rl.stages.training import IGNORED
from warmup_rl.stages.training.base import OWNED, TrainerStage
from warmup_rl.stages.training.memory import Load
from warmup_rl.stages.training.preflight import Together, context_length, low_adapter_rate

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase
    from trl import SFTTrainer

Example = dict[str, list[int]]

_PASS_TOKENS_ON_CPU = 512
"""Tokens in a pass, on average: more rows mean more padding, fewer mean more calls for little work."""
_CHECKED_ROWS = 8
PROBE = "warmup_rl.stages.training.probe:Probe"
"""By import string, so that its code counts only for stages that measure."""


class ProbeSettings(Config):
    """What is measured while a warmup trains."""

    points: int = Field(default=4, gt=0)
    """Measurements after that of the start, at equal distances; the last one is at the end."""
    traces: int = Field(default=32, gt=0)
    """Traces that are kept out of training, for their loss."""
    problems: int = Field(default=25, gt=0)
    """Validation problems of each domain that the recipe measures, answered greedily."""


class Sft(TrainerStage):
    """Trains the model on the traces of the stages before it."""

    type: ClassVar[str] = "sft"
    role: ClassVar[str] = "warmup"
    inputs: ClassVar[frozenset[str]] = frozenset({"model", "traces"})
    trainer_config: ClassVar[str] = "trl:SFTConfig"
    owned_options: ClassVar[Mapping[str, str]] = {
        **OWNED,
        "max_length": "max_tokens",
        "truncation_mode": "nothing is cut: traces over `max_tokens` are left out whole and counted",
        **dict.fromkeys(("completion_only_loss", "assistant_only_loss"), "the loss is always on the completion alone"),
        **dict.fromkeys(("dataset_text_field", "dataset_kwargs"), "the data are the traces of the stages before"),
        **dict.fromkeys(("eos_token", "pad_token", "chat_template_path"), "the chat contract decides"),
    }

    batch_size: int = Field(default=8, gt=0)
    """Traces per step, over all processes."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the traces, unless `steps` or `tokens` is given."""
    steps: int | None = Field(default=None, gt=0)
    """Optimizer steps, in place of `epochs`: for comparing corpora at equal steps."""
    tokens: int | None = Field(default=None, gt=0)
    """Tokens with loss, over all passes, in place of `epochs`: for comparing corpora at equal training tokens."""
    loss_on: list[SegmentKind] = list(SEGMENT_KINDS)
    """Segments of the chain of thought that carry loss (default: all); tags, answer and end token always do."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Longest example, prompt and completion together; default: the model's context."""
    may_leave_out: float = Field(default=0.1, ge=0, le=1)
    """Largest share of traces that may be left out because they are too long."""
    probe: ProbeSettings | None = None
    """Measure held-out trace loss and accuracy while training. A model that ends below its start on all measured
    domains is tagged, and `rlvr` refuses it."""
    keep: Literal["last", "heldout_loss", "retention"] = "last"
    """Which of the models that `probe` measures is kept: the last, that with the least loss on held-out traces, or that
    with the best accuracy on domains other than those of the traces."""

    @field_validator("loss_on")
    @classmethod
    def _each_once(cls, loss_on: list[SegmentKind]) -> list[SegmentKind]:
        return [segment for segment in SEGMENT_KINDS if segment in loss_on]

    @model_validator(mode="after")
    def _one_length(self) -> Sft:
        if self.steps is not None and self.tokens is not None:
            raise ValueError(f"steps: {self.steps} and tokens: {self.tokens} both say how long to train. Give one.")
        if self.keep != "last" and self.probe is None:
            raise ValueError(f"keep: {self.keep} needs measurements. Add `probe: {{}}`.")
        return self

    def reads_evaluation(self) -> bool:
        return self.probe is not None

    def code(self) -> tuple[str, ...]:
        return (PROBE,) if self.probe else ()

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        if self.probe:
            for name in evaluation.measured(domains):
                yield DataRequest(name, "validation", self.probe.problems, "probe.problems", evaluation.seed)

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        length = {"steps": self.steps} if self.steps else {"tokens": self.tokens} if self.tokens else {}
        counts: dict[str, int | float | str] = {"batch_size": self.batch_size, **(length or {"epochs": self.epochs})}
        if not self._whole:
            counts["loss_on"] = ", ".join([*self.loss_on, "answer"])
        return StagePreview(counts, (*self._packing_notes(), *low_adapter_rate(self.lora, self.args, 2e-5, 1e-4)))

    def _packing_notes(self) -> Iterator[str]:
        attention = str((self.args.get("model_init_kwargs") or {}).get("attn_implementation"))
        if self.args.get("packing") and "flash" not in attention:
            yield (
                "args.packing: without flash attention a packed row is attended to as a whole, at a cost that grows "
                "with its square (4 times slower than padding on a CPU). Leave packing out, or set "
                "args.model_init_kwargs: {attn_implementation: flash_attention_2} on a GPU."
            )

    def check(self, *, world_size: int) -> list[str]:
        wrong = super().check(world_size=world_size)
        if self.args.get("packing") and self.args.get("packing_strategy", "bfd") != "bfd":
            wrong.append(
                f"args.packing_strategy: {self.args['packing_strategy']} cuts traces, so that their end tokens are not "
                "trained. Use bfd."
            )
        return wrong

    def prepare(self, context: Context) -> None:
        super().prepare(context)
        limit = context_length(context) if context.inputs.model else None
        if limit and self.max_tokens and self.max_tokens > limit:
            raise UserError(
                f"{context.stage_id}.max_tokens: {self.max_tokens} is more than the model's context of {limit}. Set at "
                "most that, or leave it out."
            )

    def rows_together(self, options: Any) -> Together:
        return "packed" if options.packing or options.padding_free else "right-padded"

    def trainer_kind(self) -> Any:
        from trl import SFTTrainer

        return SFTTrainer

    def memory_load(self, context: Context) -> Load:
        return Load(self.batch(context).micro, self.max_tokens)

    def memory_remedies(self) -> list[str]:
        return ["max_tokens: leave out the longest traces"]

    @property
    def _whole(self) -> bool:
        return len(self.loss_on) == len(SEGMENT_KINDS)

    def config(self, context: Context, **owned: Any) -> Any:
        length = {"num_train_epochs": self.epochs, "max_steps": self.steps or -1, "max_length": None}
        return super().config(context, **{**length, **owned})

    def train(
        self, context: Context, tokenizer: PreTrainedTokenizerBase, contract: chat.ChatContract
    ) -> dict[str, Any]:
        from datasets import Dataset
        from trl import SFTTrainer

        from warmup_rl.stages.training.batches import SortedSteps, with_filler

        traces, held = self._split(list(read_traces(context.inputs["traces"])), context)
        limit = self.max_tokens or context_length(context)
        encoded = [encode(tokenizer, trace, context.response_format, self.loss_on) for trace in traces]
        examples = self._fitting(encoded, limit, context)
        kept_out = [encode(tokenizer, trace, context.response_format, self.loss_on) for trace in held]
        data, stage, length = Dataset.from_list(examples), self, None
        tokens = sum(len(example["input_ids"]) for example in examples)
        largest = -(-_PASS_TOKENS_ON_CPU * len(examples) // tokens) if context.launch_env.device == "cpu" else None
        if self.args.get("packing"):
            length, largest = max(len(example["input_ids"]) for example in examples), None
            stage = self.model_copy(update={"batch_size": self._rows_a_step(data, length, context)})
        trained = sum(label != IGNORED for example in examples for label in example["labels"])
        epochs = self.tokens / trained if self.tokens else self.epochs
        batch = stage.batch(context, largest)
        config = stage.config(
            context,
            max_length=length,
            num_train_epochs=epochs,
            per_device_train_batch_size=batch.micro,
            gradient_accumulation_steps=batch.accumulation,
        )
        trainer = SFTTrainer(
            model=str(context.inputs.model),
            args=config,
            train_dataset=data,
            eval_dataset=Dataset.from_list(self._fitting(kept_out, limit, context)) if held else None,
            processing_class=tokenizer,
            peft_config=self.adapter(),
        )
        require_supervised_end(trainer, tokenizer, whole=self._whole)
        per_epoch = math.ceil(len(trainer.train_dataset) / stage.batch_size)
        if config.train_sampling_strategy == "random":
            lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
            trainer.train_dataset = with_filler(trainer.train_dataset)
            drop_last = config.dataloader_drop_last
            sampler = SortedSteps(lengths, step=stage.batch_size, seed=context.seed, drop_last=drop_last)
            per_epoch = sampler.steps
            trainer._get_train_sampler = lambda dataset=None: sampler
        elif context.launch_env.size > 1 and not config.dataloader_drop_last:
            missing = -len(trainer.train_dataset) % stage.batch_size
            trainer.train_dataset = with_filler(trainer.train_dataset, missing)
        result = self._fit(trainer, context, tokenizer, {trace.domain for trace in traces})
        if self.steps or self.tokens:
            epochs = result["steps"] / per_epoch
        return {
            "left_out": len(encoded) - len(examples),
            "examples": len(examples),
            "epochs": epochs,
            "tokens": round(tokens * epochs),
            "trained_tokens": round(trained * epochs),
            "flops": round(6 * result["parameters"] * tokens * epochs),
            **result,
        }

    def tags(self, context: Context, summary: Mapping[str, Any]) -> dict[str, str]:
        return {"below_start": summary["harm"]} if summary.get("harm") else {}

    def _split(self, traces: list[Trace], context: Context) -> tuple[list[Trace], list[Trace]]:
        """The traces to train on, and those kept out: all traces of some problems."""
        if self.probe is None:
            return traces, []
        ids = list(dict.fromkeys(trace.problem_id for trace in traces))
        random.Random(f"held-out/{context.seed}").shuffle(ids)
        held: set[str] = set()
        counts = Counter(trace.problem_id for trace in traces)
        while ids and sum(counts[one] for one in held) < self.probe.traces:
            held.add(ids.pop())
        if 2 * sum(counts[one] for one in held) > len(traces):
            raise UserError(
                f"{context.stage_id}.probe.traces: {self.probe.traces} of {len(traces)} traces would be kept out of "
                f"training. Set at most {len(traces) // 2}, or make more traces."
            )
        return [one for one in traces if one.problem_id not in held], [one for one in traces if one.problem_id in held]

    def _fit(
        self, trainer: SFTTrainer, context: Context, tokenizer: PreTrainedTokenizerBase, trained: Collection[str]
    ) -> dict[str, Any]:
        """Trains, measures if asked to, and keeps the model that `keep` says."""
        if self.probe is None:
            return self.fit(trainer, context, tokenizer)
        from warmup_rl.stages.training.callbacks import Progress

        evaluation, domains = context.evaluation, context.domains
        problems = [
            problem
            for name in evaluation.measured(domains)
            for problem in domains[name].take("validation", evaluation.seed, self.probe.problems)
        ]
        probe = import_class(PROBE, PROBE)(
            context, trainer, problems, trained, points=self.probe.points, keep=self.keep
        )
        result = self.fit(trainer, context, tokenizer, callbacks=[probe, Progress(context)], chosen=probe.chosen)
        harm = {"harm": probe.harm()} if probe.harm() else {}
        return {**result, "probe": probe.rows, "kept_step": probe.kept["step"], **harm}

    def _rows_a_step(self, data: Dataset, length: int, context: Context) -> int:
        """Packed rows that hold about `batch_size` traces, a multiple of the processes."""
        from trl import pack_dataset

        rows, size = len(pack_dataset(data, length)), context.launch_env.size
        wanted = max(1, round(self.batch_size * rows / len(data) / size)) * size
        context.say(f"packing: {len(data)} traces in {rows} rows of {length} tokens, {wanted} rows a step")
        return wanted

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


def encode(
    tokenizer: PreTrainedTokenizerBase,
    trace: Trace,
    response_format: ResponseFormat,
    loss_on: Sequence[SegmentKind] = SEGMENT_KINDS,
) -> Example:
    """A trace as token ids and labels: prompt as in RLVR and evaluation, then the completion and the end token.

    Prompt and completion are tokenized separately, since a generating model never sees tokens merged over their border.
    """
    prompt_ids = tokenizer(chat.render_prompt(tokenizer, trace.messages, response_format)).input_ids
    completion = response_format.render(thinking=trace.thinking, answer=trace.answer)
    completion_ids = [*tokenizer(completion, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    labels = completion_ids
    if len(loss_on) < len(SEGMENT_KINDS):
        parts = token_segments(tokenizer, completion, trace.thinking.strip())
        kept = [part is None or part in loss_on for part in (*parts, None)]
        labels = [token if keep else IGNORED for token, keep in zip(completion_ids, kept, strict=True)]
    return {"input_ids": prompt_ids + completion_ids, "labels": [IGNORED] * len(prompt_ids) + labels}


def token_segments(tokenizer: PreTrainedTokenizerBase, completion: str, thinking: str) -> list[SegmentKind | None]:
    """The segment kind of each token of a rendered completion by its last character (tokens include the white space
    before a word); None for tags and answer. Raises `UserError` for a tokenizer that cannot map tokens to characters.
    """
    if not tokenizer.is_fast:
        raise UserError(
            f"sft.loss_on: {tokenizer.name_or_path} has no fast tokenizer, which is needed to map "
            "tokens to characters. Leave `loss_on` out, or take a model with a `tokenizer.json`."
        )
    start = completion.index(f"{thinking}\n{THINK_CLOSE}")
    by_character: list[SegmentKind | None] = [None] * len(completion)
    for segment, span in segments(thinking):
        by_character[start + span.start : start + span.end] = [segment] * (span.end - span.start)
    offsets = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    return [by_character[max(end - 1, 0)] for _, end in offsets]


def require_supervised_end(trainer: SFTTrainer, tokenizer: PreTrainedTokenizerBase, *, whole: bool = True) -> None:
    """Raises `RunError` unless every run of labels in a collated batch ends with the end token; the last of each row,
    where completions are not trained as a whole."""
    dataset = trainer.train_dataset
    batch = trainer.data_collator([dataset[index] for index in range(min(_CHECKED_ROWS, len(dataset)))])
    stretches = []
    for labels in batch["labels"].tolist():
        runs = [list(ids) for trained, ids in groupby(labels, key=lambda label: label != IGNORED) if trained]
        stretches += runs if whole else runs[-1:]
    wrong = [ids for ids in stretches if ids[-1] != tokenizer.eos_token_id]
    if wrong or not stretches:
        shown = repr(tokenizer.decode(wrong[0][-20:])) if wrong else "nothing at all"
        raise RunError(
            f"sft: the end token {tokenizer.eos_token!r} is not trained, so the model would never stop: the loss is on "
            f"{shown}. With packing, use args.packing_strategy: bfd."
        )
