"""The base class of stages that train a model with a trainer of TRL or transformers, for users' stages too."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from warmup_rl.base.config import runtime_only
from warmup_rl.base.errors import RunError, UserError, first_line, refused
from warmup_rl.base.models import read_tags, write_tags
from warmup_rl.base.stopping import deferred
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.plugins import import_class
from warmup_rl.interfaces.stage import Context, LaunchEnv, Stage
from warmup_rl.stages.training.checkpoints import (
    CheckpointSettings,
    checkpoints,
    launch_of,
    manifest_of,
    recover,
    step_of,
)
from warmup_rl.stages.training.faults import explained
from warmup_rl.stages.training.health import HealthSettings
from warmup_rl.stages.training.layout import Launch, require_agreement
from warmup_rl.stages.training.memory import Load, Need, need, remedies, shape_of
from warmup_rl.stages.training.options import Batch, split_batch, trainer_options
from warmup_rl.stages.training.preflight import (
    Together,
    adapted,
    few_layers,
    missing_packages,
    model_without_weights,
    require_merge,
    require_rows_apart,
    require_step,
    require_trainer,
)
from warmup_rl.stages.training.saving import Kept, whole_model
from warmup_rl.stages.training.tracking import clean_up

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback


_OWNERS = {
    "set the output location with output_dir and run_name in the recipe": "output_dir",
    "use the recipe's `seeds`": "seed data_seed",
    "use the recipe's `run_name`": "run_name",
    "use the recipe's `tracking`": "report_to",
    "use the recipe's `tracking: {project: ...}`": "project",
    "it follows from `batch_size` and the number of processes": "gradient_accumulation_steps",
    "give the largest micro batch as `per_device_train_batch_size`": "auto_find_batch_size",
    "epochs": "num_train_epochs max_steps",
    "a GPU is used where there is one": "use_cpu",
    "the launcher decides on the hardware: choose a file under launch/": "deepspeed fsdp fsdp_config",
    "use `checkpoint: {every: ..., keep: ...}` of the stage": (
        "enable_jit_checkpoint save_strategy save_steps save_total_limit save_only_model"
    ),
    "`keep` of an sft stage says which model is kept; elsewhere it is that of the last step": "load_best_model_at_end",
    "the same command resumes from the newest checkpoint exactly": (
        "resume_from_checkpoint ignore_data_skip restore_callback_states_from_checkpoint"
    ),
    "held-out accuracy is measured by `evaluation.every` and by `evaluate` stages": "do_eval eval_strategy eval_steps",
    "the stage makes the columns that it needs": "remove_unused_columns",
    "the stage shows its own progress": "disable_tqdm",
    "push the finished model, with its results: warmup-rl export TRIAL --to DIR --push OWNER/NAME": "push_to_hub",
}
OWNED = {option: owner for owner, options in _OWNERS.items() for option in options.split()}
"""Options that are not allowed in the `args` of a training stage: the key to use instead, or the reason."""


class TrainerStage(Stage):
    """A stage that trains the model before it and saves a chat model folder.

    A subclass names its trainer's config class in `trainer_config`, has a key `batch_size` or overrides
    `sequences_per_update`, and builds its trainer in `train`, which ends with `self.fit(trainer, ...)`. Its module must
    not import torch at the top. `examples/dpo_stage.py` is a complete stage.
    """

    inputs: ClassVar[frozenset[str]] = frozenset({"model"})
    outputs: ClassVar[frozenset[str]] = frozenset({"model"})
    every_rank: ClassVar[bool] = True
    owned_options: ClassVar[Mapping[str, str]] = OWNED
    batch_key: ClassVar[str] = "batch_size"
    """The key, or the formula over keys, that sets `sequences_per_update`; for messages."""

    lora: dict[str, Any] | None = None
    """Options of peft's LoraConfig. Default: all weights are trained."""
    save: Kept = "both"
    """With `lora`: the model with the adapter `merged` into it, the `adapter` alone, or `both`. Later stages read each;
    training on an adapter alone merges it for the time being."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Data type of the saved weights, and so of evaluation. Training is in float32; a half type takes half the space
    and rounds away changes below a few thousandths of a weight, which is most of a short training."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any option of the trainer's config class. `per_device_train_batch_size` is the largest micro batch."""
    checkpoint: CheckpointSettings | None = runtime_only(CheckpointSettings())
    """Checkpoints from which the same command resumes after a kill; null for none."""
    health: HealthSettings = runtime_only("warn")
    """What the health rules do when one holds: `warn`, `stop` or `off`, for all, or by rule: {entropy: stop}."""

    @property
    def sequences_per_update(self) -> int:
        """Sequences that an optimizer step trains on, over all processes."""
        return int(getattr(self, self.batch_key))

    @abstractmethod
    def train(
        self, context: Context, tokenizer: PreTrainedTokenizerBase, contract: chat.ChatContract
    ) -> dict[str, Any]:
        """Builds the trainer, calls `fit`, and returns the stage's summary. All ranks call it together."""

    def check(self, *, world_size: int) -> list[str]:
        missing = missing_packages(self.args)
        if self.save != "both" and self.lora is None:
            missing.append(f"save: {self.save} has no effect without `lora`. Leave it out.")
        try:
            split_batch(self.sequences_per_update, LaunchEnv(size=world_size), says=self.batch_key)
        except UserError as error:
            return [*missing, str(error)]
        return missing

    def sets_options(self) -> bool:
        return bool(self.args or self.lora)

    def prepare(self, context: Context) -> None:
        """Builds the trainer with the recipe's model without its weights, so that what would stop it is found before
        any stage runs."""
        options, adapter = self.config(context), self.adapter()
        if context.inputs.model is not None:
            source, revision = str(context.inputs.model), context.inputs.model_revision
            model = model_without_weights(source, revision, options, context.stage_id)
            adapted(copy.deepcopy(model), adapter, context.stage_id)
            small = few_layers(model)
            if small is not None and (put := self.rows_together(options)):
                require_rows_apart(small, put, context.stage_id)
            if options.deepspeed_plugin is None:
                tokenizer = chat.load_tokenizer(source, revision)
                require_trainer(self.trainer_kind(), model, options, adapter, tokenizer, context.stage_id)
                if small is not None:
                    require_step(self.trainer_kind(), small, options, adapter, context.stage_id)
                if adapter is not None and self.save != "adapter":
                    require_merge(adapter, tokenizer, context.stage_id)
        clean_up()

    def trainer_kind(self) -> Any:
        """The class of the trainer that `train` builds, for `check`; by default one that shares its optimizer alone."""
        from transformers import Trainer

        return Trainer

    def rows_together(self, options: Any) -> Together | None:
        """How a trainer with this config puts rows together; a model for which that is not sound is refused. None where
        the stage does not say."""
        return None

    def memory_load(self, context: Context) -> Load | None:
        """What the training puts on a device at a time; None where the stage cannot tell."""
        return None

    def memory(self, context: Context, launch: Launch) -> Need | str | None:
        """The memory that the training takes on each device of a launch, or why that cannot be planned; None where the
        stage does not say what it loads."""
        load, source, revision = self.memory_load(context), context.inputs.model, context.inputs.model_revision
        if load is None or source is None or not self.inputs:
            return None
        options, adapter = self._planned(context, launch), self.adapter()
        model: Any = model_without_weights(str(source), revision, options, context.stage_id)
        weights = list(adapted(model, adapter, context.stage_id).parameters())
        trained = sum(weight.numel() for weight in weights if weight.requires_grad)
        try:
            shape = shape_of(str(source), revision, trained, sum(weight.numel() for weight in weights))
        except Exception as error:  # what a model without data, or with fewer layers, raises depends on its class
            return f"not planned, the model cannot be counted without data: {first_line(error)}"
        return need(shape, load, launch, options)

    def require_agreement(self, context: Context, launch: Launch) -> None:
        """Raises `UserError` where a launch's configuration of DeepSpeed contradicts the recipe."""
        if launch.deepspeed is not None:
            options, batch = self._planned(context, launch), self.batch(context)
            options.per_device_train_batch_size, options.gradient_accumulation_steps = batch.micro, batch.accumulation
            require_agreement(launch.deepspeed, options, launch.env.size, context.stage_id)

    def _planned(self, context: Context, launch: Launch) -> Any:
        """The trainer's config as it is on the device of a launch."""
        options = self.config(replace(context, launch_env=LaunchEnv()))
        if launch.env.device == "cuda":
            options.bf16 = bool(self.args.get("bf16", not options.fp16))
            options.gradient_checkpointing = bool(
                self.args.get("activation_checkpointing", self.args.get("gradient_checkpointing", True))
            )
        return options

    def remedies(self, context: Context) -> Iterator[str]:
        """Settings that lower the memory that the stage needs under this launch, cheapest first."""
        micro, adaptable = self.batch(context).micro, self.lora is None and bool(self.inputs)
        return remedies(context.launch_env, self.args, micro, self.memory_remedies(), adaptable=adaptable)

    def run(self, context: Context) -> dict[str, Any]:
        """Raises `ContractError` if the model does not follow the chat contract that it was saved with."""
        source, revision = str(context.inputs.model), context.inputs.model_revision
        contract = chat.check(source, context.response_format, revision)
        tokenizer = chat.load_tokenizer(source, revision)
        with explained(self, context):
            summary = self.train(whole_model(context), tokenizer, contract)
        tags = {**read_tags(source), **self.tags(context, summary)}
        if tags and context.launch_env.is_main:
            write_tags(context.model_folder, tags)
            context.say(f"the model is tagged: {', '.join(f'{tag} ({why})' for tag, why in tags.items())}")
            return {**summary, "tags": tags}
        return summary

    def tags(self, context: Context, summary: Mapping[str, Any]) -> dict[str, str]:
        """What a user of the trained model must know about this training, by tag; later stages pass tags on."""
        return {}

    def is_control(self, context: Context) -> bool:
        """Whether the training is a control that does not pay correct answers more than wrong ones: that accuracy stays
        away is no fault then."""
        return False

    def recover(self, folder: Path) -> None:
        recover(folder)

    def memory_remedies(self) -> list[str]:
        """Settings that lower the memory that this kind of stage needs, best first; for the message when it is out."""
        return []

    def config(self, context: Context, **owned: Any) -> Any:
        """The trainer's config: our defaults, updated with `args`, then with the options that the stage sets itself.

        Subclasses pass the options that they set, e.g. `num_train_epochs`. Raises as `trainer_options` does.
        """
        kind = import_class(self.trainer_config, f"{context.stage_id}: {self.trainer_config}")
        return trainer_options(kind, self.args, context, self.batch(context), **owned)

    def batch(self, context: Context, largest: int | None = None) -> Batch:
        """How the sequences of an optimizer step are split over processes and passes; `largest` as for `split_batch`,
        where `args` do not say."""
        return split_batch(
            self.sequences_per_update,
            context.launch_env,
            largest=self.args.get("per_device_train_batch_size") or largest,
            says=f"{context.stage_id}: {self.batch_key}",
        )

    def adapter(self) -> Any:
        """The LoraConfig of `lora` (default: all linear layers) for a trainer's `peft_config`, None without `lora`.
        Raises `UserError` if peft does not know an option or refuses its value."""
        if self.lora is None:
            return None
        from peft import LoraConfig

        with refused("lora: peft's LoraConfig refuses it: "):
            return LoraConfig(**{"task_type": "CAUSAL_LM", "target_modules": "all-linear", **self.lora})

    def fit(
        self,
        trainer: Trainer,
        context: Context,
        tokenizer: PreTrainedTokenizerBase,
        *,
        callbacks: Iterable[TrainerCallback] = (),
        carried: Iterable[Any] = (),
        steps_each: int = 1,
        chosen: Callable[[], Path | None] = lambda: None,
    ) -> dict[str, Any]:
        """Trains and saves the model, resuming from the newest checkpoint; all ranks call it together. Returns figures
        for the stage's summary.

        Args:
            callbacks: in place of `Progress`.
            carried: other objects with a state that checkpoints carry on, see `checkpointing.stateful`.
            steps_each: optimizer steps per step of the recipe; checkpoints are saved between those.
            chosen: after the training, the file of `keep_weights` whose weights are saved in place of the last ones.

        Raises:
            UserError: what the model says of a row depends on what the trainer puts beside it.
            RunError: loss or gradient were not finite three times in a row, the disk is full, the checkpoint is that of
                another launch, or the saved model is incomplete.
        """
        from transformers import PrinterCallback

        from warmup_rl.stages.training import checkpointing
        from warmup_rl.stages.training.callbacks import Health, Progress, Tracked
        from warmup_rl.stages.training.saving import parameter_count, save

        args = trainer.args
        if put := self.rows_together(args):
            require_rows_apart(trainer.model, put, context.stage_id)
        if args.fp16 and not trainer.is_deepspeed_enabled and trainer.accelerator.scaler is None:
            args.fp16 = False
            context.say(f"args.fp16 has no effect on a {args.device.type}: trains in float32. args.bf16 has one there.")
        resumed = _newest(context)
        trainer.remove_callback(PrinterCallback)
        finite = checkpointing.FiniteSteps(context, trainer)
        health = Health(context, self.health, trainer, is_control=self.is_control(context))
        tracked = Tracked(context, trainer, steps_each=steps_each)
        own = [tracked, finite, *(callbacks or [Progress(context)]), health]
        states = checkpointing.stateful([*own, *carried])
        keeper = checkpointing.Checkpoints(self.checkpoint, context, trainer, states, steps_each=steps_each)
        for callback in (*own, keeper):
            trainer.add_callback(callback)
        parameters = parameter_count(trainer.model)
        checkpointing.require_room(trainer, context, self.checkpoint, parameters)
        with deferred(), suppress(checkpointing.AlreadyTrained):
            trainer.train(resume_from_checkpoint=resumed)
        planned, done = trainer.state.max_steps, trainer.state.global_step
        if done != planned:
            context.say(f"{planned} optimizer steps were planned, the trainer has ended after {done}")
        if context.launch_env.is_main:
            checkpointing.make_room(context, parameters, done)
        response_format = context.response_format if self.inputs else None
        save(trainer, context, tokenizer, response_format, kept=self.save, dtype=self.dtype, chosen=chosen())
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        first, last = (losses[0], losses[-1]) if losses else (None, None)
        noted = {"skipped_steps": finite.skipped, "alarms": health.alarms}
        figures = {"parameters": parameters, "first_loss": first, "last_loss": last}
        return {"steps": done, **{key: value for key, value in noted.items() if value}, **figures}


def _newest(context: Context) -> str | None:
    """The checkpoint to resume from. Raises `RunError` if it is that of another launch."""
    found = checkpoints(context.folder)
    if not found:
        return None
    before, now = manifest_of(found[-1])["launch"], launch_of(context)
    if before != now:
        size, distribution, device = before
        raise RunError(
            f"{context.stage_id}: the checkpoint at optimizer step {step_of(found[-1])} is that of {size} processes, "
            f"{distribution}, {device}; now {now[0]}, {now[1]}, {now[2]}. Launch the run as before, or delete "
            f"{context.folder} to train this stage from its start."
        )
    context.say(f"resumes after optimizer step {step_of(found[-1])}")
    return str(found[-1])
