"""The base class of stages that train a model with a trainer of TRL or transformers, for users' stages too."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from warmup_rl.base.config import runtime_only
from warmup_rl.base.errors import RunError, UserError
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
from warmup_rl.stages.training.preflight import missing_packages, require_optimizer, require_trainable
from warmup_rl.stages.training.tracking import clean_up, training

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainingArguments


_CHECKPOINTS = "use `checkpoint: {every: ..., keep: ...}` of the stage"
_MEASURED = "held-out accuracy is measured by `evaluation.every` and by `evaluate` stages"
_LAUNCHED = "the launcher decides on the hardware: choose a file under launch/"
OWNED: dict[str, str] = {
    "output_dir": "set the output location with output_dir and run_name in the recipe",
    "seed": "use the recipe's `seeds`",
    "data_seed": "use the recipe's `seeds`",
    "run_name": "use the recipe's `run_name`",
    "report_to": "use the recipe's `wandb`",
    "gradient_accumulation_steps": "it follows from `batch_size` and the number of processes",
    "enable_jit_checkpoint": _CHECKPOINTS,
    "auto_find_batch_size": "give the largest micro batch as `per_device_train_batch_size`",
    "num_train_epochs": "epochs",
    "max_steps": "epochs",
    "use_cpu": "a GPU is used where there is one",
    "deepspeed": _LAUNCHED,
    "fsdp": _LAUNCHED,
    "fsdp_config": _LAUNCHED,
    "save_strategy": _CHECKPOINTS,
    "save_steps": _CHECKPOINTS,
    "save_total_limit": _CHECKPOINTS,
    "save_only_model": _CHECKPOINTS,
    "load_best_model_at_end": "`keep` of an sft stage says which model is kept; elsewhere it is that of the last step",
    "resume_from_checkpoint": "the same command resumes from the newest checkpoint by itself",
    "ignore_data_skip": "the same command resumes from the newest checkpoint exactly",
    "restore_callback_states_from_checkpoint": "the same command resumes from the newest checkpoint exactly",
    "do_eval": _MEASURED,
    "eval_strategy": _MEASURED,
    "eval_steps": _MEASURED,
    "remove_unused_columns": "the stage makes the columns that it needs",
    "disable_tqdm": "the stage shows its own progress",
    "push_to_hub": "push the saved model folder yourself",
}
"""Options that are not allowed in the `args` of a training stage: the key to use instead, or the reason."""

_LARGEST_ON_GPU = 8


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
    """Options of peft's LoraConfig; the adapter is merged when the stage ends. Default: all weights are trained."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any option of the trainer's config class. `per_device_train_batch_size` is the largest micro batch."""
    checkpoint: CheckpointSettings | None = runtime_only(CheckpointSettings())
    """Checkpoints from which the same command resumes after a kill; null for none."""

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
        try:
            split_batch(self.sequences_per_update, LaunchEnv(size=world_size), says=self.batch_key)
        except UserError as error:
            return [*missing, str(error)]
        return missing

    def prepare(self, context: Context) -> None:
        """Builds the configs of trainer and adapter and, on the meta device, the recipe's model, so that what would
        stop the trainer is found before any stage runs."""
        options, adapter = self.config(context), self.adapter()
        require_optimizer(options, context.stage_id)
        if self.inputs and context.inputs.model is not None:
            source, revision = str(context.inputs.model), context.inputs.model_revision
            require_trainable(source, revision, options, adapter, context.stage_id)
        clean_up()

    def run(self, context: Context) -> dict[str, Any]:
        """Raises `ContractError` if the model does not follow the chat contract that it was saved with."""
        source, revision = str(context.inputs.model), context.inputs.model_revision
        contract = chat.check(source, context.response_format, revision)
        tokenizer = chat.load_tokenizer(source, revision)
        with training(context), explained(self, context):
            summary = self.train(context, tokenizer, contract)
        tags = {**read_tags(source), **self.tags(context, summary)}
        if tags and context.launch_env.is_main:
            write_tags(context.model_folder, tags)
            context.say(f"the model is tagged: {', '.join(f'{tag} ({why})' for tag, why in tags.items())}")
            return {**summary, "tags": tags}
        return summary

    def tags(self, context: Context, summary: Mapping[str, Any]) -> dict[str, str]:
        """What a user of the trained model must know about this training, by tag; later stages pass tags on."""
        return {}

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

    def batch(self, context: Context) -> Batch:
        """How the sequences of an optimizer step are split over processes and passes."""
        return split_batch(
            self.sequences_per_update,
            context.launch_env,
            largest=self.args.get("per_device_train_batch_size"),
            says=f"{context.stage_id}: {self.batch_key}",
        )

    def adapter(self) -> Any:
        """The LoraConfig of `lora` (default: all linear layers) for a trainer's `peft_config`, None without `lora`.

        Raises:
            UserError: peft does not know an option or refuses its value.
        """
        if self.lora is None:
            return None
        from peft import LoraConfig

        try:
            return LoraConfig(**{"task_type": "CAUSAL_LM", "target_modules": "all-linear", **self.lora})
        except (TypeError, ValueError) as error:
            raise UserError(f"lora: peft's LoraConfig refuses it: {error}") from None

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
        """Trains and saves the model; all ranks call it together. Returns figures for the stage's summary.

        A training that was stopped is resumed from its newest checkpoint.

        Args:
            callbacks: in place of `Progress`.
            carried: other objects with a state that checkpoints carry on, see `checkpointing.Stateful`.
            steps_each: optimizer steps per step of the recipe; checkpoints are saved between those.
            chosen: after the training, the folder of weights that the trainer saved before and that are kept in place
                of the last ones.

        Raises:
            RunError: loss or gradient were not finite three times in a row, the disk is full, the checkpoint is that of
                another launch, or the saved model is incomplete.
        """
        from transformers import PrinterCallback

        from warmup_rl.stages.training.callbacks import Progress
        from warmup_rl.stages.training.checkpointing import (
            AlreadyTrained,
            Checkpoints,
            FiniteSteps,
            make_room,
            require_room,
            stateful,
        )
        from warmup_rl.stages.training.saving import parameter_count, save

        resumed = _newest(context)
        trainer.remove_callback(PrinterCallback)
        finite = FiniteSteps(context, trainer)
        own = [finite, *(callbacks or [Progress(context)])]
        keeper = Checkpoints(self.checkpoint, context, trainer, stateful([*own, *carried]), steps_each=steps_each)
        for callback in (*own, keeper):
            trainer.add_callback(callback)
        parameters = parameter_count(trainer.model)
        require_room(trainer, context, self.checkpoint, parameters)
        with deferred(), suppress(AlreadyTrained):
            trainer.train(resume_from_checkpoint=resumed)
        planned, done = trainer.state.max_steps, trainer.state.global_step
        if done != planned:
            context.say(f"{planned} optimizer steps were planned, the trainer has ended after {done}")
        if context.launch_env.is_main:
            make_room(context, parameters, done)
        save(trainer, context, tokenizer, context.response_format if self.inputs else None, chosen())
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        first, last = (losses[0], losses[-1]) if losses else (None, None)
        skipped = {"skipped_steps": finite.skipped} if finite.skipped else {}
        return {"steps": done, **skipped, "parameters": parameters, "first_loss": first, "last_loss": last}


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


@dataclass(frozen=True)
class Batch:
    """Split of the sequences of an optimizer step: `micro` per device and pass, `accumulation` passes."""

    micro: int
    accumulation: int


def split_batch(
    sequences: int, launch_env: LaunchEnv, *, largest: int | None = None, says: str = "batch_size"
) -> Batch:
    """Splits the sequences of an optimizer step over the processes of `launch_env`, in as few passes as possible.

    Args:
        largest: limit of sequences per device and pass; default: 8 on a GPU, none on a CPU.
        says: the source of the number, for the error message.

    Raises:
        UserError: the sequences cannot be split equally; the message names the nearest legal values.
    """
    if sequences % launch_env.size:
        size = launch_env.size
        multiples = [number for number in (sequences // size * size, (sequences // size + 1) * size) if number]
        divisors = [number for number in range(1, sequences + 1) if sequences % number == 0]
        below, above = [n for n in divisors if n < size][-1:], [n for n in divisors if n > size][:1]
        raise UserError(
            f"{says}: {sequences} sequences a step cannot be split equally over {size} processes. Nearest legal: "
            f"{' or '.join(map(str, multiples))} sequences with {size} processes, or "
            f"{' or '.join(map(str, below + above))} processes with {sequences} sequences."
        )
    share = sequences // launch_env.size
    limit = largest or (_LARGEST_ON_GPU if launch_env.device == "cuda" else share)
    micro = max(size for size in range(1, min(limit, share) + 1) if share % size == 0)
    return Batch(micro=micro, accumulation=share // micro)


def trainer_options(
    kind: type[TrainingArguments], args: Mapping[str, Any], context: Context, batch: Batch, **owned: Any
) -> Any:
    """The config object of a trainer: our defaults, updated with the recipe's `args`, then with the stage's options.

    Args:
        kind: TrainingArguments or a subclass (SFTConfig, GRPOConfig).
        owned: options that this stage sets in addition to those of every stage, e.g. `max_steps`.

    Raises:
        UserError: an option does not exist or has an invalid value.
        RunError: the trainer would not use the processes that were launched.
    """
    launch_env = context.launch_env
    if launch_env.device == "cpu" and launch_env.distribution.startswith("zero"):
        import deepspeed.ops

        # Keeps DeepSpeed on gloo: its shared-memory operator for CPUs would be compiled first (30 s, needs a compiler).
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no"  # otherwise a launcher's own default decides silently
    merged = {
        **_defaults(args, launch_env),
        **args,
        "output_dir": str(context.folder / "trainer"),
        "seed": context.seed,
        "data_seed": context.seed,
        "run_name": f"{context.tracking.group}/{context.arm}/{context.seed}/{context.stage_id}",
        "report_to": ["wandb"] if context.tracking.wandb_project else [],
        "per_device_train_batch_size": batch.micro,
        "gradient_accumulation_steps": batch.accumulation,
        "save_strategy": "no",
        "eval_strategy": "no",
        "use_cpu": launch_env.device == "cpu",
        "disable_tqdm": True,
        **owned,
    }
    try:
        options = kind(**merged)
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(f"{context.stage_id}.args: {kind.__name__} refuses them: {error}") from None
    _require_launch(options, launch_env)
    return options


def _defaults(args: Mapping[str, Any], launch_env: LaunchEnv) -> dict[str, Any]:
    import torch

    half_precision = launch_env.device == "cuda" and torch.cuda.is_bf16_supported() and not args.get("fp16")
    defaults: dict[str, Any] = {"bf16": half_precision, "logging_steps": 1}
    if "gradient_checkpointing" not in args:
        defaults["activation_checkpointing"] = launch_env.device == "cuda"
    return defaults


def _require_launch(options: TrainingArguments, launch_env: LaunchEnv) -> None:
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if not options.world_size == size == launch_env.size:
        raise RunError(
            f"world size: the launcher started {size} processes, the trainer sees {options.world_size}. Launch with a "
            "file under launch/: accelerate launch --config_file launch/ddp.yaml --num_processes N -m ..."
        )
    plugin = options.deepspeed_plugin
    stage = f"zero{plugin.zero_stage}" if plugin is not None else None
    wanted = launch_env.distribution if launch_env.distribution.startswith("zero") else None
    if stage != wanted:
        raise RunError(
            f"distribution: {launch_env.distribution} was launched, the trainer runs {stage or 'without ZeRO'}."
        )
