"""The base class of stages that train a model with a trainer of TRL or transformers, for users' stages too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from warmup_rl.base.errors import RunError, UserError
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.plugins import import_class
from warmup_rl.interfaces.stage import Context, LaunchEnv, Stage
from warmup_rl.stages.training.tracking import clean_up, training
from warmup_rl.stages.training.trainer_config import OWNED, Batch, split_batch, trainer_options

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback


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
        try:
            split_batch(self.sequences_per_update, LaunchEnv(size=world_size), says=self.batch_key)
        except UserError as error:
            return [str(error)]
        return []

    def prepare(self, context: Context) -> None:
        """Builds the configs of trainer and adapter, so that invalid options are found before any stage runs."""
        self.config(context)
        self.adapter()
        clean_up()

    def run(self, context: Context) -> dict[str, Any]:
        """Raises `ContractError` if the model does not follow the chat contract that it was saved with."""
        source, revision = str(context.inputs.model), context.inputs.model_revision
        contract = chat.check(source, context.response_format, revision)
        tokenizer = chat.load_tokenizer(source, revision)
        with training(context):
            return self.train(context, tokenizer, contract)

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
        steps: int | None = None,
        callbacks: Iterable[TrainerCallback] = (),
    ) -> dict[str, Any]:
        """Trains and saves the model; all ranks call it together. Returns figures for the stage's summary.

        Args:
            steps: required number of optimizer steps; default: the trainer's plan.
            callbacks: in place of `Progress`.

        Raises:
            RunError: a loss or gradient was not finite, steps are missing, or the saved model is incomplete.
        """
        from transformers import PrinterCallback

        from warmup_rl.stages.training.callbacks import Progress
        from warmup_rl.stages.training.saving import parameter_count, save

        trainer.remove_callback(PrinterCallback)
        for callback in callbacks or [Progress(context)]:
            trainer.add_callback(callback)
        trainer.train()
        planned, done = steps or trainer.state.max_steps, trainer.state.global_step
        if done != planned:
            raise RunError(f"{context.stage_id}: {planned} optimizer steps were planned, {done} were made.")
        parameters = parameter_count(trainer.model)
        save(trainer, context, tokenizer)
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        first, last = (losses[0], losses[-1]) if losses else (None, None)
        return {"steps": done, "parameters": parameters, "first_loss": first, "last_loss": last}
